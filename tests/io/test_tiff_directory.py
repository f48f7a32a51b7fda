from __future__ import annotations

import numpy as np
import pytest
import tifffile

from isl.core.errors import DamagedFileError
from isl.io.tiff_directory import check_directories


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_whole_file_passes_and_no_beginning_of_it_does(tmp_path, bigtiff, byteorder):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as writer:
        for _ in range(3):
            writer.write(np.zeros((8, 8), np.uint8), description="x" * 50, metadata=None)
        last_page = writer.filehandle.tell()
    check_directories(path)
    data = path.read_bytes()
    cut = tmp_path / "cut.tif"
    for length in range(0, last_page - 200, 37):
        cut.write_bytes(data[:length])
        with pytest.raises(DamagedFileError, match=r"cut\.tif"):
            check_directories(cut)


def test_a_chain_that_bites_its_tail_ends(tmp_path):
    path = tmp_path / "loop.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
    with tifffile.TiffFile(path) as tif:
        first, tags = tif.pages.first.offset, len(tif.pages.first.tags)
    data = bytearray(path.read_bytes())
    data[first + 2 + 12 * tags : first + 6 + 12 * tags] = first.to_bytes(4, "little")
    path.write_bytes(data)
    check_directories(path)
