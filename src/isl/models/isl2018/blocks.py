"""Building blocks of the published network: valid convolutions on normalised inputs."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isl.models.isl2018.layout import ModuleLayout

_BATCH_NORM_EPS = 1e-3
_BATCH_NORM_MOMENTUM = 1e-3
_KERNEL_AND_STRIDE = {"in_scale": (3, 1), "down": (4, 2), "up": (4, 2)}
_UP_CROP_PX = 2


class Rv2Convolution(nn.Module):
    """Batch norm, then ReLU and tanh side by side, then one valid convolution ("residual v2").

    Parameters
    ----------
    in_depth, out_depth
        Channels; the convolution sees twice ``in_depth``.
    kernel, stride
        Of the convolution.
    transposed
        Whether it enlarges.
    bias
        Whether it adds one number per output channel, as only heads do.
    """

    def __init__(
        self,
        in_depth: int,
        out_depth: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        transposed: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_depth, eps=_BATCH_NORM_EPS, momentum=_BATCH_NORM_MOMENTUM)
        kind = nn.ConvTranspose2d if transposed else nn.Conv2d
        self.conv = kind(2 * in_depth, out_depth, kernel, stride, bias=bias)
        nn.init.xavier_uniform_(self.conv.weight)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        found: Tensor = self.conv(_relu_and_tanh(self.norm(x)))
        return found


class ScaleModule(nn.Module):
    """Expand, reduce, and add the passthrough: stays at its scale, or halves or doubles it.

    Parameters
    ----------
    layout
        Kind and depths.
    """

    def __init__(self, layout: ModuleLayout) -> None:
        super().__init__()
        self.layout = layout
        self.kernel, self.stride = _KERNEL_AND_STRIDE[layout.kind]
        self.expand = Rv2Convolution(
            layout.in_depth,
            layout.expand_depth,
            self.kernel,
            self.stride,
            transposed=layout.kind == "up",
        )
        self.reduce = Rv2Convolution(layout.pooled_depth, layout.reduce_depth)

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
        expanded = self.expand(x)
        if self.layout.kind == "up":
            narrow = self.reduce(expanded)[:, : self.layout.out_depth]
            passed = _enlarged(x)[:, : self.layout.out_depth]
            return _cropped(narrow + passed, _UP_CROP_PX)
        pooled = F.max_pool2d(x, self.kernel, self.stride)
        wide: Tensor = self.reduce(torch.cat([expanded, pooled], 1))
        return wide + _deepened(self._passed(x), self.layout.out_depth)

    def _passed(self, x: Tensor) -> Tensor:
        inner = _cropped(x, 1)
        if self.layout.kind != "down":
            return inner
        pooled: Tensor = F.avg_pool2d(inner, 2)
        return pooled


class Head(Rv2Convolution):
    """From the embedding to the classes of one image; with its own batch norm.

    Parameters
    ----------
    depth
        Channels of the embedding.
    classes
        Grey levels that are told apart.
    """

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__(depth, classes, bias=True)


def _relu_and_tanh(x: Tensor) -> Tensor:
    """Both side by side; without gradients they are written in place, which saves a copy."""
    if torch.is_grad_enabled():
        return torch.cat([F.relu(x), torch.tanh(x)], 1)
    depth = x.shape[1]
    both = x.new_empty(x.shape[0], 2 * depth, *x.shape[2:])
    torch.clamp(x, min=0, out=both[:, :depth])
    torch.tanh(x, out=both[:, depth:])
    return both


def _cropped(x: Tensor, pixels: int) -> Tensor:
    return x[..., pixels:-pixels, pixels:-pixels]


def _enlarged(x: Tensor) -> Tensor:
    """Nearest neighbours at twice the scale, with a repeated pixel around."""
    return F.pad(F.interpolate(x, scale_factor=2), (1, 1, 1, 1), mode="replicate")


def _deepened(x: Tensor, depth: int) -> Tensor:
    """Zeros for the channels that the input lacks."""
    return F.pad(x, (0, 0, 0, 0, 0, depth - x.shape[1]))
