"""The loss of 2018, against values computed by hand."""

import math

import pytest
import torch

from isl.core.networks import Isl2018Config
from isl.data.patches import Batch
from isl.models.categorical import Categorical
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.training.loss import batch_loss, head_loss, heldout_loss, published_loss

SMALL = Isl2018Config(base_depth=8, planes=2, classes=4)


def test_uniform_prediction_has_loss_one():
    values = torch.rand(2, 3, 3)
    loss = head_loss(torch.zeros(2, 5, 3, 3), values, torch.ones(2, 3, 3))
    assert loss.item() == pytest.approx(1.0)


def test_head_loss_by_hand():
    # Two pixels of three classes; values 0.5 and 0.2 belong to class 1 and class 0.
    p = torch.tensor([[0.2, 0.5], [0.7, 0.25], [0.1, 0.25]]).view(1, 3, 1, 2)
    values = torch.tensor([[[0.5, 0.2]]])
    loss = head_loss(p.log(), values, torch.ones(1, 1, 2))
    assert loss.item() == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 2 / math.log(3))


def test_mean_goes_over_pixels_whose_weight_is_not_zero():
    p = torch.tensor([[0.2, 0.5], [0.7, 0.25], [0.1, 0.25]]).view(1, 3, 1, 2)
    values = torch.tensor([[[0.5, 0.2]]])
    first = head_loss(p.log(), values, torch.tensor([[[1.0, 0.0]]]))
    assert first.item() == pytest.approx(-math.log(0.7) / math.log(3))
    half = head_loss(p.log(), values, torch.tensor([[[0.5, 1.0]]]))
    assert half.item() == pytest.approx(-(0.5 * math.log(0.7) + math.log(0.5)) / 2 / math.log(3))
    assert head_loss(p.log(), values, torch.zeros(1, 1, 2)).item() == 0.0


@pytest.mark.parametrize(("value", "index"), [(0.0, 0), (0.49 / 3, 0), (0.51 / 3, 1), (1.0, 3)])
def test_class_is_the_nearest(value, index):
    logits = torch.zeros(1, 4, 1, 1)
    logits[0, index] = 5.0
    values = torch.full((1, 1, 1), value)
    assert head_loss(logits, values, torch.ones(1, 1, 1)).item() < 0.1


def batch(presence=True, side=250):
    torch.manual_seed(0)
    target = torch.rand(2, 2, side, side)
    there = torch.full(target.shape, presence)
    return Batch(torch.rand(2, 3, side, side), torch.tensor([[0, 0.5, 1.0]] * 2), target, there)


def test_half_is_for_the_planes_and_half_for_the_targets():
    torch.manual_seed(0)
    network = Isl2018Labeling(SMALL, ["A", "B"]).eval()
    given = batch()
    logits = network.module(network.features(given.source, given.z_position))
    inner = slice(121, 129)
    planes = [
        head_loss(
            logits[f"head/{z}/TRANSMISSION"], given.source[:, i, inner, inner], torch.ones(2, 8, 8)
        )
        for z, i in ((0.0, 0), (1.0, 2))
    ]
    targets = [
        head_loss(
            logits[f"head/MAXPROJECT/{name}"], given.target[:, i, inner, inner], torch.ones(2, 8, 8)
        )
        for i, name in enumerate("AB")
    ]
    expected = 0.25 * sum(planes) + 0.25 * sum(targets)
    assert batch_loss(network, given, None).item() == pytest.approx(expected.item(), rel=1e-5)
    # A target that is absent adds nothing and still counts.
    given.presence[:, 1] = False
    expected = 0.25 * sum(planes) + 0.25 * targets[0]
    assert published_loss(network, given).item() == pytest.approx(expected.item(), rel=1e-5)


def test_absent_targets_train_the_shared_part_and_not_their_head():
    torch.manual_seed(0)
    network = Isl2018Labeling(SMALL, ["A", "B"])
    given = batch()
    given.presence[:, 1] = False
    published_loss(network, given).backward()
    assert not any(p.grad.any() for p in network.module.heads[3].parameters())
    assert all(p.grad.any() for p in network.module.heads[2].parameters())


def test_without_heads_for_planes_the_targets_have_all():
    torch.manual_seed(0)
    config = SMALL.model_copy(update={"reconstruction": False})
    network = Isl2018Labeling(config, ["A", "B"])
    assert published_loss(network, batch(presence=False)).item() == 0.0
    assert published_loss(network, batch(side=266)).item() > 0.0


def test_heldout_loss_is_that_of_the_target_heads():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, 5)
    ends = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    target, presence = torch.rand(2, 3, 5, 5), torch.rand(2, 3, 5, 5) > 0.5
    expected = sum(head_loss(logits[:, :, i], target[:, i], presence[:, i]) for i in range(3)) / 3
    found = heldout_loss(Categorical.from_logits(logits, *ends), target, presence, None)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
