"""A stem in one convolution gives the numbers of pixels rearranged and convolved."""

import pytest
import torch
from torch import nn

from isl.inference.backends.simplify import simplify


def unshuffles(module):
    return [part for part in module.modules() if isinstance(part, nn.PixelUnshuffle)]


@pytest.mark.parametrize("cell", [1, 2, 4, 8])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (1, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_one_convolution_equals_two_steps(cell, kernel, padding, bias):
    stem = nn.Sequential(
        nn.PixelUnshuffle(cell), nn.Conv2d(2 * cell**2, 5, kernel, padding=padding, bias=bias)
    )
    source = torch.randn(1, 2, 5 * cell, 7 * cell)
    direct = simplify(nn.Sequential(stem, nn.ReLU()))
    assert not unshuffles(direct)
    assert unshuffles(stem)
    torch.testing.assert_close(direct(source), stem(source).relu(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"stride": 2}, {"dilation": 2}, {"groups": 2}, {"padding": 1, "padding_mode": "reflect"}],
)
def test_other_convolutions_stay(settings):
    stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(8, 4, 3, **settings))
    simple = simplify(stem)
    assert unshuffles(simple)
    source = torch.randn(1, 2, 16, 16)
    assert torch.equal(simple(source), stem(source))


def test_the_copy_is_in_evaluation_mode_without_gradients():
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout())
    simple = simplify(module)
    assert module.training
    assert not any(part.training for part in simple.modules())
    assert not any(weight.requires_grad for weight in simple.parameters())
