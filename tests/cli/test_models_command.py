from __future__ import annotations

from pathlib import Path

import pytest

from isl.cli.app import run
from isl.inference.model_file import save_model

PAGE = Path(__file__).parent.parent.parent / "docs" / "models.md"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("ISL_MODELS", raising=False)


def test_the_list(capsys):
    assert run(["models"]) == 0
    shown = capsys.readouterr().out
    facts = ["demo-scene", "demo-neurons", "NUCLEI, CYTOPLASM", "0.78, 0.88, 0.61", "13 planes"]
    for fact in [*facts, "isl demo --real", "10.8"]:
        assert fact in shown


def test_all_about_one(capsys):
    assert run(["models", "demo-neurons"]) == 0
    shown = capsys.readouterr().out
    facts = ["CC BY 4.0", "Christiansen", "0.781 (DAPI_CONFOCAL)", "other wells will do worse"]
    facts += ["not for: measurements", "recipes/neurons.yaml", "seed 0", "log: not kept", "widths"]
    for fact in facts:
        assert fact in shown


def test_the_page(capsys):
    assert run(["models", "--markdown"]) == 0
    assert capsys.readouterr().out == PAGE.read_text("utf-8")


def test_models_of_the_user_and_damaged_ones(model, tmp_path, monkeypatch, capsys):
    save_model(model, tmp_path / "liver.isl")
    (tmp_path / "broken.isl").write_bytes(b"nothing")
    monkeypatch.setenv("ISL_MODELS", str(tmp_path))
    assert run(["models"]) == 1
    shown = capsys.readouterr()
    assert "your own" in shown.out
    assert "0.81, 0.75" in shown.out
    assert "skipped broken" in shown.err
    assert run(["models", "liver"]) == 0
    assert "0.8125" in capsys.readouterr().out


def test_an_unknown_model(capsys):
    assert run(["models", "demo-newrons"]) == 2
    assert "did you mean demo-neurons?" in capsys.readouterr().err


def test_names_in_place_of_files(model, scene_dir, tmp_path, monkeypatch, capsys):
    save_model(model, tmp_path / "liver.isl")
    monkeypatch.setenv("ISL_MODELS", str(tmp_path))
    assert run(["info", "liver"]) == 0
    assert "model of 2 targets" in capsys.readouterr().out
    assert run(["predict", "liver", str(scene_dir), "-o", "p.zarr"]) == 0
    words = ["evaluate", "liver", str(scene_dir), "-o", "r.html", "--region", "columns:0-40"]
    assert run(words) == 0
    assert Path("r.html").is_file()


@pytest.mark.parametrize("command", ["info", "predict", "evaluate"])
def test_misspelled_names(command, scene_dir, capsys):
    words = {"info": [], "predict": [str(scene_dir), "-o", "p.zarr"]}
    words["evaluate"] = [str(scene_dir), "-o", "r.html"]
    assert run([command, "demo-nurons", *words[command]]) == 2
    assert "did you mean demo-neurons?" in capsys.readouterr().err


def test_training_from_a_name(model, scene_dir, tmp_path, monkeypatch, capsys):
    save_model(model, tmp_path / "liver.isl")
    monkeypatch.setenv("ISL_MODELS", str(tmp_path))
    words = ["train", str(scene_dir), "-o", "m.isl", "--max-steps", "1", "--batch-size", "1"]
    words += ["--patch-px", "32", "--holdout", "none", "--source", "BRIGHTFIELD"]
    assert run([*words, "--from", "liver"]) == 0
    assert "liver" in capsys.readouterr().out
