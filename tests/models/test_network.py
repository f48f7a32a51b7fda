import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isl.core.networks import NetworkConfig
from isl.models.density import DepthSampling
from isl.models.network import build_network, margin_px

SMALL = NetworkConfig(widths=(4, 6, 8), blocks=(1, 2, 1), z_slots=5)
CONFIGS = [
    SMALL,
    NetworkConfig(widths=(4,), blocks=(2,), z_slots=1, stem_stride=2),
    NetworkConfig(widths=(4, 4), blocks=(1, 3), z_slots=3, stem_stride=1),
]


def positions(planes):
    return torch.linspace(0, 1, planes)[None]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("planes", [1, 2, 5, 13])
def test_output_has_the_size_of_the_input(config, planes):
    network = build_network(config, targets=2)
    side = 4 * network.stride
    raw = network(torch.randn(1, planes, side, 2 * side), positions(planes))
    assert raw.shape == (1, 2 * network.parameters_per_target, side, 2 * side)


def test_gradient_reaches_every_parameter():
    network = build_network(SMALL, targets=2)
    # A norm that starts at zero hides the first half of its block from the very first step.
    for name, parameter in network.named_parameters():
        if "second_norm.weight" in name:
            torch.nn.init.ones_(parameter)
    network(torch.randn(2, 5, 64, 64), positions(5).expand(2, -1)).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("config", CONFIGS)
def test_receptive_field_is_the_declared_one(config):
    network = build_network(config, targets=1).double().eval()
    for parameter in network.parameters():
        # Positive weights: nothing cancels, so every pixel that can matter does.
        parameter.data.abs_().add_(0.01)
    stride, margin = network.stride, margin_px(config)
    side = 2 * margin + 5 * stride
    start = margin + 2 * stride
    source = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    raw = network(source, positions(3).double())
    raw[..., start : start + stride, start : start + stride].sum().backward()
    rows = source.grad[0].abs().sum(0).sum(1).nonzero()[:, 0]
    reach = max(start - int(rows[0]), int(rows[-1]) + 1 - (start + stride))
    assert reach <= margin
    assert margin - reach < stride


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20))
def test_depth_sampling_weights_are_an_average(planes, slots):
    weights = DepthSampling(slots).weights(positions(planes))
    assert weights.shape == (1, slots, planes)
    assert torch.allclose(weights.sum(-1), torch.ones(1, slots))
    assert weights.min() >= 0


def test_depth_sampling_keeps_a_stack_that_fits_and_a_linear_ramp():
    stack = torch.randn(1, 6, 2, 2)
    assert torch.allclose(DepthSampling(6)(stack, positions(6)), stack, atol=1e-6)
    ramp = torch.tensor([0.0, 0.1, 0.5, 1.0])
    sampled = DepthSampling(5)(ramp[None, :, None, None], ramp[None])
    assert torch.allclose(sampled.flatten(), torch.linspace(0, 1, 5), atol=1e-6)


def test_same_seed_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(4)
        states.append(build_network(SMALL, targets=1).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_the_mean_reach_is_that_of_the_stages():
    network = build_network(NetworkConfig(widths=(4, 6, 8), blocks=(2, 1, 3)), targets=1)
    stages = network.stages()
    stem = network.config.stem_stride  # its convolution adds to the first stage
    assert network.reach_px == (sum(stage.reach_px for stage in stages) - stem) / len(stages)
