"""Models of random weights and images of waves: the content does not matter for the speed.

Only the scale of what passes through a network does, as numbers near zero are slow: batch
normalisations are measured on noise first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import torch
import zarr
from numpy.typing import NDArray
from torch import nn

import isl
from isl.core.networks import AnyNetwork, ConvNeXtConfig, NetworkConfig, UNetConfig
from isl.inference.model_card import ModelCard, Provenance, SourceCard, TargetCard
from isl.inference.model_file import save_model
from isl.models.build import build_labeling_network
from isl.models.labeling import LabelingNetwork, even_depths

TARGETS = ("DAPI", "MAP2", "NFH")
SETTLING_PX = 128
BAND_ROWS = 512
WAVES = (9.0, 31.0, 117.0)
LEVEL, WAVE, NOISE = 3000, 800, 40


def network_config(name: str, planes: int) -> AnyNetwork:
    """Size of a network; ``"tiny"`` is the default one, small enough for tests."""
    if name == "unet":
        return UNetConfig(z_slots=planes)
    if name == "convnext":
        return ConvNeXtConfig(z_slots=planes)
    if name == "tiny":
        return NetworkConfig(widths=(8, 16), blocks=(1, 1), z_slots=planes)
    return NetworkConfig(z_slots=planes)


def write_model(path: Path, network: str, planes: int) -> Path:
    """Write a model of three targets with random weights."""
    config = network_config(network, planes)
    card = ModelCard(
        targets=tuple(TargetCard(name=name, offset=100.0, scale=50.0) for name in TARGETS),
        source=SourceCard(name="phase", planes=planes),
        voxel_size=isl.VoxelSize(),
        network=config,
        training={},
        provenance=Provenance(version="0", date="", torch="", steps=0, minutes=0, seed=0),
    )
    torch.manual_seed(0)
    save_model(isl.Model(card, settled(build_labeling_network(config, TARGETS), planes)), path)
    return path


@torch.no_grad()
def settled(network: LabelingNetwork, planes: int) -> LabelingNetwork:
    """Give batch normalisations the statistics of noise."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean of what is seen
            module.reset_running_stats()
    noise = torch.randn(1, planes, SETTLING_PX, SETTLING_PX)
    network.train()(noise, even_depths(planes)[None])
    return network.eval()


def image_rows(
    rows: range, size_x: int, planes: int, noise: float = NOISE, seed: int = 0
) -> NDArray[np.uint16]:
    """Some rows of an image: (planes, rows, X), smooth structures and noise."""
    y, x = np.asarray(rows)[:, None] + seed, np.arange(size_x)
    waves = sum(np.sin(y / length) * np.sin(x / length) for length in WAVES)
    depth = np.linspace(0.5, 1.0, planes)[:, None, None]
    image = np.asarray(LEVEL + WAVE * depth * waves, np.float32)
    if noise:
        random = np.random.default_rng((seed, rows.start))
        image += noise * random.standard_normal(image.shape, np.float32)
    return np.asarray(image, np.uint16)


def bands(side: int) -> list[range]:
    """Rows of an image, some at a time."""
    return [range(y, min(y + BAND_ROWS, side)) for y in range(0, side, BAND_ROWS)]


def write_tiff(path: Path, side: int, planes: int, seed: int = 0) -> Path:
    """Write a stack without compression."""
    zyx = np.concatenate([image_rows(rows, side, planes, seed=seed) for rows in bands(side)], 1)
    tifffile.imwrite(path, zyx, imagej=True, metadata={"axes": "ZYX"})
    return path


def write_zarr(path: Path, side: int, planes: int) -> Path:
    """Write a smooth OME-Zarr 0.5 image, a few rows at a time."""
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space"} for a in "zyx")]
    scale = [{"type": "scale", "scale": [1.0] * 4}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    chunk = min(side, BAND_ROWS)
    array = group.create_array(
        "0", shape=(1, planes, side, side), dtype="uint16", chunks=(1, 1, chunk, chunk)
    )
    for rows in bands(side):
        array[0, :, rows.start : rows.stop] = image_rows(rows, side, planes, noise=0)
    return path
