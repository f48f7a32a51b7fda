"""Of ONNX Runtime alone; that it agrees with torch is tested for all backends together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isl.models.stages import SOURCE, Stage

pytest.importorskip("onnxruntime")

from isl.inference.backends import onnx
from isl.inference.backends.onnx import OnnxBackend


@pytest.fixture
def given_back(monkeypatch) -> list[bool]:
    """Whether memory was given back, each time that options were made for it."""
    made: list[bool] = []
    options = onnx._giving_back

    def counted():
        made.append(True)
        return options()

    monkeypatch.setattr(onnx, "_giving_back", counted)
    return made


def a_run():
    module = nn.Conv2d(2, 3, 3, padding=1).eval().requires_grad_(False)
    inputs = (torch.randn(1, 2, 8, 8),)
    run = OnnxBackend(1).compile(Stage("only", module, (SOURCE,), 1, 1, 1), inputs)
    return module, run


def test_memory_is_given_back_where_the_width_changes(given_back):
    module, run = a_run()
    counts = []
    for rows, columns in ((8, 8), (4, 8), (8, 12), (2, 12), (8, 8)):
        source = torch.randn(1, 2, rows, columns)
        torch.testing.assert_close(run(source), module(source), rtol=1e-4, atol=1e-5)
        counts.append(len(given_back))
    assert counts == [0, 0, 1, 1, 2]
