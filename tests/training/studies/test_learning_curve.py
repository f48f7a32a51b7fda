"""Learning curves: resumable, on the same held-out part, from scratch and from a model."""

import pandas as pd
import pytest
from training_scene import TINY, field

import isl.training.studies.learning_curve as module
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, OutputError
from isl.training.run import train
from isl.training.studies.learning_curve import CurvePoint, LearningCurve, learning_curve

SHORT = TINY | {"max_steps": 2, "validate_steps": 2, "loader_threads": 0}


def test_a_curve_is_learned_written_and_not_learned_again(tmp_path, monkeypatch):
    said = []
    config = TrainConfig(**SHORT)
    curve = learning_curve(
        [field()], config, tmp_path / "c", fractions=[1, 0.5], announce=said.append
    )
    assert [(p.amount, p.target) for p in curve.points] == [
        (a, t) for a in (0.5, 1) for t in ("DAPI", "MAP2")
    ]
    assert [p.train_pixels for p in curve.points] == [48 * 28] * 2 + [48 * 56] * 2
    table = pd.read_csv(tmp_path / "c" / "curve.csv")
    assert table["r"].tolist() == pytest.approx([p.r for p in curve.points])
    report = (tmp_path / "c" / "report.md").read_text()
    assert "columns:64-95" in report
    assert "cannot be estimated from fewer than 3 amounts" in report
    assert (tmp_path / "c" / "curve.png").is_file()
    learned = []
    original = module.train

    def counted(*args, **more):
        learned.append(args[2].name)
        return original(*args, **more)

    monkeypatch.setattr(module, "train", counted)
    again = learning_curve([field()], config, tmp_path / "c", fractions=[0.25, 0.5, 1])
    assert learned == ["scratch_0.25.isl"]
    kept = again.points[2:]
    assert [(p.start, p.target, p.amount, p.train_pixels) for p in kept] == [
        (p.start, p.target, p.amount, p.train_pixels) for p in curve.points
    ]
    # A model that is read from its file may run on another backend than when it was trained.
    assert [point.r for point in kept] == pytest.approx([p.r for p in curve.points], abs=1e-6)
    with pytest.raises(OutputError, match="other fields or settings"):
        learning_curve([field()], config.model_copy(update={"seed": 5}), tmp_path / "c")


def test_fields_are_added_and_a_model_is_compared_with_scratch(tmp_path):
    fovs = [field("a"), field("bb"), field("ccc")]
    train([field("dddd")], TrainConfig(**SHORT, targets=("DAPI",)), tmp_path / "old.isl")
    settings = {k: v for k, v in SHORT.items() if k != "network"} | {"holdout": "fovs:a"}
    config = TrainConfig(**settings, start_from=str(tmp_path / "old.isl"), targets=("MAP2",))
    curve = learning_curve(fovs, config, tmp_path / "c", amounts=[1, 2], also_scratch=True)
    assert set(curve.series()) == {("model", "MAP2"), ("scratch", "MAP2")}
    assert curve.unit == "fields"
    assert sum("MAP2 (from the model)" in line for line in curve.lines()) == 1


def test_what_makes_no_sense_is_refused(tmp_path):
    config = TrainConfig(**SHORT)
    with pytest.raises(ConfigError, match="give one with --from"):
        learning_curve([field()], config, tmp_path / "c", also_scratch=True)
    with pytest.raises(ConfigError, match="needs a held-out part"):
        learning_curve([field()], config.model_copy(update={"holdout": "none"}), tmp_path / "c")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(OutputError, match="holds other files"):
        learning_curve([field()], config, tmp_path / "full")
    assert not (tmp_path / "c").exists()


def test_estimates_are_in_the_report(tmp_path):
    points = [
        CurvePoint("scratch", "DAPI", n, 1000, r, r - 0.02, r + 0.02)
        for n, r in ((1, 0.5), (2, 0.6), (4, 0.66), (8, 0.7))
    ]
    curve = LearningCurve(tuple(points), "fields", "fovs:a")
    curve.write(tmp_path)
    assert "twice as much would bring about 0.7" in (tmp_path / "report.md").read_text()
