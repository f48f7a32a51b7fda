"""Three ways to compute the embedding of a large image.

The published system cuts the image into patches of 250 px, 8 px apart, and abuts their outputs of
8 x 8 px; neighbouring patches compute the same things over and over.  As all convolutions are
valid, the network can also be run on the whole image at once (*single pass*).  It then differs
from the patches: its coarsest tower looks at cells of 16 px, so that only every second output
block of 8 px, in each direction, has its cells where a patch has them.  Four passes, shifted by 0
or 8 px in y and x, give every block its cells; all but the coarsest tower lie on cells of 1, 2, 4
or 8 px and are the same in all four (*dense*, equal to the patches to rounding).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from isl.core.config import Stitching
from isl.models.isl2018.layout import INPUT_PX, LOST_PX, OUTPUT_PX
from isl.models.isl2018.network import Core

PERIOD_PX = 2 * OUTPUT_PX
"""Outputs repeat their relation to the cells of the coarsest tower after this many pixels."""

_PATCHES_AT_ONCE = 16
_COARSEST = 4


@dataclass(frozen=True)
class Stitcher:
    """A way to compute an embedding.

    Attributes
    ----------
    embed
        Function from the core and (B, C, Y + before + after, X + before + after) to (B, D, Y, X),
        Y and X multiples of 16.
    before, after
        Pixels that the input must have more, at the top and left, and at the bottom and right.
    """

    embed: Callable[[Core, Tensor], Tensor]
    before: int
    after: int


def embed_patches(core: Core, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
    """As published: patch by patch."""
    windows = x.unfold(2, INPUT_PX, OUTPUT_PX).unfold(3, INPUT_PX, OUTPUT_PX)
    batch, _, rows, columns = windows.shape[:4]
    patches = windows.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    blocks = torch.cat([core(part) for part in torch.split(patches, _PATCHES_AT_ONCE)])
    blocks = blocks.view(batch, rows, columns, *blocks.shape[1:])
    return blocks.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def embed_phases(core: Core, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
    """Four dense passes of what differs between them: equal to `embed_patches`."""
    projected = core.projection(x)
    shared = torch.cat([core.tower(scale, projected) for scale in range(_COARSEST)], 1)
    rows, columns = (side - 2 * LOST_PX for side in x.shape[-2:])
    phases = []
    for dy in (0, OUTPUT_PX):
        for dx in (0, OUTPUT_PX):
            shifted = projected[
                ..., dy : dy + x.shape[-2] - OUTPUT_PX, dx : dx + x.shape[-1] - OUTPUT_PX
            ]
            coarse = core.tower(_COARSEST, shifted)
            fine = shared[..., dy : dy + coarse.shape[-2], dx : dx + coarse.shape[-1]]
            phases.append(_kept_blocks(core, torch.cat([fine, coarse], 1)))
    return _interleaved(torch.stack(phases), rows, columns)


def embed_once(core: Core, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d v u"]:
    """One dense pass: three of four blocks have their coarsest cells elsewhere than a patch."""
    embedding: Tensor = core(x)
    return embedding[..., :-OUTPUT_PX, :-OUTPUT_PX]


def _kept_blocks(core: Core, features: Tensor) -> Tensor:
    """(B, D, rows, 8, columns, 8): blocks whose coarsest cells lie as in a patch.

    The upper stack runs on the whole until 16 x 16 pixels are left for each block, which do not
    overlap; from there each block is by itself, so that nothing is computed between the blocks.
    """
    split = [module.in_side for module in core.layout.upper].index(PERIOD_PX)
    x: Tensor = core.upper[:split](features)
    batch, depth, rows, _ = x.shape
    blocks = x.reshape(batch, depth, rows // PERIOD_PX, PERIOD_PX, -1, PERIOD_PX)
    kept: Tensor = core.upper[split:](blocks.permute(0, 2, 4, 1, 3, 5).flatten(0, 2))
    in_rows = kept.view(batch, rows // PERIOD_PX, -1, *kept.shape[1:])
    return in_rows.permute(0, 3, 1, 4, 2, 5)


def _interleaved(phases: Tensor, rows: int, columns: int) -> Tensor:
    """Blocks (4, B, D, rows / 16, 8, columns / 16, 8) of the four shifts, put in place."""
    by_shift = phases.view(2, 2, *phases.shape[1:])
    in_place = by_shift.permute(2, 3, 4, 0, 5, 6, 1, 7)
    return in_place.reshape(*phases.shape[1:3], rows, columns)


STITCHERS: dict[Stitching, Stitcher] = {
    "patches": Stitcher(embed_patches, LOST_PX, LOST_PX),
    "dense": Stitcher(embed_phases, LOST_PX, LOST_PX),
    "single-pass": Stitcher(embed_once, LOST_PX, LOST_PX + OUTPUT_PX),
}
"""The three ways by name."""
