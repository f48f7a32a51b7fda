"""Each building block does what its description says, computed by hand."""

import pytest
import torch
import torch.nn.functional as F

from isl.core.networks import Isl2018Config
from isl.models.isl2018.blocks import Head, Rv2Convolution, ScaleModule
from isl.models.isl2018.layout import ModuleLayout, lay_out


def module(kind, in_depth=4, expand=6, reduce=4, out=4):
    torch.manual_seed(0)
    return ScaleModule(ModuleLayout("m", kind, 10, 8, in_depth, expand, reduce, out))


def silenced(block):
    """With a second convolution of zeros only what is passed through is left."""
    torch.nn.init.zeros_(block.reduce.conv.weight)
    return block.eval()


def test_rv2_convolution_sees_relu_and_tanh_of_the_normalised_input():
    torch.manual_seed(0)
    block = Rv2Convolution(2, 3).eval()
    block.norm.running_mean[:] = torch.tensor([0.5, -1.0])
    x = torch.randn(1, 2, 3, 3)
    normalized = (x - torch.tensor([0.5, -1.0])[:, None, None]) / (1.001**0.5)
    doubled = torch.cat([normalized.clamp(min=0), normalized.tanh()], 1)
    expected = torch.einsum("oc,bcyx->boyx", block.conv.weight[:, :, 0, 0], doubled)
    torch.testing.assert_close(block(x), expected)


def test_batch_norm_is_that_of_the_released_program():
    norm = Rv2Convolution(2, 3).norm
    assert (norm.eps, norm.momentum, norm.affine) == (1e-3, 1e-3, True)


def test_only_heads_have_a_bias():
    assert Rv2Convolution(2, 3).conv.bias is None
    assert Head(2, 256).conv.bias.shape == (256,)


def test_in_scale_passes_the_centre_and_zeros_for_new_channels():
    x = torch.randn(1, 4, 9, 9)
    y = silenced(module("in_scale", out=6, reduce=6))(x)
    torch.testing.assert_close(y[:, :4], x[..., 1:-1, 1:-1])
    assert y.shape == (1, 6, 7, 7)
    assert not y[:, 4:].any()


def test_down_passes_the_mean_of_four_pixels():
    x = torch.randn(1, 4, 10, 10)
    y = silenced(module("down"))(x)
    torch.testing.assert_close(y, F.avg_pool2d(x[..., 1:-1, 1:-1], 2))
    assert y.shape[-2:] == (4, 4)


def test_up_passes_the_nearest_pixel_of_the_first_channels():
    x = torch.randn(1, 4, 5, 5)
    y = silenced(module("up", reduce=2, out=2))(x)
    assert y.shape == (1, 2, 8, 8)
    torch.testing.assert_close(y, F.interpolate(x, scale_factor=2)[:, :2, 1:-1, 1:-1])


@pytest.mark.parametrize("kind", ["in_scale", "down"])
def test_raw_input_is_pooled_beside_the_expansion(kind):
    block = module(kind).eval()
    torch.nn.init.zeros_(block.expand.conv.weight)
    torch.nn.init.zeros_(block.reduce.conv.weight)
    # The second convolution reads the rectified first pooled channel alone: 6 expanded come before.
    block.reduce.conv.weight.data[0, 6] = 1.0
    x = torch.randn(1, 4, 10, 10)
    pooled = F.max_pool2d(x[:, :1], block.kernel, block.stride).clamp(min=0) / 1.001**0.5
    torch.testing.assert_close(block(x)[:, :1] - silenced(module(kind))(x)[:, :1], pooled)


@pytest.mark.parametrize("name", ["lower_scale_4_recursion_1", "downscale_4_3", "upscale_3_0"])
def test_module_has_the_sides_of_its_layout(name):
    layouts = {m.name: m for m in lay_out(Isl2018Config(base_depth=40)).modules}
    layout = layouts[name]
    y = ScaleModule(layout)(torch.randn(2, layout.in_depth, layout.in_side, layout.in_side))
    assert y.shape == (2, layout.out_depth, layout.out_side, layout.out_side)
