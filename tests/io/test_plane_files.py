from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from isl.core.axes import Box
from isl.core.errors import DamagedFileError, DataError
from isl.io import plane_files
from isl.io.plane_files import PlaneFiles, PlaneRef, read_header

WHOLE = Box(0, 20, 0, 30)


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 60000, (20, 30)).astype(np.uint16)


def png(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(imagecodecs.png_encode(image))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_header_and_pixels(tmp_path, dtype):
    image = pixels().astype(dtype)
    path = png(tmp_path / "a.png", image)
    header = read_header(path)
    assert (header.size_y, header.size_x, header.dtype, header.planes) == (20, 30, dtype, 1)
    box = Box(3, 9, 5, 30)
    read = PlaneFiles({(0, 0, 0): PlaneRef(path)}).read(0, 0, [0], box)
    np.testing.assert_array_equal(read[0], image[box.slices])


def test_planes_come_in_the_order_asked_for(tmp_path):
    refs = {(0, 0, z): PlaneRef(png(tmp_path / f"{z}.png", pixels(z))) for z in range(3)}
    read = PlaneFiles(refs).read(0, 0, [2, 0], WHOLE)
    np.testing.assert_array_equal(read, [pixels(2), pixels(0)])


def test_png_is_decoded_once_for_many_tiles(tmp_path, monkeypatch):
    path = png(tmp_path / "a.png", pixels())
    decoded = []
    decode = plane_files._decode_png
    monkeypatch.setattr(plane_files, "_decode_png", lambda p: decoded.append(p) or decode(p))
    source = PlaneFiles({(0, 0, 0): PlaneRef(path)})
    for y in range(0, 20, 5):
        source.read(0, 0, [0], Box(y, y + 5, 0, 30))
    assert decoded == [path]
    png(path, pixels(1)[:, :29])
    source.read(0, 0, [0], Box(0, 5, 0, 5))
    assert len(decoded) == 2, "a changed file must be decoded again"


def test_cache_of_decoded_planes_is_bounded(tmp_path):
    cache = plane_files._DecodedPlanes(limit_bytes=2 * pixels().nbytes)
    for i in range(5):
        cache.get(png(tmp_path / f"{i}.png", pixels(i)))
    assert cache._held_bytes == 2 * pixels().nbytes
    assert [k[0].name for k in cache._planes] == ["3.png", "4.png"]


def test_thousands_of_small_planes_are_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(plane_files, "_CACHE_PLANES", 3)
    cache = plane_files._DecodedPlanes(1 << 30)
    paths = [png(tmp_path / f"{n}.png", pixels(n)) for n in range(5)]
    for path in paths:
        cache.get(path)
    assert [cache.holds(path) for path in paths] == [False, False, True, True, True]


@pytest.mark.parametrize("cores", [1, 4])
def test_planes_decoded_side_by_side_keep_their_order(tmp_path, monkeypatch, cores):
    monkeypatch.setattr(plane_files, "usable_cores", lambda: cores)
    tiff = tmp_path / "5.tif"
    tifffile.imwrite(tiff, pixels(5))
    refs = {(0, 0, z): PlaneRef(png(tmp_path / f"{z}.png", pixels(z))) for z in range(5)}
    read = PlaneFiles(refs | {(0, 0, 5): PlaneRef(tiff)}).read(0, 0, [4, 5, 1, 0], WHOLE)
    np.testing.assert_array_equal(read, [pixels(n) for n in (4, 5, 1, 0)])


def test_decoded_planes_cannot_be_changed_by_a_reader(tmp_path):
    source = PlaneFiles({(0, 0, 0): PlaneRef(png(tmp_path / "a.png", pixels()))})
    source.read(0, 0, [0], WHOLE)[:] = 0
    np.testing.assert_array_equal(source.read(0, 0, [0], WHOLE)[0], pixels())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    "content", [b"", b"II*\0", b"\x89PNG\r\n\x1a\n\0\0", b"not an image, but long enough"]
)
def test_foreign_or_cut_header_names_the_file(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"bad{suffix}"):
        read_header(path)


def test_truncated_png_is_found_when_read(tmp_path):
    path = png(tmp_path / "cut.png", pixels())
    path.write_bytes(path.read_bytes()[:200])
    assert read_header(path).size_x == 30
    with pytest.raises(DamagedFileError, match=r"cut\.png"):
        PlaneFiles({(0, 0, 0): PlaneRef(path)}).read(0, 0, [0], WHOLE)


def test_flipped_bytes_in_a_png_are_found_when_read(tmp_path):
    path = png(tmp_path / "flip.png", pixels())
    data = bytearray(path.read_bytes())
    data[300] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"flip\.png"):
        PlaneFiles({(0, 0, 0): PlaneRef(path)}).read(0, 0, [0], WHOLE)


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_colour_png_is_an_error_with_a_remedy(tmp_path, samples):
    path = png(tmp_path / "colour.png", np.zeros((5, 6, samples), np.uint8))
    with pytest.raises(DataError, match=r"colour\.png.*grey image"):
        read_header(path)


def test_colour_tiff_is_an_error_with_a_remedy(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((5, 6, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match=r"rgb\.tif.*grey image"):
        read_header(tmp_path / "rgb.tif")


def test_file_that_vanished(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_header(tmp_path / "gone.png")


def test_tiff_with_channels_is_no_plane(tmp_path):
    tifffile.imwrite(
        tmp_path / "c.tif", np.zeros((2, 5, 6), np.uint16), imagej=True, metadata={"axes": "CYX"}
    )
    with pytest.raises(DataError, match="axes C 2"):
        read_header(tmp_path / "c.tif")


def test_planes_of_a_tiff_stack(tmp_path):
    stack = np.stack([pixels(i) for i in range(3)])
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack", compression="zlib")
    assert read_header(tmp_path / "s.tif").planes == 3
    source = PlaneFiles({(0, 0, z): PlaneRef(tmp_path / "s.tif", z) for z in range(3)})
    np.testing.assert_array_equal(source.read(0, 0, [1, 2], WHOLE), stack[1:])
