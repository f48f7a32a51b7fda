from __future__ import annotations

import pytest

from isl.core.config import TrainConfig
from isl.training.search.report import Search, _draw, best_yaml, report_lines
from isl.training.search.space import search_space
from isl.training.search.trial import TrialRecord

SPACE = search_space({"batch_size": {"choices": [2, 4]}}, TrainConfig())


def record(number, score, state="complete", **more):
    return TrialRecord(number, state, score, {"DAPI": 0.5}, {"batch_size": 4}, 6.0, **more)


def search(*trials):
    return Search(trials, TrainConfig(max_minutes=6), SPACE, 2.0)


def test_the_best_is_the_first_complete_trial_of_the_highest_score():
    found = search(
        record(0, 0.1), record(1, 0.6), record(2, 0.9, "pruned"), record(3, 0.6), record(4, None)
    )
    assert found.best.number == 1
    assert found.best_config.batch_size == 4
    assert found.hours_used == pytest.approx(0.5)
    assert list(found.table()["r DAPI"]) == [0.5] * 5


@pytest.mark.parametrize("shares", [{}, {"batch_size": 0.75, "learning_rate": 0.25}])
def test_importances_are_drawn_and_told_where_there_are_any(shares):
    found = search(record(0, 0.1), record(1, 0.6))
    assert len(_draw(found, shares).axes) == (2 if shares else 1)
    text = "\n".join(report_lines(found, shares, ()))
    assert ("| batch_size | 0.75 |" in text) == bool(shares)
    assert ("fewer than 8 complete" in text) != bool(shares)


def test_a_search_without_a_complete_trial_says_so():
    lines = report_lines(search(record(0, None, "failed", note="it | diverged")), {}, ())
    assert "No trial is complete yet." in lines
    assert lines[-1] == "| 0 | failed | - | 6.0 | it / diverged |"


def test_a_test_is_told():
    assert "- DAPI: r = 0.40" in report_lines(search(record(0, 0.5)), {}, ("DAPI: r = 0.40",))


def test_the_best_settings_are_those_given_and_chosen():
    assert best_yaml(search(record(0, 0.5))).splitlines() == [
        "# Trial 0 of a search, held-out r 0.5000 (optimistic: chosen)",
        "max_minutes: 6.0",
        "batch_size: 4",
    ]
