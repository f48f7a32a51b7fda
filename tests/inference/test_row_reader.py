from __future__ import annotations

import numpy as np
import pytest

from isl.core.axes import Box
from isl.data.normalization import SourceNormalizer
from isl.inference.row_reader import RowReader
from isl.inference.source_stack import SourceStack
from isl.inference.tiles import Grid, Tile

IMAGE = np.random.default_rng(0).integers(0, 60000, (3, 70, 20)).astype(np.uint16)
NORMALIZER = SourceNormalizer(offset=10.0, scale=5.0)


@pytest.fixture
def asked() -> list[Box]:
    return []


@pytest.fixture
def stack(asked) -> SourceStack:
    def read(box: Box):
        asked.append(box)
        return IMAGE[(..., *box.slices)]

    return SourceStack((70, 20), read, NORMALIZER)


def a_tile() -> Tile:
    shape_yx = (70, 20)
    return Tile.around(Box.of(shape_yx), shape_yx, Grid(16, 0, (0, 0)))


def test_bands_are_the_tile_and_overlaps_are_read_once(stack, asked):
    tile, reader = a_tile(), RowReader()
    shown = NORMALIZER.apply(tile.show(IMAGE))
    for rows in ((0, 32), (20, 60), (60, 80), (64, 80)):
        found = reader.read(stack, tile, rows)
        np.testing.assert_array_equal(found, shown[:, slice(*rows)])
    assert [(box.y0, box.y1) for box in asked[:2]] == [(0, 32), (32, 60)]


def test_the_last_band_stays_while_the_next_is_read(stack):
    """The network still looks at it."""
    tile, reader = a_tile(), RowReader()
    first = reader.read(stack, tile, (0, 32))
    before = first.copy()
    reader.read(stack, tile, (16, 48))
    np.testing.assert_array_equal(first, before)


def test_another_tile_takes_nothing_from_the_last(stack):
    tile, reader = a_tile(), RowReader()
    reader.read(stack, tile, (0, 32))
    reader.begin()
    shown = NORMALIZER.apply(tile.show(IMAGE))
    np.testing.assert_array_equal(reader.read(stack, tile, (16, 40)), shown[:, 16:40])


def test_no_rows_are_refused(stack):
    with pytest.raises(IndexError, match="no rows"):
        RowReader().read(stack, a_tile(), (5, 5))
