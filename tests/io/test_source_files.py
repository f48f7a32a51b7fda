from __future__ import annotations

import numpy as np
import tifffile

from isl.io.arrays import fov_from_arrays
from isl.io.open import open_fovs
from isl.io.source_files import source_files


def test_each_plane_of_the_channel_is_a_file(tmp_path):
    for channel in ("phase", "DAPI"):
        for z in range(3):
            image = np.full((8, 8), z, np.uint8)
            tifffile.imwrite(tmp_path / f"a_{channel}_z{z}.tif", image)
    (fov,) = open_fovs(tmp_path, pattern="{fov}_{channel}_z{z}.tif")
    names = [path.name for path in source_files(fov, "phase")]
    assert names == [f"a_phase_z{z}.tif" for z in range(3)]


def test_a_stack_is_one_file(tmp_path):
    stack = np.zeros((3, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    (fov,) = open_fovs(tmp_path / "a.tif")
    assert [path.name for path in source_files(fov, fov.channel_names[0])] == ["a.tif"]


def test_an_array_has_the_path_of_its_field():
    fov = fov_from_arrays({"phase": np.zeros((3, 8, 8), np.uint8)})
    assert source_files(fov, "phase") == (fov.path,)
