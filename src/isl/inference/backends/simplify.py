"""Rewrite a stage so that processors run it faster: the same numbers, up to rounding."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import Tensor, nn


def simplify(module: nn.Module) -> nn.Module:
    """Copy a module; rearranging pixels and convolving them becomes one convolution.

    ``PixelUnshuffle(4)`` and a 3x3 convolution equal a 12x12 convolution at a stride of 4, which
    makes no copy of the image. Measured on one core, the stem takes three quarters of the time in
    ONNX Runtime, nine tenths in eager torch and OpenVINO.

    Parameters
    ----------
    module
        Not changed.

    Returns
    -------
    nn.Module
        In evaluation mode, without gradients.
    """
    simple = copy.deepcopy(module).eval().requires_grad_(False)
    for parent in list(simple.modules()):
        if isinstance(parent, nn.Sequential):
            for (name, child), (following, convolution) in pairwise(list(parent.named_children())):
                if isinstance(child, nn.PixelUnshuffle) and _is_plain(convolution):
                    setattr(parent, name, nn.Identity())
                    setattr(parent, following, _direct(child.downscale_factor, convolution))
    return simple


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is a convolution of whole neighbourhoods, padded with zeros."""
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == 1
        and module.stride == module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def _direct(cell: int, convolution: nn.Module) -> nn.Conv2d:
    """Take pixels as they lie: the convolution that follows a rearrangement of cells."""
    assert isinstance(convolution, nn.Conv2d)  # as _is_plain has found
    rows, columns = (size * cell for size in convolution.kernel_size)
    padding = tuple(cell * int(side) for side in convolution.padding)
    planes = convolution.in_channels // cell**2
    direct = nn.Conv2d(
        planes, convolution.out_channels, (rows, columns), cell, (padding[0], padding[1])
    )
    direct.weight = nn.Parameter(_spread(convolution.weight, cell, planes), False)
    direct.bias = convolution.bias
    return direct


def _spread(weight: Tensor, cell: int, planes: int) -> Tensor:
    """From (out, planes x cell x cell, ky, kx) to (out, planes, ky x cell, kx x cell)."""
    outputs, _, rows, columns = weight.shape
    split = weight.detach().view(outputs, planes, cell, cell, rows, columns)
    whole = split.permute(0, 1, 4, 2, 5, 3)
    return whole.reshape(outputs, planes, rows * cell, columns * cell)
