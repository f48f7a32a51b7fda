from unittest.mock import Mock

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from isl.data.patches import Batch
from isl.models.distribution import SplitLogistic
from isl.training.callbacks import PREVIEW_PX, ReportProgress, moving_average, preview_rows
from isl.training.module import LabelingModule


def batch(side, presence):
    target = torch.arange(2 * side * side, dtype=torch.float32).view(1, 2, side, side)
    return Batch(target[:, :1].repeat(1, 3, 1, 1), torch.linspace(0, 1, 3)[None], target, presence)


def distribution(target):
    return SplitLogistic(target + 1, torch.ones_like(target), torch.ones_like(target))


def test_preview_shows_the_middle_of_what_was_acquired():
    side = PREVIEW_PX + 100
    presence = torch.zeros(1, 2, side, side, dtype=torch.bool)
    presence[:, 0, 40:, 20:60] = True
    whole = batch(side, presence)
    rows = preview_rows(whole, distribution(whole.target), ("DAPI", "MAP2"))
    assert [row.name for row in rows] == ["DAPI", "MAP2"]
    assert rows[0].truth.shape == (PREVIEW_PX, 40)
    assert rows[1].truth is None
    assert np.allclose(rows[0].prediction, rows[0].truth + 1)
    first_row = 40 + (side - 40) // 2 - PREVIEW_PX // 2
    assert abs(rows[0].truth[0, 0] - (first_row * side + 20)) <= side


def test_moving_average_forgets_the_start_and_then_follows_slowly():
    layer = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(layer, **moving_average(0.99)._kwargs)
    layer.weight.data.fill_(100.0)
    average.update_parameters(layer)
    for step in range(110):
        layer.weight.data.fill_(1.0 if step < 100 else 2.0)
        average.update_parameters(layer)
    assert 1.2 < average.module.weight.item() < 1.9


def test_progress_leaves_out_targets_that_the_held_out_part_lacks():
    module = Mock(LabelingModule, loss=0.5, scores={"A": 0.9, "B": float("nan")})
    module.configure_mock(wait_share=0.0, fraction=0.1)
    reported = []
    ReportProgress(reported.append).on_train_batch_end(Mock(), module, None, Mock(), 0)
    assert [name for name, _ in reported[0].values] == ["loss", "r A", "waiting for data"]
