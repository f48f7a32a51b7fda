"""Sides and depths of every module of the published network, derived from a few rules.

Five *towers* look at the input at scales of 1, 2, 4, 8 and 16 pixels and end at the same side; an
*upper stack* brings them together.  Sides are those of the published 8-px output; the network is
made of valid convolutions, so an input that is 16 k pixels larger gives as many more output pixels.
"""

import math
from dataclasses import dataclass
from typing import Literal

from isl.core.networks import PUBLISHED_INPUT_PX, PUBLISHED_OUTPUT_PX, Isl2018Config

INPUT_PX = PUBLISHED_INPUT_PX
OUTPUT_PX = PUBLISHED_OUTPUT_PX
LOST_PX = (INPUT_PX - OUTPUT_PX) // 2
"""Pixels by which an output is smaller than its input, on each side."""

_SCALES = 5
_UPPER_MODULES = 14
_LOWER_MODULES = 18  # of scale 0; each further scale has four fewer
_EXPANSION = 211 / 39
_UP_QUIRK = 4  # the released program derives the depths of up-scale modules from base_depth - 4

Kind = Literal["in_scale", "down", "up"]


@dataclass(frozen=True)
class ModuleLayout:
    """One module: expand, reduce, and add what is passed through.

    Attributes
    ----------
    name
        Its name in the released checkpoints.
    kind
        ``"in_scale"`` (3x3), ``"down"`` (4x4, stride 2) or ``"up"`` (transposed 4x4, stride 2).
    in_side, out_side
        Sides of input and output in pixels of the scale; an up-scale module is cropped by 2 px.
    in_depth, expand_depth, out_depth
        Channels of the input, of the first convolution, and of the output.
    reduce_depth
        Channels of the second convolution.
    """

    name: str
    kind: Kind
    in_side: int
    out_side: int
    in_depth: int
    expand_depth: int
    reduce_depth: int
    out_depth: int

    @property
    def pooled_depth(self) -> int:
        """Channels after the expansion: a max pool of the input stands beside it, unless up."""
        return self.expand_depth + (0 if self.kind == "up" else self.in_depth)


@dataclass(frozen=True)
class Layout:
    """All modules of a network.

    Attributes
    ----------
    features
        Channels of the input: for each plane its pixels and its presence mask.
    towers
        Modules of each scale, the finest first.
    upper
        Modules of the upper stack.
    """

    features: int
    towers: tuple[tuple[ModuleLayout, ...], ...]
    upper: tuple[ModuleLayout, ...]

    @property
    def embedding_depth(self) -> int:
        """Channels that all heads look at."""
        return self.upper[-1].out_depth

    @property
    def modules(self) -> tuple[ModuleLayout, ...]:
        """All modules, tower by tower."""
        return (*(module for tower in self.towers for module in tower), *self.upper)


def lay_out(config: Isl2018Config) -> Layout:
    """Derive all modules.

    Parameters
    ----------
    config
        Base depth, planes, and channels of the initial projection.

    Examples
    --------
    >>> layout = lay_out(Isl2018Config())
    >>> [tower[0].in_side for tower in layout.towers]
    [72, 102, 146, 202, 250]
    >>> [tower[-1].out_side for tower in layout.towers], layout.upper[-1].out_side
    ([36, 36, 36, 36, 36], 8)
    """
    features = 2 * config.planes
    depth = config.projection or features
    towers = tuple(
        _chain(_tower_steps(scale), depth, config.base_depth) for scale in range(_SCALES)
    )
    steps = _in_scale_steps("upper_recursion_", OUTPUT_PX + 2 * _UPPER_MODULES, _UPPER_MODULES)
    upper = _chain(steps, sum(tower[-1].out_depth for tower in towers), config.base_depth)
    return Layout(features, towers, upper)


@dataclass(frozen=True)
class _Step:
    """A module before its depths are known; ``final`` is the side that its depths follow."""

    name: str
    kind: Kind
    in_side: int
    out_side: int
    final: int


def _tower_steps(scale: int) -> list[_Step]:
    """Steps of one tower, found from its end backwards."""
    side = OUTPUT_PX + 2 * _UPPER_MODULES
    ups: list[_Step] = []
    for index in reversed(range(scale)):
        name = f"upscale_{scale}_{index}"
        coarse = side // 2 + 2
        ups[:0] = [
            _Step(name, "up", coarse, side + 2, side),
            _Step(f"{name}_in_scale", "in_scale", side + 2, side, side),
        ]
        side = coarse
    count = _LOWER_MODULES - 4 * scale
    lower = _in_scale_steps(f"lower_scale_{scale}_recursion_", side + 2 * count, count)
    side += 2 * count
    downs: list[_Step] = []
    for index in reversed(range(scale)):
        name = f"downscale_{scale}_{index}"
        fine = 2 * (side + 2) + 2
        downs[:0] = [
            _Step(name, "down", fine, side + 2, side),
            _Step(f"{name}_in_scale", "in_scale", side + 2, side, side),
        ]
        side = fine
    return downs + lower + ups


def _in_scale_steps(prefix: str, side: int, count: int) -> list[_Step]:
    sides = [side - 2 * index for index in range(count)]
    return [_Step(f"{prefix}{i}", "in_scale", n, n - 2, n - 2) for i, n in enumerate(sides)]


def _chain(steps: list[_Step], depth: int, base_depth: int) -> tuple[ModuleLayout, ...]:
    """Give each step its depths, one after the other."""
    modules = []
    for step in steps:
        modules.append(_with_depths(step, depth, base_depth))
        depth = modules[-1].out_depth
    return tuple(modules)


def _with_depths(step: _Step, depth: int, base_depth: int) -> ModuleLayout:
    up = step.kind == "up"
    reduction = math.ceil((base_depth - _UP_QUIRK if up else base_depth) / step.final)
    expand, reduce = _next_even(_EXPANSION * reduction), _next_even(reduction)
    if up:
        # The sum of convolution and passthrough is cut to the shallower of the two.
        out = min(depth, reduce)
    else:
        expand, reduce = max(expand, depth), max(reduce, depth)
        out = reduce
    return ModuleLayout(
        step.name, step.kind, step.in_side, step.out_side, depth, expand, reduce, out
    )


def _next_even(value: float) -> int:
    whole = math.ceil(value)
    return whole + whole % 2
