from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isl.core.axes import Box
from isl.inference.pieces import plan_pieces
from isl.inference.task_image import TaskImage
from isl.inference.tasks import Task
from isl.inference.tiles import Grid

SHAPE = (50, 40)
IMAGE = np.arange(2.0 * 50 * 40, dtype=np.float32).reshape(2, 50, 40)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 60))
def test_blocks_are_the_image_whatever_the_parts(rows, columns, part_rows, block_rows):
    write = Box(8, 48, 0, 40)
    pieces = plan_pieces(write, SHAPE, (rows, columns), Grid(4, 8))
    image = TaskImage(Task("a", 0, write), pieces, 2, block_rows)
    found = np.full_like(IMAGE, np.nan)
    for piece in pieces:
        for y0 in range(piece.box.y0, piece.box.y1, part_rows):
            box = Box(y0, min(y0 + part_rows, piece.box.y1), piece.box.x0, piece.box.x1)
            for block, cyx in image.add(piece, box, IMAGE[:, *box.slices]):
                assert np.isnan(found[:, *block.slices]).all()
                found[:, *block.slices] = cyx
                if len(pieces) == 1:
                    assert block.shape[0] <= block_rows
    assert image.complete
    np.testing.assert_array_equal(found[:, *write.slices], IMAGE[:, *write.slices])


def test_what_is_not_predicted_is_nan():
    write = Box(0, 50, 0, 40)
    grid = Grid(4, 8, valid=Box(0, 0, 0, 0))
    pieces = plan_pieces(write, SHAPE, (64, 64), grid)
    image = TaskImage(Task("a", 0, write), pieces, 2, 64)
    ((box, cyx),) = image.blank()
    assert image.complete
    assert box == write
    assert np.isnan(cyx).all()
