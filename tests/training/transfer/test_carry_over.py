"""Targets, units, rates and frozen parts of a run that starts from another model."""

import copy

import pytest
import torch
from old_model import DEFAULT, SMALL, network, old

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.networks import ConvNeXtConfig, UNetConfig
from isl.data.normalization import TargetNormalizer
from isl.data.patches import Batch
from isl.inference.model_card import TargetCard, TrainedField
from isl.io.roles import Roles
from isl.training.callbacks import moving_average
from isl.training.loss import predict_batch
from isl.training.transfer.carry_over import (
    build_optimizer,
    freeze,
    hold_still,
    inherit,
    kept_units,
    parameter_groups,
    transfer_targets,
)
from isl.training.transfer.restore import restore_weights

UNET = UNetConfig(widths=(4, 6), z_slots=3)
CONVNEXT = ConvNeXtConfig(widths=(4, 6), blocks=(1, 1), stem_stride=2, z_slots=3)
DATA = Roles("phase", ("B", "C"), "as asked")


def config(**more):
    return TrainConfig(start_from="a.isl", network=DEFAULT, **more)


def batch(side=32):
    rng = torch.Generator().manual_seed(0)
    source = torch.randn(2, 3, side, side, generator=rng)
    target = torch.randn(2, 2, side, side, generator=rng)
    depths = torch.linspace(0, 1, 3).expand(2, -1)
    return Batch(source, depths, target, torch.ones(2, 2, side, side, dtype=torch.bool))


def started(kind, targets, settings, **restore):
    """A network that has taken over the targets A and B, and the model it has them from."""
    before = old(kind)
    new = network(kind, targets, 1)
    restored = restore_weights(new, targets, before, **restore)
    freeze(new, settings, restored)
    return before, new, restored


def learn(new, settings, restored, steps=4):
    """Train as a run does: the averaged weights are the result."""
    optimizer = build_optimizer(new, settings, restored)
    averaged, update = copy.deepcopy(new), moving_average(0.9)._kwargs["avg_fn"]
    for step in range(steps):
        new.train()
        hold_still(new)
        optimizer.zero_grad()
        prediction = predict_batch(new, batch())
        targets = prediction.median.shape[1]
        prediction.crps(batch().target[:, :1].expand(-1, targets, -1, -1)).mean().backward()
        optimizer.step()
        pairs = zip(averaged.state_dict().values(), new.state_dict().values(), strict=True)
        with torch.no_grad():
            for mean, current in pairs:
                mean.copy_(update(mean, current, step))
    return averaged.eval()


def test_old_targets_come_after_those_of_the_data():
    roles = transfer_targets(old(DEFAULT), DATA, config())
    assert roles.targets == ("B", "C", "A")
    assert "A kept from the model" in roles.reason
    assert transfer_targets(None, DATA, config()) == DATA
    assert transfer_targets(old(DEFAULT), DATA, config(keep_targets=False)) == DATA
    assert transfer_targets(old(DEFAULT), DATA, config(restore_heads=False)) == DATA
    with pytest.raises(ConfigError, match="source 'A' is a target of the model"):
        transfer_targets(old(DEFAULT), Roles("A", ("C",), ""), config())


class Cards:
    def __init__(self, *cards):
        self.card = self
        self.targets = cards


def test_heads_that_are_taken_over_keep_their_units():
    before = Cards(TargetCard(name="A", offset=5, scale=2), TargetCard(name="B", offset=7, scale=3))
    kept = kept_units(("B", "C"), before, config())
    assert kept == {"B": TargetNormalizer(7, 3)}
    assert kept_units(("B", "C"), None, config()) == {}
    assert kept_units(("B", "C"), before, config(restore_heads=False)) == {}


def test_targets_that_were_not_seen_keep_colour_and_display_range():
    before = Cards(
        TargetCard(name="A", offset=0, scale=1, color="FF0000", window=(1, 9), projection="mean")
    )

    before.card.trained_on = (TrainedField(name="f", path="a"), TrainedField(name="g", path="a"))

    class Card(Cards):
        trained_on = (TrainedField(name="g", path="a"), TrainedField(name="h", path="b"))

        def model_copy(self, update):
            return update

    seen = TargetCard(name="C", offset=0, scale=1, window=(2, 3))
    card = Card(TargetCard(name="A", offset=0, scale=1), seen)
    found = inherit(card, before)
    a, c = found["targets"]
    assert (a.color, a.window, a.projection) == ("FF0000", (1, 9), "mean")
    assert c == seen
    assert [field.name for field in found["trained_on"]] == ["g", "h", "f"]
    assert inherit(card, None) is card


@pytest.mark.parametrize("kind", [DEFAULT, UNET, CONVNEXT])
def test_frozen_parts_and_old_heads_do_not_move(kind):
    settings = config(freeze=("inputs", "shared", "heads"), learning_rate=0.1)
    before, new, restored = started(kind, ["C", "B", "A"], settings)
    fresh = copy.deepcopy(new)
    after = learn(new, settings, restored)
    for name, tensor in after.state_dict().items():
        if name not in restored.rows:
            assert torch.equal(tensor, before.network.state_dict()[name]), name
    for name, rows in restored.rows.items():
        one, other = after.state_dict()[name], fresh.state_dict()[name]
        assert all(torch.equal(one[part], other[part]) for part in rows)
        assert not torch.equal(one, other)
    with torch.no_grad():
        one, other = (predict_batch(n.eval(), batch()).median for n in (after, before.network))
    assert torch.equal(one[:, [2, 1]], other)


@pytest.mark.parametrize("part", ["inputs", "shared"])
def test_one_frozen_part_stays_and_the_others_learn(part):
    settings = config(freeze=(part,), learning_rate=0.1)
    before, new, restored = started(DEFAULT, ["B", "C"], settings)
    after, given = learn(new, settings, restored).state_dict(), before.network.state_dict()
    for name, where in restored.tensors.items():
        if where == part:
            assert torch.equal(after[name], given[name]), name
    other = "stem.1.weight" if part == "shared" else "stem.2.running_mean"
    assert not torch.equal(after[other], given[other])
    ((name, (rows,)),) = [(n, r) for n, r in restored.rows.items() if n == "head.0.weight"]
    assert not torch.equal(after[name][rows], given[name][-(rows.stop - rows.start) :])


def test_frozen_heads_that_are_modules_do_not_move():
    settings = config(freeze=("heads",))
    _, new, _ = started(SMALL, ["B", "C"], settings)
    frozen = {n for n, p in new.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(n.startswith("module.heads.") for n in frozen)
    fresh = new.module.head_names.index("head/MAXPROJECT/C")
    assert not any(n.startswith(f"module.heads.{fresh}.") for n in frozen)


def test_what_is_taken_over_learns_at_its_share_of_the_rate():
    settings = config(shared_learning_rate=0.25, weight_decay=0.1)
    _, new, restored = started(DEFAULT, ["B", "C"], settings)
    groups = parameter_groups(new, settings, restored)
    names = {id(p): n for n, p in new.named_parameters()}
    share = {names[id(p)]: g["share"] for g in groups for p in g["params"]}
    decay = {names[id(p)]: g["weight_decay"] for g in groups for p in g["params"]}
    assert len(share) == len(names)
    assert (share["stem.1.weight"], share["head.0.weight"]) == (0.25, 1.0)
    assert (decay["stem.1.weight"], decay["stem.2.weight"]) == (0.1, 0.0)


def test_shared_rows_move_by_their_share_of_a_step():
    moved = {}
    for share in (1.0, 0.25):
        settings = config(shared_learning_rate=share)
        _, new, restored = started(DEFAULT, ["B", "C"], settings)
        start = new.head[0].weight.detach().clone()
        optimizer = build_optimizer(new, settings, restored)
        new.head[0].weight.sum().backward()
        optimizer.step()
        moved[share] = (new.head[0].weight - start).detach()
    (rows,) = restored.rows["head.0.weight"]
    torch.testing.assert_close(moved[0.25][rows], 0.25 * moved[1.0][rows])
    assert torch.equal(moved[0.25][rows.stop :], moved[1.0][rows.stop :])


def test_a_run_from_random_weights_has_the_groups_it_had():
    new = network(DEFAULT, ["A"], 0)
    groups = parameter_groups(new, config(), None)
    assert [g["share"] for g in groups] == [1.0, 1.0]
    assert sum(len(g["params"]) for g in groups) == len(list(new.parameters()))


def test_what_cannot_be_frozen_is_refused():
    whole = ("inputs", "shared", "heads")
    with pytest.raises(ConfigError, match="leaves nothing to learn"):
        started(DEFAULT, ["B", "A"], config(freeze=whole))
    with pytest.raises(ConfigError, match="freeze inputs: the first layer starts anew"):
        started(DEFAULT, ["B"], config(freeze=("inputs",)), inputs=False)
    with pytest.raises(ConfigError, match="freeze heads: no head is taken over"):
        started(DEFAULT, ["X"], config(freeze=("heads",)))
    with pytest.raises(ConfigError, match="give one with --from"):
        freeze(network(DEFAULT, ["A"], 0), config(freeze=("shared",)), None)
