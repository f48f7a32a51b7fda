from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from isl.core.axes import Box
from isl.core.errors import DamagedFileError
from isl.io.tiff_pages import tiff_contents
from isl.io.tiff_regions import read_planes

IMAGE = np.random.default_rng(0).integers(0, 60000, (100, 150)).astype(np.uint16)
LAYOUTS = {
    "tiles": {"tile": (32, 48), "compression": "zlib"},
    "predictor": {"tile": (32, 48), "compression": "zlib", "predictor": True},
    "uncompressed tiles": {"tile": (32, 48)},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "uncompressed strips": {"rowsperstrip": 7},
    "one strip": {"rowsperstrip": 100},
    "big endian": {"byteorder": ">", "rowsperstrip": 100},
    "big endian tiles": {"byteorder": ">", "tile": (32, 48), "compression": "zlib"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiff")
    for name, layout in LAYOUTS.items():
        tifffile.imwrite(folder / f"{name}.tif", IMAGE, metadata=None, **layout)
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=20, deadline=None)
@given(
    y=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    x=st.tuples(st.integers(0, 149), st.integers(0, 149)),
)
def test_any_region_of_any_layout(files, name, y, x):
    box = Box(min(y), max(y) + 1, min(x), max(x) + 1)
    (series,) = tiff_contents(files / f"{name}.tif").series
    (read,) = read_planes(series, [0], box)
    assert read.dtype == np.dtype(np.uint16)
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, IMAGE[box.slices])


def test_region_touches_only_the_tiles_that_hold_it(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, tile=(32, 48), compression="zlib", metadata=None)
    (series,) = tiff_contents(path).series
    data = bytearray(path.read_bytes())
    keep = 1 * 4 + 2  # rows 32-63, columns 96-143: second row of four tiles
    for i, (offset, count) in enumerate(
        zip(series.planes[0].offsets, series.planes[0].byte_counts, strict=True)
    ):
        if i != keep:
            data[offset : offset + count] = b"\xff" * count
    path.write_bytes(data)
    (series,) = tiff_contents(path).series
    inside = Box(32, 64, 96, 144)
    np.testing.assert_array_equal(read_planes(series, [0], inside)[0], IMAGE[inside.slices])
    with pytest.raises(DamagedFileError, match=r"a\.tif"):
        read_planes(series, [0], Box(31, 64, 96, 144))


def test_planes_come_in_the_order_asked_for(tmp_path):
    stack = np.random.default_rng(1).integers(0, 60000, (4, 60, 50)).astype(np.uint16)
    box = Box(7, 45, 3, 50)
    for name, layout in LAYOUTS.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, stack, photometric="minisblack", metadata=None, **layout)
        (series,) = tiff_contents(path).series
        expected = stack[[2, 0, 2]][(..., *box.slices)]
        np.testing.assert_array_equal(read_planes(series, [2, 0, 2], box), expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_that_decode_do_not_change_the_pixels(files, monkeypatch, threads):
    monkeypatch.setattr("isl.io.tiff_regions.usable_cores", lambda: threads)
    (series,) = tiff_contents(files / "tiles.tif").series
    (read,) = read_planes(series, [0], Box.of(IMAGE.shape))
    np.testing.assert_array_equal(read, IMAGE)


def test_a_file_cut_while_it_is_read_is_named(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, IMAGE, metadata=None)
    (series,) = tiff_contents(path).series
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DamagedFileError, match=r"cut\.tif"):
        read_planes(series, [0], Box.of(IMAGE.shape))


def test_rows_that_are_decoded_together(files):
    def rows(name):
        (series,) = tiff_contents(files / f"{name}.tif").series
        return series.chunk_rows

    assert rows("tiles") == 32
    assert rows("strips") == 7
    assert rows("one strip") == 1
