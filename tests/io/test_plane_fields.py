from __future__ import annotations

import logging
import pickle
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from isl.core.axes import VoxelSize
from isl.core.errors import (
    DamagedFileError,
    DataError,
    DuplicateImageError,
    ImageSizeError,
    MissingPlaneError,
)
from isl.io.plane_fields import PlaneImage, build_field


def image(
    folder: Path, channel: str, *, z=None, t=None, shape=(5, 7), dtype=np.uint16
) -> PlaneImage:
    path = folder / f"{channel}_{z}_{t}.png"
    path.write_bytes(imagecodecs.png_encode(np.full(shape, 10 * (t or 0) + (z or 0), dtype)))
    return PlaneImage(path, "f", channel, z, t)


def test_source_stack_and_target_over_time(tmp_path):
    images = [image(tmp_path, "phase", z=z, t=t) for z in range(3) for t in range(2)]
    images += [image(tmp_path, "gfp", t=t) for t in range(2)]
    fov = build_field("f", tmp_path, images, VoxelSize(1.0, 0.3, 0.3))
    assert fov.shape == (2, 2, 3, 5, 7)
    assert [(c.name, c.planes, c.modality) for c in fov.channels] == [
        ("gfp", 1, "fluorescence"),
        ("phase", 3, "phase"),
    ]
    assert fov.voxel_size == VoxelSize(1.0, 0.3, 0.3)
    assert fov.read("phase", t=1)[:, 0, 0].tolist() == [10, 11, 12]


@pytest.mark.parametrize("first", [0, 1])
def test_planes_may_count_from_zero_or_one(tmp_path, first):
    images = [image(tmp_path, "phase", z=z) for z in range(first, first + 3)]
    assert build_field("f", tmp_path, images).read("phase")[:, 0, 0].tolist() == [
        first,
        first + 1,
        first + 2,
    ]


@pytest.mark.parametrize(
    ("found", "positions", "missing"),
    [((0, 2), (0, 2), "plane 1;"), ((1, 2, 4, 7), (0, 1, 3, 6), "plane 3, 5, 6;")],
)
def test_missing_planes_leave_a_gap(tmp_path, caplog, found, positions, missing):
    images = [image(tmp_path, "phase", z=z, t=t) for z in found for t in range(2)]
    images += [image(tmp_path, "gfp", t=t) for t in range(2)]
    with caplog.at_level(logging.INFO):
        fov = build_field("f", tmp_path, images)
    assert f"channel phase lacks {missing}" in caplog.text
    assert fov.channel("phase").z_positions == positions
    assert fov.channel("phase").planes == len(found)
    assert fov.channel("gfp").z_positions is None
    assert fov.read("phase", t=1)[:, 0, 0].tolist() == [10 + z for z in found]


@pytest.mark.parametrize("found", [(3, 4), (5,), (0, 1)])
def test_planes_in_a_row_have_no_gap(tmp_path, caplog, found):
    fov = build_field("f", tmp_path, [image(tmp_path, "phase", z=z) for z in found])
    assert fov.channel("phase").z_positions is None
    assert fov.read("phase")[:, 0, 0].tolist() == list(found)
    assert caplog.text == ""


def test_a_missing_time_point_is_an_error(tmp_path):
    images = [image(tmp_path, "phase", z=z, t=t) for z in (0, 2) for t in (0, 2)]
    with pytest.raises(MissingPlaneError, match="plane 0, 2 at time 1"):
        build_field("f", tmp_path, images)


def test_time_point_without_a_plane(tmp_path):
    images = [image(tmp_path, "phase", z=z, t=t) for z in range(2) for t in range(5, 7)][:-1]
    with pytest.raises(MissingPlaneError, match="plane 1 at time 6"):
        build_field("f", tmp_path, images)


def test_channel_with_fewer_time_points(tmp_path):
    images = [image(tmp_path, "phase", t=t) for t in range(3)] + [image(tmp_path, "gfp", t=0)]
    with pytest.raises(MissingPlaneError, match="gfp 1, phase 3"):
        build_field("f", tmp_path, images)


def test_duplicate_names_both_files(tmp_path):
    images = [image(tmp_path, "phase", z=0), image(tmp_path, "phase", z=None)]
    with pytest.raises(DuplicateImageError, match="claimed by two files") as error:
        build_field("f", tmp_path, images)
    assert all(i.path.name in str(error.value) for i in images)


@pytest.mark.parametrize("channel", ["phase", "gfp"], ids=["plane", "target"])
def test_other_size_names_both_files_and_sizes(tmp_path, channel):
    images = [image(tmp_path, "phase", z=0), image(tmp_path, channel, z=1, shape=(6, 7))]
    with pytest.raises(ImageSizeError, match=r"phase_0_None\.png is 7 x 5 .*_1_None\.png is 7 x 6"):
        build_field("f", tmp_path, images)


def test_mixed_dtype_in_a_channel(tmp_path):
    images = [image(tmp_path, "phase", z=0), image(tmp_path, "phase", z=1, dtype=np.uint8)]
    with pytest.raises(DataError, match=r"uint16 and .* is uint8"):
        build_field("f", tmp_path, images)


def test_nothing_is_decoded_at_opening(tmp_path):
    one = image(tmp_path, "phase")
    one.path.write_bytes(one.path.read_bytes()[:40])
    fov = build_field("f", tmp_path, [one])
    with pytest.raises(DamagedFileError, match="phase_None_None"):
        fov.read("phase")


def test_one_stack_file_for_each_channel(tmp_path):
    stack = np.arange(3 * 5 * 7, dtype=np.uint16).reshape(3, 5, 7)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    fov = build_field(
        "f", tmp_path, [PlaneImage(tmp_path / "s.tif", "f", "bf"), image(tmp_path, "dapi")]
    )
    assert {c.name: c.planes for c in fov.channels} == {"bf": 3, "dapi": 1}
    np.testing.assert_array_equal(fov.read("bf"), stack)
    with pytest.raises(DataError, match="holds 3 planes"):
        build_field("f", tmp_path, [PlaneImage(tmp_path / "s.tif", "f", "bf", z=0)])


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um", "spacing": 1.5}},
        {
            "ome": True,
            "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 1.5},
        },
    ],
    ids=["ImageJ", "OME"],
)
def test_voxel_size_of_the_files(tmp_path, options):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((5, 7), np.uint16), **options)
    fov = build_field("f", tmp_path, [PlaneImage(tmp_path / "s.tif", "f", "bf")])
    assert fov.voxel_size == VoxelSize(1.5, 0.5, 0.25)


def test_field_can_be_sent_to_another_process(tmp_path):
    fov = build_field("f", tmp_path, [image(tmp_path, "phase", z=z) for z in range(2)])
    sent = pickle.loads(pickle.dumps(fov))
    np.testing.assert_array_equal(sent.read("phase"), fov.read("phase"))
