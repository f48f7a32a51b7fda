import torch
from torch import nn

from isl.core.networks import NetworkConfig
from isl.models.build import build_labeling_network
from isl.training.processes import sync_batch_norm
from isl.training.processes.sync_batch_norm import (
    SharedBatchNorm2d,
    share_batch_norm,
    unshare_batch_norm,
)


def norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


def test_sharing_keeps_parameters_and_can_be_undone():
    network = build_labeling_network(NetworkConfig(widths=(4,), blocks=(1,)), ["A"])
    before, parameters = network.state_dict(), list(network.parameters())
    share_batch_norm(network)
    assert {type(norm) for norm in norms(network)} == {SharedBatchNorm2d}
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))
    assert network.state_dict().keys() == before.keys()
    unshare_batch_norm(network)
    assert {type(norm) for norm in norms(network)} == {nn.BatchNorm2d}
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))


def compared(monkeypatch, momentum):
    """The plain batch norm, and the shared one of two processes with the same patches."""
    monkeypatch.setattr(sync_batch_norm, "process_count", lambda: 2)
    monkeypatch.setattr(sync_batch_norm, "_of_all", lambda values: torch.stack([values, values]))
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3, momentum=momentum, dtype=torch.float64)
    plain.weight.data.uniform_(0.5, 2.0)
    shared = SharedBatchNorm2d(3, momentum=momentum, dtype=torch.float64)
    shared.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64) * 3 + 10
    return plain, shared, x


def test_it_computes_what_batch_norm_does(monkeypatch):
    plain, shared, x = compared(monkeypatch, 0.1)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    twice = torch.cat([inputs[0], inputs[0].detach()])
    outputs = [plain(twice)[:2], shared(inputs[1])]
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(plain.running_mean, shared.running_mean)
    torch.testing.assert_close(plain.running_var, shared.running_var)
    assert shared.num_batches_tracked == 1


def test_its_gradients_are_right(monkeypatch):
    _, shared, x = compared(monkeypatch, 0.1)
    x.requires_grad_()

    def doubled(x, weight, bias):
        # Both processes have the same patches, so their gradients add up to twice that of one.
        return sync_batch_norm._Normalized.apply(x, weight, bias, 1e-5)[0]

    torch.autograd.gradcheck(doubled, (x, shared.weight, shared.bias))


def test_without_momentum_the_statistics_are_the_mean_of_all_batches(monkeypatch):
    plain, shared, x = compared(monkeypatch, None)
    for offset in (0, 5):
        plain(torch.cat([x, x]) + offset)
        shared(x + offset)
    torch.testing.assert_close(plain.running_mean, shared.running_mean)
    torch.testing.assert_close(plain.running_var, shared.running_var)


def test_predicting_uses_what_was_learned(monkeypatch):
    plain, shared, x = compared(monkeypatch, 0.1)
    shared(x)
    plain(torch.cat([x, x]))
    torch.testing.assert_close(plain.eval()(x[:1]), shared.eval()(x[:1]))
