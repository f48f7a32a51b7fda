"""Settings of simulations that take a fraction of a second."""

from __future__ import annotations

import pytest

from isl.simulate.presets import preset
from isl.simulate.settings import with_changes

QUICK = {
    "light": {"source_points": 3},
    "grid": {"planes": 3, "margin_um": 1.0, "slice_um": 3.0},
}


@pytest.fixture(scope="session")
def quick():
    """Fields of 24 x 32 pixels of any preset."""

    def make(name="adherent", changes=None, size_yx=(24, 32)):
        small = with_changes(with_changes(preset(name), QUICK), changes or {})
        return small.resized(size_yx)

    return make
