from __future__ import annotations

import json

import numpy as np
import pytest

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError
from isl.io.omezarr import open_omezarr
from isl.io.output_fields import OutputChannel, OutputField
from isl.io.output_stack import StackWriter

U16 = np.dtype(np.uint16)


def make_field(size_yx=(20, 24), size_t=1):
    channels = (OutputChannel("PHASE_CONTRAST"), OutputChannel("DAPI"))
    return OutputField("A/1/0", channels, size_t, *size_yx, VoxelSize(1.5, 0.5, 0.5), "A/1", "p")


def write(folder, field, source, target, labels=None, properties=None):
    writer = StackWriter(folder, field, source.shape[1], U16)
    for t in range(field.size_t):
        writer.write(t, 0, source[t])
        writer.write(t, 1, target[t][None])
        if labels is not None:
            writer.write_labels(t, "cells", labels[t])
    writer.finish({"simulation": 1}, properties, "treated")


@pytest.fixture
def pixels():
    random = np.random.default_rng(0)
    return random.integers(1, 4000, (2, 3, 20, 24)), random.integers(1, 4000, (2, 20, 24))


def test_stack_and_single_plane_come_back(tmp_path, pixels):
    source, target = pixels
    write(tmp_path / "i.zarr", make_field(size_t=2), source, target)
    (fov,) = open_omezarr(tmp_path / "i.zarr")
    assert (fov.name, fov.well, fov.voxel_size.z) == ("A/1/0", "A/1", 1.5)
    assert fov.condition == "treated"
    for t in range(2):
        np.testing.assert_array_equal(fov.read("PHASE_CONTRAST", t=t), source[t])
        stored = fov.read("DAPI", t=t)
        np.testing.assert_array_equal(stored[1], target[t])
        np.testing.assert_array_equal(stored.max(axis=0), target[t])


def test_labels_lie_below_the_image_with_their_classes(tmp_path, pixels):
    from yaozarrs import validate_zarr_store

    labels = np.zeros((1, 20, 24), np.int32)
    labels[0, 3:8, 5:9] = 7
    known = {"cells": [{"label-value": 7, "class": "dead"}]}
    source, target = (p[:1] for p in pixels)
    write(tmp_path / "i.zarr", make_field(), source, target, labels, known)
    validate_zarr_store(str(tmp_path / "i.zarr"))
    group = json.loads((tmp_path / "i.zarr/labels/cells/zarr.json").read_text())
    label = group["attributes"]["ome"]["image-label"]
    assert label["properties"] == [{"label-value": 7, "class": "dead"}]
    assert label["source"] == {"image": "../../"}
    import zarr

    stored = zarr.open_array(tmp_path / "i.zarr/labels/cells/0", mode="r")[:]
    np.testing.assert_array_equal(stored, np.broadcast_to(labels[:, None], (1, 3, 20, 24)))


def test_large_images_have_as_many_levels_as_their_labels(tmp_path):
    source = np.full((1, 1, 300, 270), 9)
    source[0, 0, :150] = 5
    labels = source[0].astype(np.int32)
    write(tmp_path / "i.zarr", make_field((300, 270)), source, source[:, 0], labels)
    import zarr

    small = zarr.open_array(tmp_path / "i.zarr/1", mode="r")[0, 0, 0]
    assert small.shape == (150, 135)
    np.testing.assert_array_equal(small, zarr.open_array(tmp_path / "i.zarr/labels/cells/1")[0, 0])


def test_pixels_of_another_shape_are_refused(tmp_path):
    writer = StackWriter(tmp_path / "i.zarr", make_field(), 3, U16)
    with pytest.raises(ConfigError, match="3 planes or 1"):
        writer.write(0, 1, np.zeros((2, 20, 24)))
