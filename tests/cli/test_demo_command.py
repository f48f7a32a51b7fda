from __future__ import annotations

import pytest

from isl.cli import demo
from isl.cli.app import run
from isl.core.errors import DataError
from isl.io.open import open_fovs
from isl.simulate.plate import PlatePlan
from isl.simulate.presets import preset
from isl.simulate.settings import with_changes


@pytest.fixture
def small_demo(monkeypatch, model_path):
    """The demo with a small scene and an untrained model."""

    changes = {
        "light": {"source_points": 3},
        "grid": {"planes": 3, "margin_um": 1.0, "slice_um": 3.0},
    }
    small = with_changes(preset(demo.PRESET), changes).resized((64, 80))
    monkeypatch.setattr("isl.simulate.presets.preset", lambda name: small)
    monkeypatch.setattr("isl.inference.registry.shipped_model", lambda name: model_path)


def test_everything_is_written_and_named(small_demo, tmp_path, capsys):
    output = tmp_path / "isl-demo"
    assert run(["demo", "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    for name in ("scene.zarr", "predictions.zarr", "report.html", "demo.png"):
        assert (output / name).exists()
        assert str(output / name) in shown
    (fov,) = open_fovs(output / "predictions.zarr")
    assert fov.channel_names == ("NUCLEI", "CYTOPLASM")
    assert ".partial-" not in (output / "report.html").read_text()
    (scene,) = open_fovs(output / "scene.zarr")
    assert scene.channel_names == ("BRIGHTFIELD", "NUCLEI", "CYTOPLASM")


def test_an_existing_demo_is_replaced_only_on_request(small_demo, tmp_path, capsys):
    words = ["demo", "--output", str(tmp_path / "isl-demo")]
    assert [run(words), run(words), run([*words, "--overwrite"])] == [0, 2, 0]
    assert "--overwrite" in capsys.readouterr().err


def test_a_failing_demo_leaves_nothing(tmp_path, monkeypatch, capsys):
    def refuse(*args, **more):
        raise DataError("no")

    monkeypatch.setattr("isl.simulate.plate.simulate_plate", refuse)
    assert run(["demo", "-o", str(tmp_path / "isl-demo")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_scene_was_not_trained_on():
    settings = {demo.PRESET: preset(demo.PRESET)}
    (shown,) = PlatePlan(settings, seed=demo.SEED).fields()
    learned = PlatePlan(settings, fovs=9, seed=1).fields()
    assert shown.seed not in {field.seed for field in learned}


def test_the_absent_real_well_is_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ISL_DATA", str(tmp_path))
    assert run(["demo", "--real", "-o", str(tmp_path / "out")]) == 2
    assert "ISL_DATA" in capsys.readouterr().err


@pytest.mark.data
def test_the_real_well_is_found(data_dir, monkeypatch):
    monkeypatch.setenv("ISL_DATA", str(data_dir))
    assert demo.real_well() == (data_dir / demo.REAL_WELL).resolve()
