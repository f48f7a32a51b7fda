"""What a model has not seen."""

import pytest

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
