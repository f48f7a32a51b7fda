from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from isl.core.axes import Box, VoxelSize
from isl.inference.source_stack import StackReader
from isl.io import plane_files
from isl.io.arrays import fov_from_arrays
from isl.io.fov import Channel, Fov
from isl.io.open import open_fovs

STACK = np.random.default_rng(0).normal(3000, 200, (4, 300, 40)).astype(np.uint16)


@dataclass(frozen=True)
class CountedPixels:
    """Pixels that remember which rows of which planes were read, in chunks of 50 rows."""

    zyx: np.ndarray
    rows: list[int] = field(default_factory=list)

    def read(self, channel, t, z, box):
        first, last = box.y0 // 50, -(-box.y1 // 50)
        self.rows.extend(range(first, last))
        return self.zyx[list(z)][(..., *box.slices)]

    def chunk_rows(self, channel):
        return 50


def counted(zyx=STACK):
    channel = Channel("phase", len(zyx), zyx.dtype)
    sizes = 1, zyx.shape[1], zyx.shape[2]
    return Fov("it", Path("it"), (channel,), *sizes, VoxelSize(), CountedPixels(zyx))


def reader_of(fov, **changed):
    channel = fov.channels[0]
    return replace(StackReader(fov, channel.name, "standard", channel.dtype), **changed)


def read_all(stack, step=64):
    size_y, size_x = stack.shape_yx
    boxes = [Box(y, min(y + step, size_y), 0, size_x) for y in range(0, size_y, step)]
    return np.concatenate([stack.read(box) for box in boxes], axis=1)


def test_a_stack_that_fits_is_read_once():
    fov = counted()
    stack = reader_of(fov).stack(0, "it")
    assert np.array_equal(read_all(stack), STACK)
    assert sorted(fov.pixels.rows) == list(range(6))


def test_a_larger_stack_is_decoded_twice_and_not_more(monkeypatch):
    monkeypatch.setattr("isl.inference.held_bands._BAND_BYTES", 1)
    fov = counted()
    stack = reader_of(fov, keep_bytes=STACK[:, :150].nbytes).stack(0, "it")
    assert np.array_equal(read_all(stack), STACK)
    assert sorted(fov.pixels.rows) == sorted([*range(6)] * 2)


@pytest.mark.parametrize("keep_bytes", [0, 1000, STACK[:, :150].nbytes, 1 << 30])
def test_how_much_is_kept_does_not_change_a_digit(keep_bytes):
    expected = reader_of(fov_from_arrays({"phase": STACK})).stack(0, "it")
    stack = reader_of(counted(), keep_bytes=keep_bytes).stack(0, "it")
    assert stack.normalizer == expected.normalizer
    assert np.array_equal(read_all(stack, 33), STACK)


@pytest.mark.parametrize("keep_bytes", [0, 1 << 30])
def test_planes_that_hold_no_image_are_left_out(keep_bytes):
    zyx = STACK.astype(np.float32)
    zyx[1], zyx[3] = np.nan, 5.0
    stack = reader_of(counted(zyx), keep_bytes=keep_bytes).stack(0, "it")
    assert stack.left_out == (1, 3)
    assert np.array_equal(read_all(stack), zyx[[0, 2]])


def test_a_png_is_decoded_once(tmp_path, monkeypatch):
    for z, plane in enumerate(STACK):
        (tmp_path / f"A01_phase_z{z}.png").write_bytes(imagecodecs.png_encode(plane))
    decoded = []
    decode = plane_files._decode_png
    monkeypatch.setattr(
        plane_files, "_decode_png", lambda path: decoded.append(path) or decode(path)
    )
    monkeypatch.setattr(plane_files, "_decoded", plane_files._DecodedPlanes(0))
    (fov,) = open_fovs(tmp_path)
    assert np.array_equal(read_all(reader_of(fov).stack(0, "it")), STACK)
    assert len(decoded) == len(set(decoded)) == len(STACK)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_many_fields_leave_no_file_open(tmp_path):
    paths = [tmp_path / f"{n}.tif" for n in range(100)]
    for path in paths:
        layout = {"compression": "zlib"} if path.stem.endswith("0") else {}
        tifffile.imwrite(path, STACK[:, :20], photometric="minisblack", **layout)

    def predictable(path):
        (fov,) = open_fovs(path)
        read_all(reader_of(fov).stack(0, "it"))

    predictable(paths[0])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in paths:
        predictable(path)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
