from __future__ import annotations

import numpy as np
import pytest
import tifffile

from isl.core.errors import DamagedFileError
from isl.io.tiff_pages import tiff_contents

LAYOUTS = {
    "tiles": {"tile": (32, 48), "compression": "zlib"},
    "uncompressed tiles": {"tile": (32, 48)},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "one strip": {"rowsperstrip": 100},
    "big endian": {"byteorder": ">", "rowsperstrip": 100},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_truncated_file_is_found_at_opening(tmp_path, name):
    image = np.random.default_rng(0).integers(0, 60000, (100, 150)).astype(np.uint16)
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, image, metadata=None, **LAYOUTS[name])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DamagedFileError, match=r"cut\.tif"):
        tiff_contents(path)


def test_file_that_changes_is_read_anew(tmp_path):
    path = tmp_path / "a.tif"
    for shape in ((10, 12), (14, 9)):
        tifffile.imwrite(path, np.zeros(shape, np.uint8))
        (series,) = tiff_contents(path).series
        assert (series.size_y, series.size_x) == shape
