from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isl.core.errors import ConfigError, OutputError
from isl.io.open import open_fovs
from isl.simulate.acquisition import acquire
from isl.simulate.plate import PlatePlan, format_of, simulate_plate
from isl.simulate.presets import preset
from isl.simulate.settings import SimulationConfig


@pytest.fixture(scope="module")
def plan(quick):
    conditions = {"alive": quick("neurons"), "dying": quick("dead")}
    return PlatePlan(conditions, wells=2, fovs=2, times_h=(0.0, 1.5), seed=3)


@pytest.fixture(scope="module")
def zarr_plate(plan, tmp_path_factory):
    path = tmp_path_factory.mktemp("zarr") / "plate.zarr"
    simulate_plate(plan, path)
    return path


@pytest.fixture(scope="module")
def png_plate(plan, tmp_path_factory):
    path = tmp_path_factory.mktemp("png") / "plate"
    simulate_plate(plan, path)
    return path


def contents(folder):
    files = (f for f in Path(folder).rglob("*") if f.is_file())
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}


def test_wells_are_filled_row_by_row_and_take_conditions_in_turn(quick):
    fields = PlatePlan({"a": quick(), "b": quick()}, wells=14, fovs=1).fields()
    assert [fields[i].well for i in (0, 11, 12)] == ["A/1", "A/12", "B/1"]
    assert [f.condition for f in fields[:3]] == ["a", "b", "a"]
    assert len({f.seed for f in fields}) == 14


def test_zarr_plate_opens_as_any_plate(plan, zarr_plate):
    from yaozarrs import validate_zarr_store

    validate_zarr_store(str(zarr_plate))
    fovs = open_fovs(zarr_plate)
    assert [f.name for f in fovs] == ["A/1/0", "A/1/1", "A/2/0", "A/2/1"]
    assert [f.condition for f in fovs] == ["alive", "alive", "dying", "dying"]
    assert {f.shape[0] for f in fovs} == {2}
    assert fovs[0].voxel_size.x == plan.conditions["alive"].grid.pixel_um
    assert fovs[0].channel_names[0] == "PHASE_CONTRAST"


@pytest.mark.parametrize("table", [False, True])
def test_each_field_can_be_made_again_from_its_seed(plan, zarr_plate, png_plate, table):
    stored = open_fovs(png_plate / "images.csv" if table else zarr_plate)
    field = plan.fields()[2]
    taken = acquire(field.config, field.seed, time_h=1.5)
    (fov,) = [f for f in stored if f.name == field.name]
    np.testing.assert_array_equal(fov.read("BRIGHTFIELD", t=1), taken.source)
    for name, pixels in taken.targets.items():
        np.testing.assert_array_equal(fov.read(name, t=1).max(axis=0), pixels[0])


def test_labels_classes_and_lines_are_stored(plan, zarr_plate):
    import zarr

    field = plan.fields()[0]
    taken = acquire(field.config, field.seed)
    root = zarr.open_group(zarr_plate / field.name, mode="r")
    np.testing.assert_array_equal(root["labels/cells/0"][0, 1], taken.truth.cells)
    np.testing.assert_array_equal(root["labels/nuclei/0"][0, 0], taken.truth.nuclei)
    noted = root.attrs["isl"]["simulation"]
    assert noted["seed"] == field.seed
    first = noted["times"][0]
    assert first["classes"] == {str(k): v for k, v in taken.truth.classes.items()}
    assert len(first["lines"]) == len(taken.truth.lines)
    classes = root["labels/cells"].attrs["ome"]["image-label"].get("properties", [])
    assert {(p["label-value"], p["class"]) for p in classes} >= set(taken.truth.classes.items())


def test_all_parameters_are_stored(plan, zarr_plate, png_plate):
    import isl

    group = json.loads((zarr_plate / "zarr.json").read_text())["attributes"]["isl"]
    beside = json.loads((png_plate / "truth.json").read_text())
    for noted in (group["simulation"], beside["simulation"]):
        assert (noted["version"], noted["seed"]) == (isl.__version__, 3)
        made = {k: SimulationConfig.model_validate(v) for k, v in noted["conditions"].items()}
        assert made == dict(plan.conditions)


@pytest.mark.parametrize("name", ["plate.zarr", "plate"])
def test_the_same_seed_gives_the_same_bytes(plan, zarr_plate, png_plate, tmp_path, name):
    simulate_plate(plan, tmp_path / name)
    first = zarr_plate if name.endswith(".zarr") else png_plate
    assert contents(tmp_path / name) == contents(first)


def test_png_folders_open_by_their_names_alone(png_plate):
    fovs = open_fovs(png_plate)
    assert len(fovs) == 8  # a published name has no place for time, so each is a field
    assert {f.well for f in fovs} == {"A1", "A2"}
    assert {f.condition for f in fovs} == {"alive", "dying"}


def test_png_labels_are_arrays_over_time(plan, png_plate):
    labels = np.load(png_plate / "labels" / "A-1-0.npz")
    assert labels["cells"].shape == labels["nuclei"].shape == (2, 24, 32)
    truth = json.loads((png_plate / "truth.json").read_text())["fields"]["A/1/0"]
    assert truth["condition"] == "alive"


def test_a_missing_plane_is_a_missing_file(quick, tmp_path):
    config = quick(changes={"stage": {"missing_planes": [1]}})
    simulate_plate(PlatePlan({"x": config}), tmp_path / "out")
    fovs = open_fovs(tmp_path / "out")
    positions = {c.z_positions for fov in fovs for c in fov.channels if c.planes > 1}
    assert len(positions) == 1
    assert positions.pop()[:2] == (0.0, 2.0)


def test_progress_ends_with_all_fields(quick, tmp_path):
    told = []
    simulate_plate(PlatePlan({"x": quick()}, fovs=2), tmp_path / "out", progress=told.append)
    done = [p.done for p in told]
    assert done == sorted(done)
    assert (told[-1].done, told[-1].total) == (2, 2)


@pytest.mark.concurrent
@pytest.mark.parametrize("name", ["plate.zarr", "plate"])
def test_an_error_in_the_middle_leaves_nothing(quick, tmp_path, monkeypatch, name):
    calls = []

    def fail_later(*args, **more):
        calls.append(args)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return acquire(*args, **more)

    monkeypatch.setattr("isl.simulate.plate.acquire", fail_later)
    with pytest.raises(KeyboardInterrupt):
        simulate_plate(PlatePlan({"x": quick()}, fovs=2), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_kept(quick, tmp_path):
    (tmp_path / "plate.zarr").mkdir()
    (tmp_path / "plate.zarr" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="--overwrite"):
        simulate_plate(PlatePlan({"x": quick()}), tmp_path / "plate.zarr")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"wells": 0}, "0 wells"),
        ({"wells": 400}, "1 to 312 wells"),
        ({"fovs": 0}, "0 fields"),
        ({"seed": -1}, "seed -1"),
        ({"times_h": ()}, "the times are none"),
        ({"times_h": (1.0, 1.0)}, "rising"),
        ({"conditions": {}}, "0 conditions"),
    ],
)
def test_impossible_plans_are_refused(numbers, message):
    with pytest.raises(ConfigError, match=message):
        PlatePlan(**{"conditions": {"x": preset("adherent")}, **numbers})


def test_conditions_have_fields_of_one_size():
    other = preset("adherent").resized((20, 20))
    with pytest.raises(ConfigError, match="different sizes"):
        PlatePlan({"x": preset("adherent"), "y": other})


@pytest.mark.parametrize(
    ("output", "asked", "found"),
    [("a.zarr", None, "zarr"), ("a", None, "png"), ("a", "png", "png"), ("a.b", None, "png")],
)
def test_format_follows_the_ending(output, asked, found):
    assert format_of(Path(output), asked) == found


@pytest.mark.parametrize(("output", "asked"), [("a", "zarr"), ("a.zarr", "png"), ("a.tif", None)])
def test_formats_that_contradict_the_name_are_refused(output, asked):
    with pytest.raises(ConfigError, match=r"name it|leave out"):
        format_of(Path(output), asked)
