"""A tiny default network and fields of view that live in memory."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from isl.core.axes import VoxelSize
from isl.core.errors import DamagedFileError
from isl.core.networks import Isl2018Config, NetworkConfig
from isl.inference.model import Model, ModelCard, Provenance, SourceCard, TargetCard
from isl.io.fov import Channel, Fov
from isl.models.build import build_labeling_network
from isl.models.network import build_network

TINY = NetworkConfig(widths=(4, 6), blocks=(1, 1), stem_stride=2, z_slots=5)
LATERAL_03 = VoxelSize(None, 0.3, 0.3)


@dataclass
class ArrayPixels:
    """Pixels (T, C, Z, Y, X) in memory; remembers the boxes that were read."""

    array: np.ndarray
    boxes: list = field(default_factory=list)
    broken_after: int | None = None

    def read(self, channel, t, z, box):
        self.boxes.append(box)
        if self.broken_after is not None and len(self.boxes) > self.broken_after:
            raise DamagedFileError("images/bad.tif is truncated; copy it again")
        return self.array[t, channel, list(z)][:, *box.slices]


def make_fov(tzyx, name="field", channels=("phase",), voxel_size=LATERAL_03, **more):
    """Field of view with the same stack in each channel."""
    tzyx = np.asarray(tzyx)
    tczyx = np.stack([tzyx] * len(channels), axis=1)
    described = tuple(Channel(c, tzyx.shape[1], tzyx.dtype) for c in channels)
    return Fov(
        name=name,
        path=Path("images"),
        channels=described,
        size_t=tzyx.shape[0],
        size_y=tzyx.shape[2],
        size_x=tzyx.shape[3],
        voxel_size=voxel_size,
        pixels=ArrayPixels(tczyx),
        **more,
    )


def make_network(config, targets):
    """Network whose blocks, normalisations and scales all do something."""
    generator = torch.Generator().manual_seed(1)
    network = build_network(config, targets)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(noise - 0.5 if "norm" not in name and tensor.ndim > 1 else noise + 0.5)
    return network.eval()


def make_model(config=TINY, targets=("DAPI", "MAP2"), voxel_size=LATERAL_03):
    """Model with random weights."""
    cards = tuple(
        TargetCard(name=name, color="0000FF", offset=100.0 * i, scale=50.0 + i)
        for i, name in enumerate(targets)
    )
    card = ModelCard(
        targets=cards,
        source=SourceCard(name="phase", modality="phase", planes=5),
        voxel_size=voxel_size,
        network=config,
        training={"seed": 0},
        provenance=Provenance(
            version="0", date="2026-11-22", torch="2", steps=1, minutes=0.1, seed=0
        ),
    )
    return Model(card, make_network(config, len(targets)))


PUBLISHED = Isl2018Config(base_depth=8, planes=2, classes=8)


def make_published(normalization="published"):
    """Model of a small published network, whose normalisations all do something."""
    card = make_model().card.model_dump() | {"network": PUBLISHED.model_dump()}
    card["source"]["normalization"] = normalization
    card = ModelCard.model_validate(card)
    torch.manual_seed(0)
    network = build_labeling_network(PUBLISHED, card.target_names).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
            torch.nn.init.uniform_(module.weight, 2.0, 5.0)
    return Model(card, network)
