from __future__ import annotations

import numpy as np
import pytest
import tifffile
from inference_scene import make_model

from isl.inference.predict import plan_fovs, predict_fovs
from isl.inference.runnable_model import RunnableModel
from isl.io.open import open_fovs


@pytest.fixture
def fovs(rng, tmp_path):
    path = tmp_path / "a.tif"
    stack = rng.integers(0, 4000, (3, 70, 90), dtype=np.uint16)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
    return open_fovs(path)


@pytest.fixture
def planned(monkeypatch):
    """Boxes whose pieces are worked out."""
    boxes, plan = [], RunnableModel.plan

    def noted(self, job, border="reflect", write=None, sides=None):
        boxes.append(write)
        return plan(self, job, border, write, sides)

    monkeypatch.setattr(RunnableModel, "plan", noted)
    return boxes


def test_a_run_works_out_the_pieces_of_a_task_once(fovs, tmp_path, planned):
    predict_fovs(make_model(), fovs, tmp_path / "p.zarr", tile_px=32)
    assert planned
    assert len(planned) == len(set(planned))


def test_what_a_plan_says_works_out_the_pieces_once(fovs, tmp_path, planned):
    plan = plan_fovs(make_model(), fovs, tmp_path / "p.zarr", tile_px=32)
    assert sum(plan.parts.values()) >= len(plan.tasks)
    assert plan.computed_pixels >= plan.pixels == 70 * 90
    assert plan.memory_bytes > 0
    assert len(planned) == len(plan.tasks)
