from __future__ import annotations

import pytest

from isl.cli.app import run
from isl.evaluation.evaluation import Evaluation
from isl.evaluation.tables import ScoreRow
from isl.training.studies.fold_scores import CrossValidation, Fold


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Record what the command asks of the cross-validation, which here ends at once."""
    calls = []

    def cross_validate(fovs, config, folder, rules, *, on_fold, **more):
        calls.append((config, rules(fovs), more))
        rows = tuple(
            ScoreRow("S1", "DAPI", metric, 0.8, 0.7, 0.9, 10) for metric in ("pearson_r", "ssim")
        )
        evaluation = Evaluation("", ("S1",), ("DAPI",), rows, (), (), ())
        made = (
            Fold(1, "wells:A", tmp_path / "1", evaluation),
            Fold(2, "wells:B", tmp_path / "2", error="no target is left"),
        )
        for fold in made:
            on_fold(fold)
        return CrossValidation(made[:1] if config.seed else made)

    monkeypatch.setattr("isl.training.studies.cross_validation.cross_validate", cross_validate)
    return calls


def test_scores_failures_and_exit_code_are_told(asked, two_fields, capsys):
    words = ["cross-validate", str(two_fields), "-o", "cv", "--folds", "2", "--batch-size", "2"]
    assert run(words) == 1
    ((config, rules, more),) = asked
    assert rules == ("wells:S1", "wells:S2")
    assert config.batch_size == 2
    assert more["overwrite"] is False
    shown = capsys.readouterr()
    assert "fold 2 (wells:B) failed: no target is left" in shown.err
    assert "0.800 (0.70 to 0.90)" in shown.out
    assert "mean ± spread" in shown.out
    assert "scores.csv" in shown.out
    assert run([*words, "--seed", "1"]) == 0


def test_one_at_a_time_and_columns_of_few_fields(asked, two_fields):
    assert run(["cross-validate", str(two_fields), "-o", "cv", "--leave-one-out", "field"]) == 1
    assert run(["cross-validate", str(two_fields), "-o", "cv", "--folds", "3"]) == 1
    assert [rules for _, rules, _ in asked] == [
        ("fovs:S1", "fovs:S2"),
        ("columns:0-31", "columns:32-63", "columns:64-95"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--leave-one-out", "condition", "--folds", "3"], "not both"),
        (["--leave-one-out", "donor"], "its donor is not known"),
        (["--holdout", "none"], "--holdout: each fold holds out its own part"),
        (["--folds", "5", "--by", "well"], "5 folds need as many wells"),
        (["--folds", "1"], "at least 2|2 or more"),
    ],
)
def test_impossible_requests_are_refused(asked, two_fields, capsys, words, message):
    assert run(["cross-validate", str(two_fields), "-o", "cv", *words]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert any(part in error for part in message.split("|"))


def test_an_interrupted_command_says_how_to_go_on(two_fields, monkeypatch, capsys):
    def cross_validate(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("isl.training.studies.cross_validation.cross_validate", cross_validate)
    assert run(["cross-validate", str(two_fields), "-o", "cv"]) == 130
    assert "repeat the command" in capsys.readouterr().err
