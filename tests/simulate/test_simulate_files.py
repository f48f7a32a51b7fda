from __future__ import annotations

import csv

import imagecodecs
import numpy as np
import pytest

from isl.core.axes import Box
from isl.core.errors import OutputError
from isl.simulate.files import image_name, scene_fov, write_scene
from isl.simulate.scene import simulate_scene


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(seed=7, size_yx=(32, 48), planes=3, cells=2)


def test_fov_reads_the_pixels_of_the_scene(scene):
    fov = scene_fov(scene)
    assert fov.shape == (1, 3, 3, 32, 48)
    assert fov.voxel_size == scene.voxel_size
    box = Box(4, 12, 8, 48)
    np.testing.assert_array_equal(
        fov.read("BRIGHTFIELD", z=[2, 0], box=box), scene.source[[2, 0], 4:12, 8:]
    )
    np.testing.assert_array_equal(fov.read("CYTOPLASM")[0], scene.targets["CYTOPLASM"])


def test_pixels_handed_out_can_be_changed_without_changing_the_scene(scene):
    before = scene.source.copy()
    scene_fov(scene).read("BRIGHTFIELD")[:] = 0
    np.testing.assert_array_equal(scene.source, before)


def test_files_hold_the_images_the_table_and_the_labels(scene, tmp_path):
    write_scene(scene, tmp_path / "scene")
    with open(tmp_path / "scene" / "images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["z"] for r in rows] == ["0", "1", "2", "", ""]
    assert {(r["voxel_size_z"], r["voxel_size_x"]) for r in rows} == {("1.5", "0.5")}
    plane = imagecodecs.png_decode((tmp_path / "scene" / rows[1]["path"]).read_bytes())
    np.testing.assert_array_equal(plane, scene.source[1])
    labels = np.load(tmp_path / "scene" / "labels.npz")
    np.testing.assert_array_equal(labels["nuclei"], scene.labels["nuclei"])


def test_folder_opens_as_published_images(scene, tmp_path):
    from isl.io.open import open_fovs

    write_scene(scene, tmp_path / "scene")
    (fov,) = open_fovs(tmp_path / "scene")
    assert set(fov.channel_names) == {"BRIGHTFIELD", "NUCLEI", "CYTOPLASM"}
    np.testing.assert_array_equal(fov.read("BRIGHTFIELD"), scene.source)


def test_table_opens_with_the_voxel_size(scene, tmp_path):
    from isl.io.open import open_fovs

    write_scene(scene, tmp_path / "scene")
    (fov,) = open_fovs(tmp_path / "scene" / "images.csv")
    assert fov.voxel_size == scene.voxel_size
    np.testing.assert_array_equal(fov.read("NUCLEI")[0], scene.targets["NUCLEI"])


def test_an_existing_scene_is_replaced_only_on_request(scene, tmp_path):
    write_scene(scene, tmp_path / "scene")
    with pytest.raises(OutputError, match="--overwrite"):
        write_scene(scene, tmp_path / "scene")
    write_scene(scene, tmp_path / "scene", overwrite=True)


def test_names_tell_plane_and_channel():
    assert ",z_depth-4,channel-BRIGHTFIELD," in image_name(3, "BRIGHTFIELD", 4)
    assert ",depth_computation-MAXPROJECT,channel-NUCLEI," in image_name(3, "NUCLEI", None)
