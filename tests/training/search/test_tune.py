import csv
import signal
import sys
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import torch
import yaml

from isl.cli.settings import read_settings
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, DamagedFileError, DataError, MissingExtraError, OutputError
from isl.core.networks import NetworkConfig
from isl.core.progress import Progress
from isl.inference.model_file import load_model
from isl.io.arrays import fov_from_arrays
from isl.training.search import study as tune_study
from isl.training.search import trial as tune_trial
from isl.training.search.study import only_search
from isl.training.search.trial import Unpromising, Watch, mean_score
from isl.training.search.tune import tune

TINY = {
    "network": NetworkConfig(widths=(8, 8), blocks=(1, 1)),
    "batch_size": 2,
    "patch_px": 32,
    "max_steps": 3,
    "validate_steps": 1,
    "holdout": "columns:64-95",
    "holdout_margin_px": 8,
    "source": "phase",
}
SEARCH = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"low": 1, "high": 3},
}


def field(name="a"):
    rng = np.random.default_rng(ord(name))
    phase = rng.normal(100, 50, (3, 48, 96)).astype(np.float32)
    return fov_from_arrays({"phase": phase, "DAPI": phase[1] * 2 + 5, "MAP2": -phase[0]}, name=name)


@pytest.fixture
def runs(monkeypatch):
    """Training runs that end at once; the score is that of the learning rate nearest to 0.01."""
    done = []

    def train(fovs, config, output, *, overwrite, progress, on_bad):
        done.append(config)
        r = 1 - abs(np.log10(config.learning_rate) + 2) / 4
        for step in (1, 2, 3, 4):
            values = (("loss", 1.0), ("r DAPI", r * step / 4), ("r MAP2", float("nan")))
            progress(Progress(step / 4, 1.0, "budget", f"step {step}", values))
        output.write_bytes(str(config.learning_rate).encode())
        card = SimpleNamespace(scores={"DAPI": r}, target_names=("DAPI", "MAP2"))
        return SimpleNamespace(card=card)

    monkeypatch.setattr(tune_trial, "train", train)
    monkeypatch.setattr(
        "isl.training.search.tune.write_picture", lambda *search: None
    )  # takes a while
    return done


def search(tmp_path, **more):
    options = {"hours": 1.0, "trials": 3, "search": SEARCH} | more
    config = options.pop("config", TrainConfig(**TINY))
    return tune([field()], config, tmp_path / "s", **options)


def test_the_whole_way_on_a_tiny_network(tmp_path):
    ended, reports = [], []
    found = search(tmp_path, announce=ended.append, progress=reports.append)
    assert [t.state for t in ended] == ["complete"] * 3
    assert [t.number for t in found.trials] == [0, 1, 2]
    assert ended[0].values == {"learning_rate": 1.5e-3, "batch_size": 2}
    assert reports[-1].message.startswith("trial 2, training, step 3")
    best = load_model(tmp_path / "s" / "best.isl")
    assert mean_score(best.card.scores, best.card.target_names) == found.best.score
    assert found.best.score == max(t.score for t in found.trials)
    assert best.card.training["learning_rate"] == found.best.values["learning_rate"]
    assert read_settings(tmp_path / "s" / "best.yaml") == found.best_config
    assert found.best_config.network == TINY["network"]
    report = (tmp_path / "s" / "report.md").read_text()
    assert f"Best: trial {found.best.number}" in report
    assert "optimistic" in report
    assert (tmp_path / "s" / "report.png").read_bytes()[:4] == b"\x89PNG"
    with (tmp_path / "s" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["r"]) for row in rows] == [t.score for t in found.trials]
    assert list((tmp_path / "s" / "trials").rglob("metrics.csv"))
    assert not list((tmp_path / "s" / "trials").rglob("*.ckpt"))
    assert not list((tmp_path / "s" / "trials").glob("*.isl"))
    assert yaml.safe_load((tmp_path / "s" / "search.yaml").read_text()) == SEARCH


def test_a_pruned_run_is_torn_down(tmp_path, monkeypatch):
    def everything():
        return optuna.pruners.ThresholdPruner(lower=2.0)

    monkeypatch.setattr(tune_study, "pruner", everything)
    before = signal.getsignal(signal.SIGINT)
    found = search(tmp_path, trials=2)
    assert [t.state for t in found.trials] == ["pruned", "pruned"]
    assert found.best is None
    assert all(t.score is not None and set(t.scores) == {"DAPI", "MAP2"} for t in found.trials)
    assert signal.getsignal(signal.SIGINT) is before
    assert "2 pruned" in (tmp_path / "s" / "report.md").read_text()
    assert not (tmp_path / "s" / "best.isl").exists()


def test_the_same_call_goes_on_as_if_undisturbed(tmp_path, runs):
    whole = search(tmp_path / "whole", trials=6)
    for count in (2, 6):
        parts = search(tmp_path / "parts", trials=count)
    assert len(runs) == 12
    assert [t.values for t in parts.trials] == [t.values for t in whole.trials]
    assert len({t.values["learning_rate"] for t in whole.trials}) == 6
    assert (tmp_path / "parts" / "s" / "best.isl").read_bytes() == str(
        parts.best.values["learning_rate"]
    ).encode()


@pytest.mark.slow
def test_a_search_finds_more_than_the_start(tmp_path, runs):
    found = search(tmp_path, trials=24)
    assert found.best.score > 0.48  # of 0.5, as one of two targets has no score
    assert found.count("pruned") > 0
    report = (tmp_path / "s" / "report.md").read_text()
    assert "| learning_rate | 0.9" in report.replace("1.00 ", "0.9")
    assert "... and 4 more" in report


@pytest.mark.concurrent
def test_an_interrupted_trial_is_failed_and_tried_again(tmp_path, runs):
    def interrupt(report):
        if report.message == "trial 1, step 3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, progress=interrupt)
    assert "1 complete, 0 pruned, 1 failed" in (tmp_path / "s" / "report.md").read_text()
    found = search(tmp_path)
    assert [t.state for t in found.trials] == ["complete", "failed", "complete", "complete"]
    assert found.trials[1].note == "interrupted; tried again"
    assert found.trials[2].values == found.trials[1].values


@pytest.mark.concurrent
def test_trials_of_a_killed_process_are_tried_again_once(tmp_path, runs):
    search(tmp_path, trials=1)
    killed = []
    for _ in range(2):
        study = optuna.load_study(
            study_name="isl", storage=f"sqlite:///{tmp_path / 's' / 'study.db'}"
        )
        trial = study.ask()
        trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        trial.suggest_int("batch_size", 1, 3)
        killed.append(trial.params)
        search(tmp_path, trials=0)
    found = search(tmp_path, trials=2)
    assert [t.state for t in found.trials] == ["complete", "failed", "failed", "complete"]
    assert "without a word" in found.trials[1].note
    assert killed[0] == killed[1] == found.trials[1].values == found.trials[2].values
    assert found.trials[3].values != killed[0]


def test_the_hours_count_over_all_calls(tmp_path, runs, monkeypatch):
    clock = iter(np.arange(0, 1e6, 360.0))
    monkeypatch.setattr(Watch.__init__, "__defaults__", (lambda: next(clock),))
    config = TrainConfig(**{n: v for n, v in TINY.items() if n != "max_steps"}, max_minutes=20)
    first = search(tmp_path, config=config, hours=1.0, trials=1)
    used = first.trials[0].minutes
    assert used > 20
    more = search(tmp_path, config=config, hours=2.5, trials=None)
    assert len(more.trials) == 1 + (150 - used - 20) // used + 1
    again = search(tmp_path, config=config, hours=2.5, trials=None)
    assert len(again.trials) == len(more.trials)
    assert f"of {2.5:g} hours" in (tmp_path / "s" / "report.md").read_text()


def test_trials_get_a_budget_and_validations(tmp_path, runs):
    bare = TrainConfig(holdout="columns:64-95")
    search(tmp_path / "a", config=bare, trials=1)
    assert (runs[-1].max_minutes, runs[-1].validate_minutes) == (10.0, 2.0)
    search(tmp_path / "b", config=TrainConfig(max_steps=1000), trials=1)
    assert (runs[-1].max_steps, runs[-1].validate_steps) == (1000, 200)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": TrainConfig(**TINY | {"seed": 3})}, r"other settings \(seed 0, now 3\)"),
        ({"search": {"batch_size": {"choices": [1]}}}, "other search;"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(tmp_path, runs, changes, message):
    search(tmp_path, trials=1)
    with pytest.raises(ConfigError, match=f"{message}.*choose another --output"):
        search(tmp_path, **changes)
    with pytest.raises(ConfigError, match="other images"):
        tune([field("b")], TrainConfig(**TINY), tmp_path / "s", hours=1, search=SEARCH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hours": 0}, "hours must be above 0"),
        ({"config": TrainConfig(holdout="none")}, "hold something out"),
        ({"config": TrainConfig(devices=2)}, "one device"),
        ({"config": TrainConfig(max_minutes=90)}, "90 minutes does not fit in 1 hours"),
        ({"test": "columns:0-9"}, "cannot keep 'columns:0-9' for a test"),
        ({"test": "fovs:zz"}, "zz"),
        ({"search": {"seed": {"choices": [1]}}}, "lucky seed"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        search(tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path, runs):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").touch()
    with pytest.raises(OutputError, match="no folder of a search"):
        search(tmp_path)
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["thesis.txt"]


def test_a_damaged_study_is_named(tmp_path, runs):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.db").write_bytes(b"nothing of use" * 100)
    with pytest.raises(DamagedFileError, match=r"study\.db cannot be read"):
        search(tmp_path)


def test_two_searches_in_one_folder_at_a_time_are_refused(tmp_path, runs):
    search(tmp_path, trials=1)
    folder = tune_study.TuneFolder(tmp_path / "s")
    with only_search(folder), pytest.raises(OutputError, match="another 'isl tune' works there"):
        search(tmp_path)
    search(tmp_path, trials=2)


def failing(monkeypatch, errors):
    """Let runs fail with these errors, one after the other."""
    real = tune_trial.train

    def train(*args, **more):
        error = next(errors, None)
        if error is not None:
            raise error
        return real(*args, **more)

    monkeypatch.setattr(tune_trial, "train", train)


def test_trials_that_diverge_or_are_too_large_are_noted(tmp_path, runs, monkeypatch):
    failing(monkeypatch, iter([ConfigError("not a | number"), torch.OutOfMemoryError("no room")]))
    found = search(tmp_path, trials=2)
    assert [t.state for t in found.trials] == ["failed", "failed", "complete", "complete"]
    report = (tmp_path / "s" / "report.md").read_text()
    assert "not a / number" in report
    assert "no room" in report


def test_a_search_in_which_everything_fails_ends(tmp_path, runs, monkeypatch):
    failing(monkeypatch, iter([ConfigError("no such well")] * 9))
    with pytest.raises(ConfigError, match=r"3 trials failed one after the other.*no such well"):
        search(tmp_path)


@pytest.mark.parametrize("error", [DataError("gone"), RuntimeError("a fault")])
def test_what_no_recipe_can_help_ends_the_search(tmp_path, runs, monkeypatch, error):
    failing(monkeypatch, iter([error]))
    with pytest.raises(type(error), match=str(error)):
        search(tmp_path)
    assert "1 failed" in (tmp_path / "s" / "report.md").read_text()


def test_bad_fields_are_reported_once(tmp_path, runs, monkeypatch):
    real = tune_trial.train

    def train(*args, on_bad, **more):
        on_bad("b", DataError("blank"))
        return real(*args, on_bad=on_bad, **more)

    monkeypatch.setattr(tune_trial, "train", train)
    bad = []
    search(tmp_path, on_bad=lambda name, error: bad.append(name))
    assert bad == ["b"]


def test_fields_kept_for_a_test_are_not_searched_on(tmp_path):
    fovs = [field(name) for name in ("a", "b", "c")]
    config = TrainConfig(**TINY | {"holdout": "fovs:b"})
    tune(fovs, config, tmp_path / "s", hours=1, trials=1, search=SEARCH, test="fovs:c")
    card = load_model(tmp_path / "s" / "best.isl").card
    assert [f.name for f in card.trained_on] == ["a"]
    report = (tmp_path / "s" / "report.md").read_text()
    assert "on fields that no trial saw" in report
    assert "- DAPI: r = " in report


class Trial:
    """Of a study; falls behind from the third validation on."""

    number = 7

    def __init__(self):
        self.reported, self.user_attrs = [], {}

    def report(self, score, step):
        self.reported.append((score, step))

    def should_prune(self):
        return len(self.reported) >= 3

    def set_user_attr(self, name, value):
        self.user_attrs[name] = value


def at(done, **scores):
    return Progress(done, 1.0, "budget", "", tuple((f"r {n}", r) for n, r in scores.items()))


def test_a_watch_reports_each_validation_once():
    trial, seconds = Trial(), iter(range(100))
    watch = Watch(trial, lambda progress: None, clock=lambda: next(seconds))
    nan = float("nan")
    for progress in (at(0.1), at(0.2, A=0.5, B=nan), at(0.3, A=0.5, B=nan), at(0.4, A=0.7, B=0.1)):
        watch(progress)
    assert trial.reported == [(0.25, 1), (pytest.approx(0.4), 2)]
    assert trial.user_attrs["scores"] == {"A": 0.7, "B": 0.1}
    assert trial.user_attrs["seconds"] == 2
    with pytest.raises(Unpromising):
        watch(at(0.5, A=0.1, B=0.1))


def test_a_run_that_is_done_is_not_ended():
    trial = Trial()
    watch = Watch(trial, lambda progress: None)
    for r in (0.1, 0.2, 0.3, 0.4):
        watch(at(1.0, A=r))
    assert len(trial.reported) == 4


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"isl tune needs.*'in-silico-labeling\[tune\]'"):
        search(tmp_path)
