"""The old model's targets are not forgotten where they were not acquired."""

import copy
import math

import pytest
import torch
from old_model import DEFAULT, SMALL, network, old
from torch import nn

from isl.data.patches import Batch
from isl.models.categorical import Categorical
from isl.models.distribution import SplitLogistic
from isl.training.loss import predict_batch
from isl.training.transfer.restore import restore_weights
from isl.training.transfer.retention import Memory, recall, retention_loss

SHAPE = (2, 1, 4, 4)


def logistic(median, left, right):
    return SplitLogistic(*(torch.full(SHAPE, value) for value in (median, left, right)))


def batch(presence, side=32):
    source = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    present = torch.tensor(presence)[None, :, None, None].expand(2, -1, side, side)
    depths = torch.linspace(0, 1, 3).expand(2, -1)
    return Batch(source, depths, torch.zeros(2, len(presence), side, side), present)


def test_distance_is_the_mean_squared_difference_of_quantiles():
    one, other = logistic(0.5, 1.0, 0.2), logistic(0.0, 0.4, 0.7)
    levels = [(i + 0.5) / 4000 for i in range(4000)]
    squares = [float((one.quantile(p) - other.quantile(p))[0, 0, 0, 0]) ** 2 for p in levels]
    found = retention_loss(one, other, torch.ones(SHAPE, dtype=torch.bool))
    assert float(found) == pytest.approx(sum(squares) / len(squares), rel=5e-3)
    assert float(retention_loss(one, one, torch.ones(SHAPE, dtype=torch.bool))) == 0.0


def test_only_pixels_without_the_target_count():
    absent = torch.zeros(SHAPE, dtype=torch.bool)
    one = logistic(0.0, 1.0, 1.0)
    assert float(retention_loss(one, logistic(3.0, 1.0, 1.0), absent)) == 0.0
    absent[0, 0, 0, 0] = True
    assert float(retention_loss(one, logistic(3.0, 1.0, 1.0), absent)) == pytest.approx(9.0)


def test_classes_are_compared_by_their_divergence():
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    ends = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    one, other = (Categorical(x.view(1, 2, 1, 1, 1), *ends) for x in (p, q))
    absent = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    expected = float((q * (q / p).log()).sum()) / math.log(2)
    assert float(retention_loss(one, other, absent)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(TypeError, match="cannot compare"):
        retention_loss(one, logistic(0.0, 1.0, 1.0), absent)


def test_what_was_taken_over_is_remembered_exactly_and_a_change_costs():
    before = old(DEFAULT)
    targets = ["C", "B", "A"]
    new = network(DEFAULT, targets, 1).eval()
    memory = Memory(before, targets, restore_weights(new, targets, before).heads)
    patches = batch([True, False, False])
    assert memory.loss(predict_batch(new, patches), patches).item() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        new.head[0].bias += 1.0
    loss = memory.loss(predict_batch(new, patches), patches)
    assert loss.item() > 0.1
    loss.backward()
    count = new.head[0].bias.shape[0] // 3
    assert new.head[0].bias.grad[count:].abs().sum() > 0
    assert new.head[0].bias.grad[:count].abs().sum() == 0
    assert float(memory.loss(predict_batch(new, patches), batch([True] * 3))) == 0.0


def test_the_network_of_2018_remembers_the_centre_of_patches():
    before = old(SMALL)
    targets = ["B", "C"]
    new = network(SMALL, targets, 1).eval()
    memory = Memory(before, targets, restore_weights(new, targets, before).heads)
    patches = batch([False, True], side=250)
    patches = patches._replace(source=patches.source.clamp(0, 1))
    prediction = recall(new, patches)
    assert prediction.median.shape[-2:] == (8, 8)
    assert memory.loss(prediction, patches).item() == pytest.approx(0, abs=1e-6)


def test_the_memory_is_no_part_of_a_module():
    module = nn.Linear(1, 1)
    module.memory = Memory(old(DEFAULT), ["A"], ["A"])
    assert set(module.state_dict()) == {"weight", "bias"}
    assert copy.deepcopy(module).memory is module.memory
