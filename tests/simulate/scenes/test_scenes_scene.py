"""Whole scenes and what is known about them."""

import numpy as np
import pytest
from pydantic import ValidationError

from isl.core.errors import ConfigError
from isl.simulate.scenes.config import (
    AdherentConfig,
    BacteriaConfig,
    CellConfig,
    CocciConfig,
    DeadConfig,
    DebrisConfig,
    DividingConfig,
    IndexConfig,
    LifeConfig,
    NeuriteConfig,
    NeuronConfig,
    SuspensionConfig,
)
from isl.simulate.scenes.scene import SceneConfig, make_scene

EVERYTHING = SceneConfig(
    size_um=(90.0, 80.0),
    adherent=AdherentConfig(),
    dividing=DividingConfig(),
    neurons=NeuronConfig(),
    suspension=SuspensionConfig(),
    dead=DeadConfig(density_per_mm2=500),
    debris=DebrisConfig(),
    rods=BacteriaConfig(density_per_mm2=6000),
    cocci=CocciConfig(density_per_mm2=6000),
)
VOXEL_UM = (2.0, 0.8, 0.8)
STILL = LifeConfig(cycle_h=None, death_per_h=0.0, speed_um_per_h=0.0)


def arrays(volume):
    return [
        volume.index,
        volume.truth.cells,
        volume.truth.nuclei,
        *volume.fluorophores.values(),
        *(line.zyx_um for line in volume.truth.lines),
    ]


def averaged(zyx):
    """Means of cubes of two voxels a side."""
    z, y, x = (n // 2 for n in zyx.shape)
    return zyx.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5))


def lone(kind, cells, size_um=(60.0, 60.0), **others):
    """Scene of one kind in a field."""
    return SceneConfig(size_um=size_um, **{kind: cells}, **others)


@pytest.mark.parametrize("time_h", [0.0, 7.0])
def test_the_same_seed_gives_the_same_bytes(time_h):
    first = make_scene(EVERYTHING, 4, time_h=time_h).rasterize(VOXEL_UM)
    make_scene(EVERYTHING, 5, time_h=3.0)
    again = make_scene(EVERYTHING, 4, time_h=time_h).rasterize(VOXEL_UM)
    for one, other in zip(arrays(first), arrays(again), strict=True):
        assert one.tobytes() == other.tobytes()
    assert first.truth.classes == again.truth.classes


def test_another_seed_gives_another_scene():
    one, other = (make_scene(EVERYTHING, seed).rasterize(VOXEL_UM) for seed in (1, 2))
    assert (one.truth.cells != other.truth.cells).mean() > 0.3


def test_all_kinds_classes_and_channels_occur():
    scene = make_scene(EVERYTHING, 4)
    volume = scene.rasterize(VOXEL_UM)
    assert set(volume.truth.classes.values()) == {
        "adherent",
        "dividing",
        "neuron",
        "suspension",
        "dead",
        "rod",
        "coccus",
    }
    assert set(volume.fluorophores) == {
        "NUCLEI",
        "CYTOPLASM",
        "MEMBRANE",
        "DENDRITES",
        "AXONS",
        "LIPID",
        "DEAD",
    }
    assert tuple(volume.fluorophores) == scene.channels
    for name, stain in volume.fluorophores.items():
        assert stain.dtype == np.float32, name
        assert stain.shape == volume.index.shape == (10, 112, 100)
        assert stain.min() >= 0, name
        assert stain.max() > 0, name


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("time_h", [0.0, 12.0])
def test_labels_are_consistent(seed, time_h):
    truth = make_scene(EVERYTHING, seed, time_h=time_h).rasterize(VOXEL_UM).truth
    assert truth.cells.dtype == truth.nuclei.dtype == np.int32
    in_nuclei = truth.nuclei > 0
    assert (truth.nuclei[in_nuclei] == truth.cells[in_nuclei]).all()
    labels = set(np.unique(truth.cells).tolist()) - {0}
    assert labels <= set(truth.classes)
    assert {line.cell for line in truth.lines} <= set(truth.classes)
    assert 0 not in truth.classes


def test_debris_has_no_label():
    volume = make_scene(lone("debris", DebrisConfig(density_per_mm2=5000)), 1).rasterize(VOXEL_UM)
    assert volume.index.max() > 0.01
    assert not volume.truth.cells.any()


def test_density_and_size_are_as_asked():
    cells = SuspensionConfig(density_per_mm2=500, size_spread=0.05)
    config = lone("suspension", cells, (400.0, 400.0))
    counts, areas = [], []
    for seed in range(3):
        truth = make_scene(config, seed).rasterize((20.0, 1.0, 1.0)).truth
        counts.append(len(truth.classes))
        areas.append(np.median(np.unique(truth.cells, return_counts=True)[1][1:]))
    edge = (400 + 12) ** 2 / 400**2
    assert np.mean(counts) == pytest.approx(500 * 0.16 * edge, rel=0.1)
    assert np.mean(areas) == pytest.approx(np.pi * 6.0**2, rel=0.1)


def test_overlap_decides_how_near_cells_are():
    def covered(overlap):
        cells = SuspensionConfig(density_per_mm2=2500, overlap=overlap, size_spread=0.0)
        truth = make_scene(lone("suspension", cells, (150.0, 150.0)), 3).rasterize((20.0, 1, 1))
        return (truth.truth.cells > 0).mean()

    assert covered(0.0) > 1.1 * covered(1.0)


def test_compartments_have_the_configured_index():
    index = IndexConfig(
        cytoplasm=0.02, nucleus=0.03, nucleolus=0.05, lipid=0.1, membrane=0.04, chromosomes=0.06
    )
    cells = SuspensionConfig(
        density_per_mm2=800, granularity=0.0, droplets=0, nucleoli=0, index=index, life=STILL
    )
    volume = make_scene(lone("suspension", cells), 2).rasterize((0.5, 0.4, 0.4))
    nuclei = volume.fluorophores["NUCLEI"]
    in_nucleus = nuclei > 0.95 * nuclei.max()
    assert np.isclose(volume.index[in_nucleus], 0.03, atol=1e-5).mean() > 0.9
    stain = volume.fluorophores["CYTOPLASM"]
    in_cytoplasm = (nuclei == 0) & (volume.fluorophores["MEMBRANE"] == 0) & (stain > 0.5)
    whole = np.isclose(volume.index[in_cytoplasm], 0.02, atol=1e-5)
    assert whole.mean() > 0.9
    assert volume.index.max() < 0.041

    with_lipid = cells.model_copy(update={"droplets": 20, "droplet_radius_um": 1.0})
    volume = make_scene(lone("suspension", with_lipid), 2).rasterize((0.25, 0.25, 0.25))
    lipid = volume.fluorophores["LIPID"] > 0.999
    assert np.median(volume.index[lipid]) == pytest.approx(0.1, abs=1e-4)


def test_granularity_keeps_the_mean_index():
    def mean(granularity):
        cells = SuspensionConfig(granularity=granularity, life=STILL)
        config = lone("suspension", cells, (100.0, 100.0))
        return make_scene(config, 2).rasterize((20.0, 0.8, 0.8)).index.mean()

    assert mean(0.2) == pytest.approx(mean(0.0), rel=0.05)


@pytest.mark.parametrize("kind", ["adherent", "neurons", "suspension", "dead", "rods", "cocci"])
def test_half_the_voxel_and_averaging_agrees(kind):
    one_kind = SceneConfig(size_um=(48.0, 36.0), **{kind: getattr(EVERYTHING, kind)})
    scene = make_scene(one_kind, 3)
    pixel_um = 0.15 if kind in ("rods", "cocci") else 0.4
    coarse = scene.rasterize((1.0, pixel_um, pixel_um))
    fine = scene.rasterize((0.5, pixel_um / 2, pixel_um / 2))
    index = averaged(fine.index)
    assert np.abs(coarse.index - index).sum() < 0.05 * index.sum()
    pairs = [(coarse.fluorophores[n], f) for n, f in fine.fluorophores.items() if f.any()]
    for large, small in [(coarse.index, fine.index), *pairs]:
        total = float(averaged(small).sum())
        assert float(large.sum()) == pytest.approx(total, rel=0.05)
        from_above = np.abs((large - averaged(small)).sum(axis=0)).sum()
        assert from_above < 0.07 * total


def test_things_do_not_share_room():
    cells = AdherentConfig(density_per_mm2=3000, overlap=1.0, droplets=0, granularity=0.0)
    volume = make_scene(lone("adherent", cells), 1).rasterize((0.5, 0.8, 0.8))
    assert volume.index.max() <= max(cells.index.membrane, cells.index.nucleolus) + 1e-6
    assert len(volume.truth.classes) > 8


def test_cells_lie_over_each_other():
    still = {"life": STILL, "clearance_um": 0.0}
    few = SuspensionConfig(density_per_mm2=200, overlap=1.0, **still)
    many = SuspensionConfig(density_per_mm2=6000, overlap=1.0, **still)

    def highest(cells):
        index = make_scene(lone("suspension", cells), 1).rasterize((1.0, 1.0, 1.0)).index
        return np.flatnonzero(index.max(axis=(1, 2)) > 0.005).max()

    assert highest(many) > highest(few) + 3


def test_a_cell_keeps_its_label_and_moves():
    config = lone("adherent", AdherentConfig(life=LifeConfig(cycle_h=None, death_per_h=0)))
    now, later = (make_scene(config, 1, time_h=t) for t in (0.0, 2.0))
    assert now.classes == later.classes
    assert now.items[0].parts[0].shape.centre_um != later.items[0].parts[0].shape.centre_um
    before, after = (scene.rasterize(VOXEL_UM).truth.cells for scene in (now, later))
    assert ((before == after) & (before > 0)).any()
    assert (before != after).any()


def test_daughters_get_new_labels_at_the_mothers_place():
    config = lone("dividing", DividingConfig(density_per_mm2=100, overlap=0.0))
    life = config.dividing.life
    quiet = life.model_copy(update={"death_per_h": 0.0, "speed_um_per_h": 0.0})
    config = lone("dividing", config.dividing.model_copy(update={"life": quiet}))
    mothers, daughters = (make_scene(config, 1, time_h=t) for t in (0.0, quiet.mitosis_h))
    assert set(mothers.classes.values()) == {"dividing"}
    assert len(daughters.classes) == 2 * len(mothers.classes)
    assert not set(mothers.classes) & set(daughters.classes)
    mother = mothers.items[0].parts[0].shape.centre_um
    pair = [item.parts[0].shape.centre_um for item in daughters.items[:2]]
    assert np.mean(pair, axis=0) == pytest.approx(mother)
    assert pair[0] != pair[1]


def test_death_changes_the_class_and_lights_the_marker():
    life = LifeConfig(death_per_h=1.0, cycle_h=None)
    config = lone("suspension", SuspensionConfig(life=life))
    alive, dead = (make_scene(config, 1, time_h=t) for t in (0.0, 20.0))
    assert set(alive.classes.values()) == {"suspension"}
    assert set(dead.classes.values()) == {"dead"}
    assert set(alive.classes) == set(dead.classes)
    lit = dead.rasterize(VOXEL_UM).fluorophores["DEAD"]
    assert lit.max() > 0.3
    assert not alive.rasterize(VOXEL_UM).fluorophores["DEAD"].any()


def test_bacteria_grow_into_chains_of_new_labels():
    life = LifeConfig(cycle_h=1.0, mitosis_h=0.0, death_per_h=0.0, speed_um_per_h=0.0)
    config = lone("rods", BacteriaConfig(density_per_mm2=1000, chain=1.0, life=life), height_um=3.0)
    now, later = (make_scene(config, 1, time_h=t) for t in (0.0, 2.5))
    assert len(later.classes) > 3 * len(now.classes)
    labels = [item.label for item in later.items]
    assert len(set(labels)) == len(labels)
    area_now, area_later = (
        float((s.rasterize((3.0, 0.5, 0.5)).truth.cells > 0).mean()) for s in (now, later)
    )
    assert area_later > 2 * area_now


def test_dna_is_in_as_many_dead_cells_as_asked():
    def nuclei(share):
        dead = DeadConfig(density_per_mm2=1500, dna_share=share)
        volume = make_scene(lone("dead", dead), 1).rasterize((1.0, 0.5, 0.5))
        return volume.fluorophores["NUCLEI"].max(), volume.truth.nuclei.max()

    assert nuclei(0.0) == (0, 0)
    assert min(nuclei(1.0)) > 0


def test_an_empty_scene_is_medium():
    volume = make_scene(SceneConfig(size_um=(10.0, 12.0)), 0).rasterize((5.0, 1.0, 1.0))
    assert volume.index.shape == (4, 10, 12)
    assert not volume.index.any()
    assert not volume.truth.cells.any()
    assert volume.fluorophores == {}
    assert volume.truth.classes == {}
    assert volume.medium_index == 1.337


def test_no_cells_may_fall_into_the_field():
    config = lone("neurons", NeuronConfig(density_per_mm2=0.0))
    volume = make_scene(config, 0).rasterize(VOXEL_UM)
    assert not volume.index.any()
    assert "AXONS" in volume.fluorophores


def test_tiny_fields_and_voxels_larger_than_the_field():
    config = EVERYTHING.model_copy(update={"size_um": (2.0, 1.0)})
    volume = make_scene(config, 1).rasterize((50.0, 5.0, 5.0))
    assert volume.index.shape == (1, 1, 1)
    assert np.isfinite(volume.index).all()


def test_cells_are_cut_by_the_border():
    cells = SuspensionConfig(density_per_mm2=3000, life=STILL)
    truth = make_scene(lone("suspension", cells), 1).rasterize((20.0, 1, 1)).truth
    rim = np.concatenate([truth.cells[0], truth.cells[-1], truth.cells[:, 0], truth.cells[:, -1]])
    assert (rim > 0).mean() > 0.05


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True])
def test_impossible_seeds_are_refused(seed):
    with pytest.raises(ConfigError, match="seed"):
        make_scene(SceneConfig(), seed)


@pytest.mark.parametrize(
    "voxel_um", [(0, 1, 1), (1, -1, 1), (1, 1), (1, 1, float("nan")), (1e-3, 1e-3, 1e-3)]
)
def test_impossible_voxels_are_refused(voxel_um):
    with pytest.raises(ConfigError, match="voxel"):
        make_scene(SceneConfig(), 0).rasterize(voxel_um)


def test_too_many_generations_are_refused():
    config = lone("adherent", AdherentConfig(life=LifeConfig(cycle_h=1.0)))
    with pytest.raises(ConfigError, match="cycle_h"):
        make_scene(config, 0, time_h=100.0)


@pytest.mark.parametrize(
    ("kind", "given", "match"),
    [
        (CellConfig, {"density_per_mm2": -1}, "density"),
        (CellConfig, {"radius_um": 0}, "radius"),
        (CellConfig, {"overlap": 1.1}, "overlap"),
        (CellConfig, {"nucleus_radius_um": 20.0}, "make the nucleus smaller"),
        (CellConfig, {"size": 3}, "size"),
        (IndexConfig, {"cytoplasm": 1.36}, "cytoplasm"),
        (NeuriteConfig, {"radius_um": 0.2}, "thinner towards the tip"),
        (BacteriaConfig, {"length_um": 0.5}, "as long as it is wide|long as it is wide"),
        (NeuronConfig, {"life": LifeConfig()}, "neurons stay"),
        (DividingConfig, {"life": STILL}, "dividing cells need"),
        (SceneConfig, {"size_um": (0.0, 10.0)}, "size_um"),
        (SceneConfig, {"height_um": 5.0, "suspension": SuspensionConfig()}, "raise height_um"),
    ],
)
def test_settings_out_of_range_are_refused(kind, given, match):
    with pytest.raises(ValidationError, match=match):
        kind(**given)


def test_settings_survive_json():
    assert SceneConfig.model_validate_json(EVERYTHING.model_dump_json()) == EVERYTHING
