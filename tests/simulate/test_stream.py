from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from isl.core.errors import ConfigError
from isl.simulate.stream import fovs, patches


def test_patches_come_from_field_after_field(quick):
    first = list(islice(patches(quick(), patch_px=16, per_field=2, seed=1), 3))
    again = list(islice(patches(quick(), patch_px=16, per_field=2, seed=1), 3))
    for a, b in zip(first, again, strict=True):
        assert (a.source.shape, a.targets.shape, a.cells.shape) == (
            (3, 16, 16),
            (2, 16, 16),
            (16, 16),
        )
        np.testing.assert_array_equal(a.source, b.source)
        np.testing.assert_array_equal(a.targets, b.targets)
    assert (first[0].source != first[2].source).any()


def test_missing_channels_are_told(quick):
    config = quick(changes={"stage": {"missing_channels": ["NUCLEI"]}})
    (patch,) = islice(patches(config, patch_px=8), 1)
    assert patch.presence.tolist() == [False, True]
    assert not patch.targets[0].any()


def test_patches_larger_than_the_field_are_refused(quick):
    with pytest.raises(ConfigError, match="24 x 32"):
        patches(quick(), patch_px=25)


def test_fields_can_be_trained_on(quick, tmp_path):
    import isl

    fields = list(islice(fovs(quick(size_yx=(40, 40))), 2))
    assert [f.name for f in fields] == ["simulated-0", "simulated-1"]
    small = {"widths": (4,), "blocks": (1,)}
    model = isl.train(
        fields, tmp_path / "m.isl", max_steps=1, patch_px=32, batch_size=1, network=small
    )
    assert model.card.target_names == ("NUCLEI", "CYTOPLASM")
