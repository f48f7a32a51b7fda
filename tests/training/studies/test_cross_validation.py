from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, DataError, OutputError
from isl.core.networks import NetworkConfig
from isl.data.folds import folds, leave_one_out
from isl.inference.model_file import load_model
from isl.io.arrays import fov_from_arrays
from isl.training.studies import cross_validation
from isl.training.studies.cross_validation import cross_validate
from isl.training.studies.fold_scores import CrossValidation

TINY = {
    "network": NetworkConfig(widths=(8,), blocks=(1,)),
    "batch_size": 2,
    "patch_px": 32,
    "max_steps": 3,
    "validate_steps": 2,
    "holdout_margin_px": 4,
    "source": "phase",
    "loader_threads": 0,
}
CONFIG = TrainConfig(**TINY)


def field(name, seed, without=(), **labels):
    rng = np.random.default_rng(seed)
    phase = gaussian_filter(rng.normal(100, 50, (2, 40, 48)), (0, 2, 2)).astype(np.float32)
    channels = {"phase": phase, "DAPI": phase[1] * 2 + 5, "MAP2": -phase[0]}
    kept = {k: v for k, v in channels.items() if k not in without}
    return replace(fov_from_arrays(kept, name=name), **labels)


@pytest.fixture
def fovs():
    conditions = ("drug", "drug", "control", "none")
    return [
        field(f"f{seed}", seed, condition=condition) for seed, condition in enumerate(conditions)
    ]


@pytest.fixture
def trainings(monkeypatch):
    """The outputs that were trained, and whether each was resumed."""
    calls = []
    train = cross_validation.train

    def counted(fovs, config, output, **more):
        calls.append((output.parent.name, more["resume"]))
        return train(fovs, config, output, **more)

    monkeypatch.setattr(cross_validation, "train", counted)
    return calls


def test_each_fold_has_a_model_that_is_scored_on_what_it_has_not_seen(fovs, tmp_path):
    plans, done, steps = [], [], []
    found = cross_validate(
        fovs,
        CONFIG,
        tmp_path / "cv",
        leave_one_out(fovs, "condition"),
        announce=lambda number, plan: plans.append((number, plan.split.holdout)),
        on_fold=done.append,
        progress=steps.append,
    )
    assert [fold.holdout for fold in found.folds] == [
        "conditions:control",
        "conditions:drug",
        "conditions:none",
    ]
    assert plans == [(fold.number, fold.holdout) for fold in found.folds]
    assert tuple(done) == found.folds
    assert any(step.message.startswith("fold 2 of 3") for step in steps)
    drug = found.folds[1]
    assert drug.evaluation.fields == ("f0", "f1")
    assert {f.name for f in load_model(drug.model).card.trained_on} == {"f2", "f3"}
    assert drug.model == tmp_path / "cv" / "fold_02" / "model.isl"
    table = pd.read_csv(tmp_path / "cv" / "scores.csv")
    assert len(table) == 6
    row = table[(table.fold == 2) & (table.target == "DAPI")].iloc[0]
    assert row.held_out == "conditions:drug"
    assert (row.fields, row.pixels) == (2, 2 * 40 * 48)
    assert row.pearson_r == pytest.approx(drug.evaluation.score("DAPI", "pearson_r").value)
    page = (tmp_path / "cv" / "report.md").read_text("utf-8")
    assert "3 of 3 folds" in page
    assert str(found.summary("DAPI", "pearson_r")) in page
    values = [fold.evaluation.score("DAPI", "pearson_r").value for fold in found.folds]
    assert found.summary("DAPI", "pearson_r").mean == pytest.approx(np.mean(values))
    assert found.summary("DAPI", "pearson_r").spread == pytest.approx(np.std(values, ddof=1))


def test_a_repeated_call_trains_only_what_is_missing(fovs, tmp_path, trainings):
    rules = folds(fovs, 2, "field")
    first = cross_validate(fovs, CONFIG, tmp_path / "cv", rules)
    found = cross_validate(fovs, CONFIG, tmp_path / "cv", rules)
    assert trainings == [("fold_01", False), ("fold_02", False)]
    pd.testing.assert_frame_equal(first.table(), found.table())
    (tmp_path / "cv" / "fold_02" / "model.isl").unlink()
    again = cross_validate(fovs, CONFIG, tmp_path / "cv", rules)
    assert trainings[2:] == [("fold_02", True)]
    pd.testing.assert_frame_equal(first.table(), again.table())
    cross_validate(fovs, CONFIG, tmp_path / "cv", rules, overwrite=True)
    assert trainings[3:] == [("fold_01", False), ("fold_02", False)]


def test_an_interruption_leaves_what_can_be_gone_on_with(fovs, tmp_path, trainings):
    def stop(fold):
        raise KeyboardInterrupt

    rules = folds(fovs, 2, "field")
    with pytest.raises(KeyboardInterrupt):
        cross_validate(fovs, CONFIG, tmp_path / "cv", rules, on_fold=stop)
    cross_validate(fovs, CONFIG, tmp_path / "cv", rules)
    assert trainings == [("fold_01", False), ("fold_02", False)]


def test_folds_of_other_settings_rules_or_fields_are_not_mixed(fovs, tmp_path, monkeypatch):
    rules = folds(fovs, 2, "field")
    monkeypatch.setattr(cross_validation, "_run_fold", lambda *a: pytest.fail("no fold is run"))
    with pytest.raises(BaseException, match="no fold is run"):
        cross_validate(fovs, CONFIG, tmp_path / "cv", rules)
    other = TrainConfig(**{**TINY, "seed": 3})
    for fields, config, asked, what in (
        (fovs, other, rules, r"seed 0 \(now 3\)"),
        (fovs, CONFIG, rules[::-1], "rules: their order"),
        ([*fovs, field("more", 9)], CONFIG, rules, "fields: more"),
    ):
        with pytest.raises(ConfigError, match=f"trained otherwise: {what}.*--overwrite"):
            cross_validate(fields, config, tmp_path / "cv", asked)


def test_a_bad_fold_is_reported_and_the_others_go_on(fovs, tmp_path):
    fovs[2] = field("f2", 2, condition="control", without=("MAP2",))
    rules = ("conditions:control", "conditions:absent", "conditions:none")
    found = cross_validate(fovs, CONFIG, tmp_path / "cv", rules)
    assert [fold.number for fold in found.failed] == [2]
    assert "cannot hold out conditions absent" in found.failed[0].error
    assert found.folds[0].evaluation.targets == ("DAPI",)
    assert found.summary("MAP2", "pearson_r").folds == 1
    assert "fold 2 (conditions:absent) failed" in (tmp_path / "cv" / "report.md").read_text()
    table = pd.read_csv(tmp_path / "cv" / "scores.csv")
    assert "cannot hold out" in table[table.fold == 2].note.item()


def test_where_all_folds_fail_there_is_an_error(fovs, tmp_path):
    with pytest.raises(DataError, match=r"all 1 folds failed; .* conditions x"):
        cross_validate(fovs, CONFIG, tmp_path / "cv", ("conditions:x",))


def test_a_copy_of_a_held_out_field_makes_the_fold_fail(fovs, tmp_path):
    copy = replace(fovs[0], name="copy", condition="none")
    rules = ("conditions:drug", "conditions:control")
    found = cross_validate([*fovs, copy], CONFIG, tmp_path / "cv", rules)
    assert [fold.number for fold in found.failed] == [1]
    assert "f0 (held out) is in copy (trained on)" in found.failed[0].error


def test_columns_of_a_single_field(fovs, tmp_path):
    rules = ("columns:0-23", "columns:24-47")
    found = cross_validate(fovs[:1], CONFIG, tmp_path / "cv", rules)
    assert not found.failed
    assert found.folds[0].evaluation.score("DAPI", "pearson_r").pixels == 40 * 24


def test_data_sets_are_left_out_one_at_a_time(fovs, tmp_path):
    several = [
        replace(fov, name=f"{dataset}:{fov.name}", dataset=dataset)
        for fov, dataset in zip(fovs, "aabb", strict=True)
    ]
    found = cross_validate(several, CONFIG, tmp_path / "cv", lambda f: leave_one_out(f, "dataset"))
    assert [fold.evaluation.fields for fold in found.folds] == [
        ("a:f0", "a:f1"),
        ("b:f2", "b:f3"),
    ]


def test_a_fold_does_without_targets_that_only_its_held_out_part_has(tmp_path, caplog):
    fovs = [field("aa", 0, ["MAP2"], dataset="a"), field("bb", 1, dataset="b")]
    fovs.append(field("cc", 2, ["DAPI"], dataset="b"))
    found = cross_validate(fovs, CONFIG, tmp_path / "cv", leave_one_out(fovs, "dataset"))
    assert not found.failed
    assert load_model(tmp_path / "cv/fold_01/model.isl").card.target_names == ("DAPI", "MAP2")
    assert load_model(tmp_path / "cv/fold_02/model.isl").card.target_names == ("DAPI",)
    assert "fold 2 does without MAP2: only datasets:b has it" in caplog.text


def test_a_held_out_part_with_no_target_of_the_others_fails(tmp_path):
    lacking = {"a": ["MAP2"], "b": ["MAP2"], "c": ["DAPI"]}
    fovs = [field(f"f{d}", i, lacking[d], dataset=d) for i, d in enumerate(lacking)]
    found = cross_validate(fovs, CONFIG, tmp_path / "cv", leave_one_out(fovs, "dataset"))
    assert [fold.holdout for fold in found.failed] == ["datasets:c"]
    assert "no other part" in (found.failed[0].error or "")


def test_a_bad_field_is_reported_once_and_in_no_fold(fovs, tmp_path):
    bad = []
    lonely = field("lonely", 7, without=("DAPI", "MAP2"))
    found = cross_validate(
        [*fovs, lonely],
        CONFIG,
        tmp_path / "cv",
        lambda usable: folds(usable, 2, "field"),
        on_bad=lambda name, error: bad.append(name),
    )
    assert bad == ["lonely"]
    assert not found.failed
    assert all("lonely" not in fold.holdout for fold in found.folds)


def test_a_folder_of_somebody_else_is_left_alone(fovs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="not made by a cross-validation"):
            cross_validate(fovs, CONFIG, tmp_path / "mine", ("none",), overwrite=overwrite)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_no_fold_at_all_has_no_figures():
    summary = CrossValidation(()).summary("DAPI", "pearson_r")
    assert (summary.folds, str(summary)) == (0, "-")
