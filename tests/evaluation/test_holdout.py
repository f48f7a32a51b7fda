"""What a model has not seen."""

from dataclasses import replace

import pytest

from isl.core.errors import ConfigError
from isl.core.region import parse_region
from isl.evaluation.holdout import Training, held_out_parts


@pytest.fixture
def fovs(scene):
    return [scene.fov(name, scene.truth(shape=(8, 16))) for name in ("A4", "B1")]


def training(scene, holdout, *names):
    return Training.of_card(scene.card(holdout, names))


def chosen(parts):
    return {part.fov.name: part.region and str(part.region) for part in parts}


def test_held_out_region_of_trained_fields_only(scene, fovs):
    parts, notes = held_out_parts(training(scene, "columns:8-15", "A4"), fovs, None)
    assert chosen(parts) == {"A4": "columns:8-15", "B1": None}
    assert "trained on A4" in notes[0]


def test_foreign_fields_count_as_a_whole(scene, fovs):
    parts, notes = held_out_parts(training(scene, "columns:8-15", "other"), fovs, None)
    assert chosen(parts) == {"A4": None, "B1": None}
    assert notes == ()


def test_trained_fields_are_left_out_where_fields_were_held_out(scene, fovs):
    parts, notes = held_out_parts(training(scene, "fovs:B1", "A4"), fovs, None)
    assert chosen(parts) == {"B1": None}
    assert "left out" in notes[0]


@pytest.mark.parametrize("holdout", [None, "none", "wells:B/03"])
def test_training_data_alone_is_scored_with_a_warning(scene, fovs, holdout):
    parts, notes = held_out_parts(training(scene, holdout, "A4"), fovs[:1], None)
    assert chosen(parts) == {"A4": None}
    assert "too good" in notes[0]


def test_a_region_that_is_given_wins(scene, fovs):
    region = parse_region("rows:0-3")
    parts, notes = held_out_parts(training(scene, "columns:8-15", "A4"), fovs, region)
    assert chosen(parts) == {"A4": "rows:0-3", "B1": "rows:0-3"}
    assert "too good" in notes[0]
    _, notes = held_out_parts(training(scene, "rows:0-3", "A4"), fovs, region)
    assert notes == ()


def test_predictions_say_what_their_model_has_seen():
    card = {"holdout": "columns:8-15", "trained_on": [{"name": "A4", "path": "wells"}]}
    found = Training.of_prediction({"model": card, "statistics": ["median"]})
    assert found == Training("columns:8-15", frozenset({"A4"}))
    for foreign in ({}, {"model": None}, {"model": {"holdout": "none"}}):
        assert Training.of_prediction(foreign) is None


TWO = "neurons[columns:8-15]; flow[wells:B/03]; strip[rows:0-3]"


def of_dataset(fovs, *datasets):
    """The same fields as a run with several data sets calls them."""
    return [
        replace(fov, name=f"{dataset}:{fov.name}", dataset=dataset)
        for fov, dataset in zip(fovs, datasets, strict=True)
    ]


def test_each_data_set_has_its_own_rule(scene, fovs):
    trained = training(scene, TWO, "neurons:A4", "flow:B1")
    parts, notes = held_out_parts(trained, of_dataset(fovs, "neurons", "flow"), None)
    assert chosen(parts) == {"neurons:A4": "columns:8-15"}
    assert "columns:8-15" in notes[0]
    assert "left out because the model was trained on them: flow:B1" in notes[1]


def test_fields_without_a_data_set_get_the_only_rule_that_fits(scene, fovs):
    trained = training(scene, TWO, "neurons:A4", "strip:B1")
    parts, notes = held_out_parts(trained, fovs, None)
    assert chosen(parts) == {"A4": "columns:8-15", "B1": "rows:0-3"}
    assert len(notes) == 2


def test_fields_that_may_be_of_several_data_sets_need_a_region(scene, fovs):
    trained = training(scene, TWO, "neurons:A4", "strip:A4")
    with pytest.raises(ConfigError, match=r"columns:8-15 and rows:0-3.*--region"):
        held_out_parts(trained, fovs, None)
    region = parse_region("columns:8-15")
    parts, notes = held_out_parts(trained, fovs, region)
    assert chosen(parts) == {"A4": "columns:8-15", "B1": "columns:8-15"}
    assert "too good" in notes[0]


def test_predictions_of_a_data_set_are_recognised_by_their_full_name(scene, fovs):
    trained = training(scene, TWO, "neurons:A4")
    parts, _ = held_out_parts(trained, [fovs[0].renamed("neurons:A4")], None)
    assert chosen(parts) == {"neurons:A4": "columns:8-15"}


def test_a_field_is_recognised_with_and_without_its_data_set(scene, fovs):
    for trained, evaluated in (("neurons:A4", fovs), ("A4", of_dataset(fovs, "x", "x"))):
        parts, _ = held_out_parts(training(scene, "fovs:B1", trained), evaluated, None)
        assert [part.fov.name for part in parts] == [evaluated[1].name]


@pytest.mark.parametrize("rule", ["conditions:x", "plates:p", "donors:d", "datasets:e", "share:.2"])
def test_whole_fields_held_out_by_any_rule_are_what_is_scored(scene, fovs, rule):
    parts, notes = held_out_parts(training(scene, rule, "A4"), fovs, None)
    assert chosen(parts) == {"B1": None}
    assert "left out" in notes[0]
