import pytest
import torch

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.data.patches import Batch
from isl.models.distribution import SplitLogistic
from isl.training.fields import check_weights
from isl.training.loss import batch_loss, masked_score


def parts(**changes):
    torch.manual_seed(0)
    raw = torch.randn(2, 6, 8, 8, requires_grad=True)
    target = torch.randn(2, 2, 8, 8)
    presence = torch.ones(2, 2, 8, 8, dtype=torch.bool)
    return raw, target, presence


def weighted(squared_error=0.5, log_score=0.1):
    return TrainConfig(squared_error_weight=squared_error, log_score_weight=log_score)


def score(raw, target, presence):
    return masked_score(SplitLogistic.from_raw(raw, 2), target, presence, weighted())


def test_absent_pixels_do_not_matter_and_get_no_gradient():
    raw, target, presence = parts()
    presence[:, 0, :4] = False
    loss = score(raw, target, presence)
    loss.backward()
    changed = target.clone()
    changed[:, 0, :4] = 1e6
    assert score(raw, changed, presence).item() == pytest.approx(loss.item())
    assert not raw.grad[:, :3, :4].any()
    assert raw.grad[:, 3:].any()


def test_missing_target_leaves_the_other_alone():
    raw, target, presence = parts()
    presence[:, 1] = False
    both = score(raw, target, presence)
    alone = masked_score(
        SplitLogistic.from_raw(raw[:, :3], 1), target[:, :1], presence[:, :1], weighted()
    )
    assert both.item() == pytest.approx(alone.item())


def test_nothing_acquired_trains_nothing():
    raw, target, presence = parts()
    loss = score(raw, target, torch.zeros_like(presence))
    loss.backward()
    assert loss.item() == 0
    assert not raw.grad.any()


@pytest.mark.parametrize("weights", [(0, 0), (0.5, 0), (0, 0.1), (0, 5), (3, 1)])
def test_the_truth_scores_best(weights):
    """Proper: on samples of a distribution, that distribution scores best."""
    torch.manual_seed(1)
    u = torch.rand(1, 1, 300, 300)
    logit = torch.log(u / (1 - u))
    sample = 0.5 + torch.where(logit < 0, 0.7, 1.6) * logit
    everywhere = torch.ones(1, 1, 300, 300, dtype=torch.bool)

    def of(median, left, right):
        filled = (torch.full((1, 1, 300, 300), v) for v in (median, left, right))
        return masked_score(SplitLogistic(*filled), sample, everywhere, weighted(*weights)).item()

    truth = of(0.5, 0.7, 1.6)
    for other in [
        (0.7, 0.7, 1.6),
        (0.3, 0.7, 1.6),
        (0.5, 0.5, 1.6),
        (0.5, 1.0, 1.6),
        (0.5, 0.7, 1.2),
    ]:
        assert truth < of(*other)


@pytest.mark.parametrize(("power", "ratio"), [(0.0, 1.0), (2.0, 16.0)])
def test_targets_weigh_by_their_scores(power, ratio):
    """Target 1 has four times the error of target 0."""
    raw = torch.zeros(1, 6, 4, 4)
    raw[:, [1, 2, 4, 5]] = -7.0
    raw.requires_grad_()
    target = torch.stack([torch.full((4, 4), 1.0), torch.full((4, 4), 4.0)])[None]

    class Network:
        def distribution(self, source, z_position):
            return SplitLogistic.from_raw(raw, 2)

    batch = Batch(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1), target, torch.ones_like(target) > 0)
    config = TrainConfig(squared_error_weight=0, difficulty_power=power)
    batch_loss(Network(), batch, config).backward()
    easy, hard = raw.grad[:, 0].abs().sum(), raw.grad[:, 3].abs().sum()
    assert (hard / easy).item() == pytest.approx(ratio, rel=0.02)
    raw.grad = None
    batch_loss(Network(), batch, config, weights=[3.0, 1.0]).backward()
    easy, hard = raw.grad[:, 0].abs().sum(), raw.grad[:, 3].abs().sum()
    assert (hard / easy).item() == pytest.approx(ratio / 3, rel=0.02)


@pytest.mark.parametrize("power", [0.0, 1.5])
def test_an_absent_target_does_not_make_others_weigh_more(power):
    raw, target, presence = parts()

    class Network:
        def distribution(self, source, z_position):
            return SplitLogistic.from_raw(raw, 2)

    def gradient(presence, weights):
        raw.grad = None
        config = TrainConfig(difficulty_power=power)
        batch = Batch(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1), target, presence)
        loss = batch_loss(Network(), batch, config, weights)
        loss.backward()
        return loss.item(), raw.grad[:, :3].clone()

    alone = presence.clone()
    alone[:, 1] = False
    loss, of_first = gradient(alone, (1.0, 3.0))
    whole, of_first_alone = gradient(alone, (1.0, 1e-9))
    assert loss == pytest.approx(whole / 4)
    torch.testing.assert_close(of_first, of_first_alone / 4)
    if not power:  # exactly as much as beside the other
        torch.testing.assert_close(of_first, gradient(presence, (1.0, 3.0))[1])
    assert gradient(torch.zeros_like(presence), (1.0, 3.0))[0] == 0.0


def test_weights_are_names_and_numbers():
    config = TrainConfig(target_weights=["B=4", "A=B=.5"])
    assert config.weights_of(["A", "B", "A=B"]) == (1.0, 4.0, 0.5)
    for text in ("B", "B=", "=2", "B=0", "B=-1", "B=nan"):
        with pytest.raises(ValueError, match="NAME=NUMBER"):
            TrainConfig(target_weights=[text])
    with pytest.raises(ConfigError, match="no such target; the targets are: A"):
        check_weights(config, ["A"])


def test_batch_loss_asks_the_network():
    class Ramp:
        def distribution(self, source, z_position):
            raw = torch.zeros(len(source), 6, *source.shape[-2:]) + z_position.sum()
            return SplitLogistic.from_raw(raw, 2)

    _, target, presence = parts()
    batch = Batch(torch.zeros(2, 3, 8, 8), torch.ones(2, 3), target, presence)
    other = batch._replace(z_position=torch.zeros(2, 3))
    config = weighted(0, 0)
    assert batch_loss(Ramp(), batch, config).item() > batch_loss(Ramp(), other, config).item()
