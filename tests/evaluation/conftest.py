"""Small fields of view in memory, and a model that knows the truth up to noise."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from isl.core.axes import VoxelSize
from isl.core.errors import VoxelSizeError
from isl.io.fov import Channel, Fov
from isl.models.distribution import SplitLogistic


@dataclass(frozen=True)
class MemoryPixels:
    """Images (T, Z, Y, X) by index of the channel."""

    images: tuple[np.ndarray, ...]

    def read(self, channel, t, z, box):
        return self.images[channel][t, list(z)][:, box.slices[0], box.slices[1]]


def make_fov(name, images, path="scene"):
    """Field of view from {channel name: (Z, Y, X) or (T, Z, Y, X)}."""
    stacks = tuple(i if i.ndim == 4 else i[None] for i in images.values())
    modality = {"phase": "phase"}
    channels = tuple(
        Channel(n, s.shape[1], s.dtype, modality.get(n, "fluorescence"))
        for n, s in zip(images, stacks, strict=True)
    )
    t, _, y, x = stacks[0].shape
    size = VoxelSize(1.0, 0.5, 0.5)
    return Fov(name, Path(path), channels, t, y, x, size, MemoryPixels(stacks))


def make_truth(seed=0, shape=(96, 128), planes=3):
    """Source with one plane that is dark where DAPI is bright, and two targets."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    dapi = (
        500 + 3000 * ((np.sin(x / 9.0 + seed) * np.sin(y / 8.0)) > 0.5) + rng.normal(0, 60, shape)
    )
    map2 = 200 + 900 * (np.sin((x + y) / 11.0) > 0) + rng.normal(0, 60, shape)
    phase = rng.normal(20000, 1500, (planes, *shape))
    phase[1] -= dapi
    return {
        "phase": phase.astype(np.uint16),
        "DAPI": dapi.clip(0).astype(np.uint16)[None],
        "MAP2": map2.clip(0).astype(np.uint16)[None],
    }


def make_prediction(truth, noise=300.0, seed=9):
    """Median of both targets, and quantiles of DAPI."""
    rng = np.random.default_rng(seed)
    images = {n: truth[n] + rng.normal(0, noise, truth[n].shape) for n in ("DAPI", "MAP2")}
    for z, tail in ((1.96, "0.025"), (1.2816, "0.1"), (0.6745, "0.25")):
        upper = f"{1 - float(tail):g}"
        images[f"DAPI q{tail}"] = images["DAPI"] - z * noise
        images[f"DAPI q{upper}"] = images["DAPI"] + z * noise
    return {n: i.astype(np.float32) for n, i in images.items()}


@dataclass(frozen=True)
class FakeModel:
    """Predicts a stored image with a logistic distribution around it."""

    card: SimpleNamespace
    medians: np.ndarray
    scale: float = 165.0

    def source_distribution(self, zyx, *, box=None):
        return None

    def tile_px(self, shape_yx, planes):
        """Two bands, so that they have to be put together."""
        return int((shape_yx[0] * shape_yx[1] / 2) ** 0.5) + 1

    def distribution(self, zyx, voxel_size=None, *, box=None, ignore_voxel_size=False):
        if voxel_size is not None and voxel_size.x != 0.5 and not ignore_voxel_size:
            raise VoxelSizeError("the array: the voxel size is off")
        assert zyx.shape[1:] == self.medians.shape[1:]
        spread = torch.full(self.medians.shape, self.scale)
        whole = SplitLogistic(torch.from_numpy(self.medians), spread, spread.clone())
        rows, columns = (slice(None),) * 2 if box is None else box.slices
        return whole.map(lambda p: p[..., rows, columns])


def make_card(holdout=None, trained_on=()):
    """What evaluation needs of a model card."""
    return SimpleNamespace(
        targets=tuple(
            SimpleNamespace(name=n, scale=s, projection="max")
            for n, s in (("MAP2", 500.0), ("DAPI", 1000.0), ("NFH", 1.0))
        ),
        source=SimpleNamespace(name="phase", normalization="standard", depth_um=None),
        voxel_size=VoxelSize(None, 0.5, 0.5),
        holdout=holdout,
        trained_on=tuple(SimpleNamespace(name=n, path="elsewhere") for n in trained_on),
        provenance=SimpleNamespace(
            date="2026-01-01", steps=7, minutes=2.0, version="0.1.0", imported_from=None
        ),
    )


def make_model(truth, **card):
    prediction = make_prediction(truth)
    medians = [prediction[n][0] for n in ("MAP2", "DAPI")] + [np.zeros(truth["DAPI"].shape[1:])]
    return FakeModel(make_card(**card), np.stack(medians).astype(np.float32))


@pytest.fixture
def scene():
    """Factories for fields, predictions and models."""
    return SimpleNamespace(
        fov=make_fov, truth=make_truth, prediction=make_prediction, model=make_model, card=make_card
    )
