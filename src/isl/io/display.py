"""Display colours and windows, so that an output looks right the first time it is opened."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KNOWN = (
    ("0000FF", ("dapi", "hoechst", "dna", "nuclei", "nucleus", "nuclear", "h2b", "bfp")),
    ("00FF00", ("gfp", "egfp", "fitc", "map2", "calcein", "alexa488", "488", "actin")),
    ("FF0000", ("nfh", "tritc", "rfp", "mcherry", "cy3", "pi", "propidium", "561", "568")),
    ("FFFF00", ("tuj1", "islet1", "yfp", "tubulin")),
    ("FF00FF", ("cy5", "alexa647", "647", "far red")),
    ("FF8000", ("mito", "mitotracker", "membrane", "cellmask")),
    ("FFFFFF", ("phase", "phase_contrast", "brightfield", "bf", "dic", "transmission")),
)
_CYCLE = ("00FFFF", "FF00FF", "FFFF00", "00FF00", "FF0000", "0000FF")


def default_color(name: str, index: int) -> str:
    """Display colour of a channel: that of its dye or target, else one of a cycle.

    Parameters
    ----------
    name
        Name of the channel; words in it are compared without regard to case.
    index
        Position of the channel, which chooses the colour where the name says nothing.

    Returns
    -------
    str
        Six hexadecimal digits.

    Examples
    --------
    >>> default_color("DAPI_CONFOCAL", 3), default_color("unheard of", 0)
    ('0000FF', '00FFFF')
    """
    for color, words in _KNOWN:
        for word in words:
            if re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", name.lower()):
                return color
    return _CYCLE[index % len(_CYCLE)]


def display_window(pixels: NDArray[Any]) -> tuple[float, float, float, float]:
    """Intensities to show as black and white, and the range of the pixels.

    Parameters
    ----------
    pixels
        Any shape and real dtype; pixels that are not finite do not count.

    Returns
    -------
    tuple of float
        Start, end (0.5 and 99.8 percentile), minimum and maximum; start < end and
        minimum < maximum always.
    """
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    if finite.size == 0:
        return 0.0, 1.0, 0.0, 1.0
    start, end = (float(v) for v in np.percentile(finite, (0.5, 99.8)))
    low, high = float(finite.min()), float(finite.max())
    end = max(end, start + 1e-6 * max(1.0, abs(start)))
    return start, end, low, max(high, end)
