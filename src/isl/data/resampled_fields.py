"""Fields of several voxel sizes brought to one, with what is held out of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from isl.core.axes import Box, VoxelSize
from isl.data.splits import FieldSplit, Split
from isl.io.fov import Fov
from isl.io.resample import resampled


def at_voxel_size(
    fovs: Sequence[Fov], split: Split, voxel_size: VoxelSize
) -> tuple[tuple[Fov, ...], Split]:
    """Resample the fields that have another voxel size, and their boxes with them.

    Parameters
    ----------
    fovs
        The fields; those whose voxel size is not known stay as they are.
    split
        Boxes in pixels of the fields as they are.
    voxel_size
        In micrometres; z does not count.

    Returns
    -------
    fovs, split
        Fields that are resampled as they are read, and boxes in their pixels: whole pixels inside
        the given ones.

    Raises
    ------
    VoxelSizeError
        Where an axis changes by a factor of more than 8.
    """
    changed = tuple(resampled(fov, voxel_size) for fov in fovs)
    parts = {
        after.name: _scaled(split.fields[after.name], before, after)
        for before, after in zip(fovs, changed, strict=True)
    }
    return changed, replace(split, fields=parts)


def _scaled(part: FieldSplit, before: Fov, after: Fov) -> FieldSplit:
    if before is after:
        return part
    ratio_yx = tuple(
        (new or 1.0) / (old or 1.0)
        for new, old in zip(tuple(after.voxel_size)[1:], tuple(before.voxel_size)[1:], strict=True)
    )

    def scale(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
        scaled = (_inside(box, (ratio_yx[0], ratio_yx[1])).intersect(after.box) for box in boxes)
        return tuple(box for box in scaled if box.size)

    whole = (before.box,)
    train = (after.box,) if part.train == whole else scale(part.train)
    return FieldSplit(train, (after.box,) if part.heldout == whole else scale(part.heldout))


def _inside(box: Box, ratio_yx: tuple[float, float]) -> Box:
    """Whole pixels of the resampled image that lie inside a box of the original one."""
    ratio_y, ratio_x = ratio_yx
    return Box(
        math.ceil(box.y0 / ratio_y),
        math.floor(box.y1 / ratio_y),
        math.ceil(box.x0 / ratio_x),
        math.floor(box.x1 / ratio_x),
    )
