from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.inference.pieces import plan_pieces
from isl.inference.tiles import Grid


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
def test_every_pixel_is_covered_once(rows, columns, side_y, side_x):
    covered = np.zeros((rows, columns), int)
    for piece in plan_pieces(
        Box.of((rows, columns)), (rows, columns), (side_y, side_x), Grid(4, 8)
    ):
        assert max(piece.box.shape[0] - side_y, piece.box.shape[1] - side_x) <= 0
        covered[piece.box.slices] += 1
    assert (covered == 1).all()


def test_a_part_of_an_image_is_covered_and_no_more():
    write = Box(8, 32, 16, 64)
    pieces = plan_pieces(write, (100, 100), (24, 16), Grid(4, 8))
    assert sum(piece.box.size for piece in pieces) == write.size
    assert all(piece.box.intersect(write) == piece.box for piece in pieces)


@pytest.mark.parametrize(("shape_yx", "tile_px"), [((5, 6), 0), ((0, 6), 8)])
def test_empty_tile_or_image_is_refused(shape_yx, tile_px):
    with pytest.raises(ConfigError, match=r"hold nothing|is empty"):
        plan_pieces(Box.of(shape_yx), shape_yx, (tile_px, tile_px), Grid(8, 16))
