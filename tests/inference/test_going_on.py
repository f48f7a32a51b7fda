"""Runs that go on with the backend with which they began."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from inference_scene import make_fov
from test_resume import stopped_after, tree

from isl.inference.backends.backend import Choice
from isl.inference.backends.choose import make_backend
from isl.inference.predict import plan_fovs, predict_fovs

pytestmark = pytest.mark.concurrent


@pytest.fixture
def fovs(rng):
    """Three fields of one task each."""
    return [make_fov(rng.integers(0, 4000, (1, 3, 70, 90), dtype=np.uint16), name=n) for n in "abc"]


@pytest.fixture
def unfinished(model, fovs, tmp_path):
    """Output that was begun with torch."""
    path = tmp_path / "p.zarr"
    with pytest.raises(KeyboardInterrupt):
        predict_fovs(model, fovs, path, backend="torch", progress=stopped_after(3))
    return path


@pytest.fixture(autouse=True)
def fastest(monkeypatch):
    """Another backend than that of the unfinished output is the fastest."""
    choice = Choice(make_backend("onnxruntime", 1), "onnxruntime, the fastest")
    monkeypatch.setattr("isl.inference.build.choose_backend", lambda *_: choice)


def test_auto_goes_on_with_the_backend_that_began(model, fovs, unfinished, tmp_path):
    summary = predict_fovs(model, fovs, unfinished, backend="auto")
    assert summary.resumed >= 1
    assert summary.backend == "torch, as the unfinished output began"
    predict_fovs(model, fovs, tmp_path / "whole.zarr", backend="torch")
    assert tree(unfinished) == tree(tmp_path / "whole.zarr")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backend": "onnxruntime"}, "differs in: backend"),
        ({"backend": "auto", "statistics": ("mean",)}, "differs in: backend, output, settings"),
        ({"backend": "auto", "restart": True}, "differs in: backend"),
    ],
)
def test_what_was_asked_for_otherwise_begins_anew(model, fovs, unfinished, change, reason, caplog):
    with caplog.at_level(logging.WARNING):
        summary = predict_fovs(model, fovs, unfinished, **change)
    assert summary.resumed == 0
    assert summary.backend.startswith("onnxruntime, ")
    assert reason in caplog.text


def test_a_backend_that_does_not_work_here_is_not_taken(model, fovs, unfinished, monkeypatch):
    monkeypatch.setattr("isl.inference.going_on.available_backends", lambda: ("onnxruntime",))
    summary = predict_fovs(model, fovs, unfinished, backend="auto")
    assert (summary.resumed, summary.backend) == (0, "onnxruntime, the fastest")


def test_a_plan_names_the_backend_that_began(model, fovs, unfinished):
    assert plan_fovs(model, fovs, unfinished, backend="auto").run_by.startswith("torch, as the unf")
    anew = plan_fovs(model, fovs, unfinished, backend="auto", restart=True)
    assert anew.run_by == "onnxruntime, the fastest"
