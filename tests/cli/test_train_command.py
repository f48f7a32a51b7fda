from __future__ import annotations

import pytest

from isl.cli.app import run
from isl.core.config import TrainConfig
from isl.core.errors import DataError


@pytest.fixture
def trained(monkeypatch, model):
    """Record what the command asks of the training, which here ends at once."""
    calls = []

    def train(fovs, config, output, **more):
        calls.append((fovs, config, output, more))
        return model

    monkeypatch.setattr("isl.training.run.train", train)
    return calls


def test_settings_and_paths_reach_the_training(trained, scene_dir, tmp_path, capsys):
    (tmp_path / "settings.yaml").write_text("batch_size: 2\nseed: 4\n")
    words = ["train", str(scene_dir / "images.csv"), "-o", "m.isl", "--overwrite"]
    assert run([*words, "--config", str(tmp_path / "settings.yaml"), "--seed", "5"]) == 0
    ((fovs, config, output, more),) = trained
    assert [f.name for f in fovs] == ["S1"]
    assert config == TrainConfig(batch_size=2, seed=5)
    assert (str(output), more["overwrite"], more["resume"]) == ("m.isl", True, False)
    shown = capsys.readouterr().out
    assert "held-out part (columns:48-95): NUCLEI 0.812, CYTOPLASM 0.750" in shown
    assert "next: isl predict m.isl" in shown


def test_bad_fields_are_counted(trained, two_fields, capsys):
    next(two_fields.glob("*well-S2*z_depth-1*")).write_bytes(b"no image")
    assert run(["train", str(two_fields), "-o", "m.isl"]) == 1
    assert "1 bad field skipped" in capsys.readouterr().out


def test_a_bad_setting_ends_before_the_images_are_opened(tmp_path, capsys):
    assert run(["train", str(tmp_path / "absent"), "-o", "m.isl", "--patch-px", "100"]) == 2
    assert "patch_px is 100" in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_go_on(scene_dir, tmp_path, monkeypatch, capsys):
    def train(*args, **more):
        (tmp_path / "m.run" / "checkpoints").mkdir(parents=True)
        (tmp_path / "m.run" / "checkpoints" / "last.ckpt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("isl.training.run.train", train)
    assert run(["train", str(scene_dir), "-o", str(tmp_path / "m.isl")]) == 130
    assert "--resume" in capsys.readouterr().err


def test_errors_of_the_training_are_printed(scene_dir, monkeypatch, capsys):
    def train(*args, **more):
        raise DataError("S1: nothing to learn; add targets")

    monkeypatch.setattr("isl.training.run.train", train)
    assert run(["train", str(scene_dir), "-o", "m.isl"]) == 2
    assert capsys.readouterr().err == "error: S1: nothing to learn; add targets\n"


def test_the_whole_way_from_images_to_a_report(scene_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--network.widths", "8,12", "--network.blocks", "1,1", "--network.z-slots", "3"]
    words = ["train", str(scene_dir), "-o", "m.isl", "--max-steps", "2", "--patch-px", "32"]
    words += ["--holdout", "columns:64-95", "--holdout-margin-px", "8", "--batch-size", "2"]
    assert run([*words, *small]) == 0
    assert "budget    2 steps" in capsys.readouterr().out
    assert run(["info", "m.isl"]) == 0
    assert run(["predict", "m.isl", str(scene_dir), "-o", "p.ome.tif"]) == 0
    assert run(["evaluate", "p.ome.tif", str(scene_dir), "-o", "r.html"]) == 0
    assert (tmp_path / "r.html").is_file()
