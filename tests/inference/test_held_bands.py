from __future__ import annotations

import threading

import numpy as np
import pytest

from isl.core.axes import Box
from isl.inference.held_bands import HeldBands, band_rows

IMAGE = np.random.default_rng(0).integers(0, 60000, (3, 100, 30)).astype(np.uint16)


class CountingReader:
    def __init__(self):
        self.boxes = []

    def __call__(self, box):
        self.boxes.append(box)
        return IMAGE[(..., *box.slices)].copy()

    @property
    def rows(self):
        return sum(box.shape[0] for box in self.boxes)


def whole_rows(step, y0=0):
    return [Box(y, min(y + step, 100), 0, 30) for y in range(y0, 100, step)]


@pytest.mark.parametrize("rows", [1, 16, 33, 100, 1000])
@pytest.mark.parametrize("step", [7, 16, 40, 100])
def test_each_row_is_read_once_and_comes_out_as_it_is(rows, step):
    reader = CountingReader()
    bands = HeldBands(reader, (100, 30), rows)
    for box in whole_rows(step):
        assert np.array_equal(bands(box), IMAGE[(..., *box.slices)])
    assert reader.rows == 100


def test_what_was_measured_is_not_read_again():
    reader = CountingReader()
    bands = HeldBands(reader, (100, 30), 16)
    for box in whole_rows(16):
        bands.hold(box)
    assert bands.held_bytes == IMAGE.nbytes
    halves = [(box.y0, box.y1, x, x + 15) for box in whole_rows(20) for x in (0, 15)]
    for y0, y1, x0, x1 in halves:
        assert np.array_equal(bands(Box(y0, y1, x0, x1)), IMAGE[:, y0:y1, x0:x1])
    assert reader.rows == 100


def test_bands_are_given_back_as_they_are_used():
    bands = HeldBands(CountingReader(), (100, 30), 16)
    for box in whole_rows(16):
        bands.hold(box)
    held = []
    for box in whole_rows(16):
        bands(box)
        held.append(bands.held_bytes)
    assert held == sorted(held, reverse=True)
    assert held[-1] == IMAGE[:, 96:].nbytes


def test_what_was_given_back_is_read_again():
    bands = HeldBands(CountingReader(), (100, 30), 16)
    for box in [*whole_rows(50), *whole_rows(30)]:
        assert np.array_equal(bands(box), IMAGE[(..., *box.slices)])


def test_narrow_boxes_do_not_fetch_the_rest_of_their_rows():
    reader = CountingReader()
    box = Box(10, 20, 5, 25)
    assert np.array_equal(HeldBands(reader, (100, 30), 16)(box), IMAGE[(..., *box.slices)])
    assert reader.boxes == [box]


def test_bands_that_are_too_large_are_not_held():
    reader = CountingReader()
    bands = HeldBands(reader, (100, 30), 100, may_hold=False)
    for box in whole_rows(10):
        bands(box)
    assert reader.boxes == whole_rows(10)
    assert bands.held_bytes == 0


def test_nobody_writes_to_what_others_will_read():
    with pytest.raises(ValueError, match="read-only"):
        HeldBands(CountingReader(), (100, 30), 16)(Box(0, 4, 0, 30))[0, 0, 0] = 1


@pytest.mark.concurrent
def test_threads_may_ask_at_once():
    bands, wrong = HeldBands(CountingReader(), (100, 30), 16), []

    def ask(step):
        for box in whole_rows(step):
            if not np.array_equal(bands(box), IMAGE[(..., *box.slices)]):
                wrong.append(box)

    threads = [threading.Thread(target=ask, args=(step,)) for step in (3, 16, 40, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_bands_are_whole_chunks():
    assert band_rows(1, 26_624) == 64
    assert band_rows(256, 26_624) == 512
    assert band_rows(2048, 10**9) == 2048
