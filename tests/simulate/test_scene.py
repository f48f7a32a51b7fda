from __future__ import annotations

import numpy as np
import pytest

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError
from isl.simulate.scene import simulate_scene


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(seed=5, size_yx=(128, 160), planes=5)


def test_shapes_and_types(scene):
    assert scene.source.shape == (5, 128, 160)
    assert list(scene.targets) == ["NUCLEI", "CYTOPLASM"]
    assert list(scene.labels) == ["cells", "nuclei"]
    assert {a.shape for a in (*scene.targets.values(), *scene.labels.values())} == {(128, 160)}
    assert {a.dtype for a in (scene.source, *scene.targets.values())} == {np.dtype("uint16")}


def test_same_seed_same_bytes(scene):
    again = simulate_scene(seed=5, size_yx=(128, 160), planes=5)
    assert again.source.tobytes() == scene.source.tobytes()
    for name, image in scene.targets.items():
        assert again.targets[name].tobytes() == image.tobytes()


def test_another_seed_gives_other_cells(scene):
    other = simulate_scene(seed=6, size_yx=(128, 160), planes=5)
    assert not np.array_equal(other.labels["cells"], scene.labels["cells"])


def test_targets_shine_where_the_labels_are(scene):
    nuclei, cells = scene.labels["nuclei"] > 0, scene.labels["cells"] > 0
    nuclear, cytoplasmic = scene.targets["NUCLEI"], scene.targets["CYTOPLASM"]
    assert nuclear[nuclei].mean() > 5 * nuclear[~nuclei].mean()
    assert cytoplasmic[cells & ~nuclei].mean() > 2 * cytoplasmic[~cells].mean()
    assert cytoplasmic[cells & ~nuclei].mean() > 1.3 * cytoplasmic[nuclei].mean()


def test_cells_are_visible_out_of_focus_and_hardly_in_focus(scene):
    cells = scene.labels["cells"] > 0
    focus, _, middle, _, last = (plane[cells].std() for plane in scene.source.astype(float))
    assert middle > 1.3 * focus
    assert last > 1.5 * focus


def test_nothing_is_saturated(scene):
    for image in (scene.source, *scene.targets.values()):
        assert image.min() > 0
        assert image.max() < 65535


def test_one_plane_is_enough():
    assert simulate_scene(size_yx=(32, 32), planes=1, cells=1).source.shape == (1, 32, 32)


@pytest.mark.parametrize(
    "settings",
    [
        {"size_yx": (8, 64)},
        {"planes": 0},
        {"cells": -1},
        {"seed": -1},
        {"voxel_size": VoxelSize(None, 0.5, 0.5)},
        {"voxel_size": VoxelSize(1.0, 0.5, 0.4)},
        {"voxel_size": VoxelSize(1.0, -0.5, -0.5)},
    ],
)
def test_impossible_scenes_are_refused(settings):
    with pytest.raises(ConfigError, match="scene"):
        simulate_scene(**settings)
