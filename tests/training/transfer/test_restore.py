import pytest
import torch
from old_model import DEFAULT, SMALL, network, old
from training_scene import TINY, field

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.networks import Isl2018Config
from isl.training.run import train
from isl.training.transfer.restore import restore_weights


def head(model, target):
    """Weights of the head of one target."""
    names = model.targets if hasattr(model, "targets") else ("B", "C")
    index = names.index(target)
    if hasattr(model, "module"):
        position = model.module.head_names.index(f"head/MAXPROJECT/{target}")
        return model.module.heads[position].conv.weight
    rows = model.head[0].weight.shape[0] // len(names)
    return model.head[0].weight[rows * index : rows * (index + 1)]


@pytest.mark.parametrize("config", [SMALL, DEFAULT])
@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("heads", [True, False])
def test_what_is_asked_for_is_taken_over(config, inputs, heads):
    before = old(config)
    new, fresh = network(config, ["B", "C"], 1), network(config, ["B", "C"], 1)
    restored = restore_weights(new, ["B", "C"], before, inputs=inputs, heads=heads)
    assert restored.inputs == inputs
    assert restored.heads == (("B",) if heads else ())
    first = (lambda n: n.module.core.projection) if config is SMALL else (lambda n: n.stem[1])
    last = (lambda n: n.module.core.upper[13].reduce.conv) if config is SMALL else _last
    assert torch.equal(last(new).weight, last(before.network).weight)
    assert torch.equal(first(new).weight, first(before.network if inputs else fresh).weight)
    if heads and config is SMALL:
        assert torch.equal(head(new, "B"), head(before.network, "B"))
    elif heads:
        rows = new.head[0].weight.shape[0] // 2
        assert torch.equal(head(new, "B"), before.network.head[0].weight[rows:])
    else:
        assert torch.equal(head(new, "B"), head(fresh, "B"))
    assert torch.equal(head(new, "C"), head(fresh, "C"))


def _last(network):
    return network.decoder[0][0].second


@pytest.mark.parametrize(("config", "changes"), [(SMALL, {"planes": 3}), (DEFAULT, {"z_slots": 2})])
def test_other_planes_get_a_new_first_layer(config, changes):
    new = network(config.model_copy(update=changes), ["A"], 1)
    restored = restore_weights(new, ["A"], old(config))
    assert not restored.inputs
    assert str(restored) == ("the shared part and the heads of A; new are the first layer")


def test_networks_that_differ_are_refused():
    with pytest.raises(ConfigError, match="of another size"):
        restore_weights(
            network(Isl2018Config(base_depth=50, planes=2), ["A"], 0), ["A"], old(SMALL)
        )
    with pytest.raises(ConfigError, match="isl2018, but this run has default"):
        restore_weights(network(DEFAULT, ["A"], 0), ["A"], old(SMALL))


def test_a_run_goes_on_from_a_model_and_says_so(tmp_path):
    first = train([field()], TrainConfig(**TINY), tmp_path / "a.isl")
    plans = []
    settings = {k: v for k, v in TINY.items() if k != "network"} | {"learning_rate": 1e-9}
    config = TrainConfig(**settings, targets=("MAP2",), start_from=str(tmp_path / "a.isl"))
    second = train([field()], config, tmp_path / "b.isl", announce=plans.append)
    assert second.card.network == first.card.network
    assert any("start     " in line and "heads of MAP2" in line for line in plans[0].lines())
    torch.testing.assert_close(
        second.network.stem[1].weight, first.network.stem[1].weight, atol=1e-5, rtol=1e-3
    )
    assert second.card.training["start_from"] == str(tmp_path / "a.isl")


def test_settings_of_the_network_are_checked_when_it_is_known(tmp_path):
    """Crops are for the network of 2018, which here only the model to start from names."""
    config = TrainConfig(start_from=str(tmp_path / "a.isl"), crop_px=520, max_steps=1)
    train([field()], TrainConfig(**TINY), tmp_path / "a.isl")
    with pytest.raises(ConfigError, match="crop_px is for the network isl2018"):
        train([field()], config, tmp_path / "b.isl")
