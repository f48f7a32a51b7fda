from __future__ import annotations

import sys

import pytest

from isl.cli.app import run
from isl.core.config import TrainConfig
from isl.training.search.report import Search
from isl.training.search.space import search_space
from isl.training.search.trial import TrialRecord

SEARCH = "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\n"


@pytest.fixture
def searched(monkeypatch):
    """Record what the command asks of the search, which here ends at once."""
    calls = []

    def tune(fovs, config, folder, **more):
        calls.append((fovs, config, folder, more))
        values = {"learning_rate": 2e-3}
        trials = (
            TrialRecord(0, "complete", 0.5, {"NUCLEI": 0.5}, values, 30.0),
            TrialRecord(1, "failed", None, {}, {}, 1.0, "it diverged"),
        )
        for trial in trials:
            more["announce"](trial)
        return Search(trials, config, search_space(None, config), more["hours"])

    monkeypatch.setattr("isl.training.search.tune.tune", tune)
    return calls


def test_everything_reaches_the_search(searched, scene_dir, tmp_path, capsys):
    (tmp_path / "search.yaml").write_text(SEARCH)
    (tmp_path / "base.yaml").write_text("batch_size: 2\nseed: 4\n")
    words = ["tune", str(scene_dir / "images.csv"), "-o", "found", "--hours", "8", "--trials", "9"]
    words += ["--search", str(tmp_path / "search.yaml"), "--config", str(tmp_path / "base.yaml")]
    assert run([*words, "--seed", "5", "--trial-minutes", "3", "--test", "fovs:S1"]) == 0
    ((fovs, config, folder, more),) = searched
    assert [f.name for f in fovs] == ["S1"]
    assert config == TrainConfig(batch_size=2, seed=5, max_minutes=3)
    assert (str(folder), more["hours"], more["trials"]) == ("found", 8.0, 9)
    assert more["search"] == {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    assert more["test"] == "fovs:S1"
    shown = capsys.readouterr().out
    assert "trial 0: complete, r 0.500, 30.0 min" in shown
    assert "trial 1: failed, 1.0 min: it diverged" in shown
    assert "2 trials in 0.52 of 8 hours" in shown
    assert "best: trial 0, mean held-out r 0.500 (optimistic" in shown
    assert "--config found/best.yaml" in shown


def test_a_budget_in_steps_needs_no_minutes(searched, scene_dir):
    words = ["tune", str(scene_dir / "images.csv"), "-o", "s", "--hours", "1", "--max-steps", "7"]
    assert run(words) == 0
    assert searched[0][1].max_steps == 7
    assert searched[0][1].max_minutes is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trial-minutes", "3", "--max-steps", "7"], "give the budget of a trial once"),
        (["--trial-minutes", "0"], "must be above 0"),
        (["--search", "absent.yaml"], "there is no file absent.yaml; check --search"),
        (["--batch-size", "0"], "--batch-size"),
    ],
)
def test_bad_flags(searched, scene_dir, more, message, capsys):
    words = ["tune", str(scene_dir / "images.csv"), "-o", "s", "--hours", "1", *more]
    assert run(words) == 2
    assert message in capsys.readouterr().err
    assert searched == []


def test_bad_ranges_are_named(scene_dir, tmp_path, capsys):
    (tmp_path / "search.yaml").write_text("learning_rte: {low: 1, high: 2}\n")
    words = ["tune", str(scene_dir / "images.csv"), "-o", str(tmp_path / "s"), "--hours", "1"]
    assert run([*words, "--search", str(tmp_path / "search.yaml")]) == 2
    assert "did you mean learning_rate?" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_without_optuna_the_extra_is_named(scene_dir, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run(["tune", str(scene_dir), "-o", "s", "--hours", "1"]) == 2
    assert "pip install 'in-silico-labeling[tune]'" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(scene_dir, tmp_path, monkeypatch, capsys):
    def tune(fovs, config, folder, **more):
        folder.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("isl.training.search.tune.tune", tune)
    words = ["tune", str(scene_dir / "images.csv"), "-o", str(tmp_path / "s"), "--hours", "1"]
    assert run(words) == 130
    assert "to go on, repeat the command" in capsys.readouterr().err
