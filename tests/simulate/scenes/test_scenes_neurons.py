"""Neurites: where they are, what they light up, and what is known of them."""

import numpy as np
import pytest

from isl.simulate.scenes.config import NeuriteConfig, NeuronConfig
from isl.simulate.scenes.growth import Trails, grow
from isl.simulate.scenes.scene import SceneConfig, make_scene

VOXEL_UM = (0.5, 0.3, 0.3)


@pytest.fixture(scope="module")
def volume():
    config = SceneConfig(
        size_um=(80.0, 70.0), neurons=NeuronConfig(density_per_mm2=900), height_um=12.0
    )
    return make_scene(config, 2).rasterize(VOXEL_UM)


def values_along(line, image):
    """Voxels under the points of a line that are in the field."""
    at = np.floor(line.zyx_um / VOXEL_UM).astype(int)
    valid = ((at >= 0) & (at < image.shape)).all(axis=1)
    return image[tuple(at[valid].T)]


def test_lines_lie_in_the_index_volume_and_in_their_marker(volume):
    markers = {"dendrite": "DENDRITES", "axon": "AXONS"}
    assert {line.kind for line in volume.truth.lines} == set(markers)
    for kind, marker in markers.items():
        lines = [line for line in volume.truth.lines if line.kind == kind]
        index = np.concatenate([values_along(line, volume.index) for line in lines])
        stain = np.concatenate([values_along(line, volume.fluorophores[marker]) for line in lines])
        assert (index > 0.008).mean() > 0.99
        assert (stain > 0.3).mean() > 0.99


def test_each_kind_lights_only_its_marker():
    only_axons = NeuronConfig(dendrites=NeuriteConfig(number=0))
    config = SceneConfig(size_um=(80.0, 70.0), neurons=only_axons)
    volume = make_scene(config, 2).rasterize(VOXEL_UM)
    assert {line.kind for line in volume.truth.lines} == {"axon"}
    bodies = volume.fluorophores["MEMBRANE"].max(axis=0) > 0
    off_bodies = volume.fluorophores["AXONS"].max(axis=0)[~bodies]
    assert off_bodies.max() > 0.5
    assert not volume.fluorophores["DENDRITES"].max(axis=0)[~bodies].any()


def test_axons_are_longer_and_thinner_than_dendrites():
    config = NeuronConfig()
    random = np.random.default_rng(1)
    trails = Trails.none((100.0, 100.0), 60.0)
    lengths, radii = {}, {}
    for kind in ("dendrites", "axons"):
        paths = [grow(getattr(config, kind), (50, 50), 5.0, trails, random) for _ in range(20)]
        lengths[kind] = max(len(path.yx_um) for cell in paths for path in cell)
        radii[kind] = max(path.radii_um.max() for cell in paths for path in cell)
        for path in (path for cell in paths for path in cell):
            assert (np.diff(path.radii_um) <= 1e-12).all()
    assert lengths["axons"] > 3 * lengths["dendrites"]
    assert radii["axons"] < radii["dendrites"]


def test_straight_neurites_are_straight_and_branches_branch():
    straight = NeuriteConfig(number=1, branches_per_mm=0, persistence_um=1000.0)
    bushy = NeuriteConfig(number=1, branches_per_mm=100, persistence_um=20.0)
    trails = Trails.none((100.0, 100.0), 60.0)
    [path] = grow(straight, (50, 50), 5.0, trails, np.random.default_rng(1))
    along = np.hypot(*np.diff(path.yx_um, axis=0).T).sum()
    assert np.hypot(*(path.yx_um[-1] - path.yx_um[0])) > 0.9 * along
    assert len(grow(bushy, (50, 50), 5.0, trails, np.random.default_rng(1))) > 3


def test_bundling_brings_axons_together():
    def covered(bundling):
        axons = NeuronConfig().axons.model_copy(update={"bundling": bundling})
        neurons = NeuronConfig(axons=axons, clustering=0.0, density_per_mm2=1500)
        config = SceneConfig(size_um=(150.0, 150.0), neurons=neurons)
        volume = make_scene(config, 1).rasterize((20.0, 1.0, 1.0))
        image = volume.fluorophores["AXONS"][0]
        return (image > 0.005).sum() / image.sum()

    assert covered(1.0) < 0.9 * covered(0.0)


def test_neurites_may_be_left_out_of_the_labels():
    def labelled(label_neurites):
        neurons = NeuronConfig(label_neurites=label_neurites)
        config = SceneConfig(size_um=(60.0, 60.0), neurons=neurons)
        return (make_scene(config, 1).rasterize((20.0, 0.5, 0.5)).truth.cells > 0).mean()

    assert 0 < labelled(False) < labelled(True)


def test_dead_neurons_lose_their_processes():
    neurons = NeuronConfig()
    life = neurons.life.model_copy(update={"death_per_h": 1.0})
    config = SceneConfig(size_um=(40.0, 40.0), neurons=neurons.model_copy(update={"life": life}))
    assert make_scene(config, 1).lines
    dead = make_scene(config, 1, time_h=50.0)
    assert not dead.lines
    assert set(dead.classes.values()) == {"dead"}
