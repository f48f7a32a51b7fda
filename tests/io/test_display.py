"""Colours and windows of outputs."""

import numpy as np
import pytest

from isl.io.display import default_color, display_window


@pytest.mark.parametrize(
    ("name", "color"),
    [
        ("DAPI", "0000FF"),
        ("DAPI_CONFOCAL std", "0000FF"),
        ("MAP2", "00FF00"),
        ("Alexa488", "00FF00"),
        ("PHASE_CONTRAST", "FFFFFF"),
        ("kidnapping", "00FFFF"),
    ],
)
def test_known_names_have_their_colour(name, color):
    assert default_color(name, 0) == color


def test_unknown_names_get_different_colours():
    assert len({default_color("?", i) for i in range(6)}) == 6


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((3, 3), np.nan),
        np.full((3, 3), 7.0),
        np.full((3, 3), 1e30),
        np.array([np.inf, 1.0, 2.0]),
        np.arange(100, dtype=np.uint8),
    ],
)
def test_windows_are_never_empty(pixels):
    start, end, low, high = display_window(pixels)
    assert np.isfinite([start, end, low, high]).all()
    assert start < end
    assert low < high
    assert low <= start
    assert end <= high


def test_window_leaves_out_the_extremes():
    pixels = np.r_[np.linspace(0, 1, 10_000), 1e6]
    start, end, low, high = display_window(pixels)
    assert 0 < start < 0.01
    assert 0.99 < end < 1.01
    assert (low, high) == (0.0, 1e6)
