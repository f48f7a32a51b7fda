from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from isl.core.axes import VoxelSize
from isl.io.describe import ChannelRow, describe_fovs, describe_roles
from isl.io.open import open_fovs


@pytest.fixture
def fovs(tmp_path):
    for name in ("a_phase_z0", "a_phase_z1", "a_gfp"):
        image = imagecodecs.png_encode(np.zeros((5, 6), np.uint16))
        (tmp_path / f"{name}.png").write_bytes(image)
    return open_fovs(tmp_path)


def test_row_says_what_the_field_holds(fovs):
    (row,) = describe_fovs(fovs)
    assert (row.name, row.voxel_size, row.well) == ("a", VoxelSize(), None)
    assert row.axes == (("T", 1), ("C", 2), ("Z", 2), ("Y", 5), ("X", 6))
    assert row.channels == (
        ChannelRow("gfp", 1, "uint16", "fluorescence"),
        ChannelRow("phase", 2, "uint16", "phase"),
    )


def test_roles_or_the_problem(fovs):
    roles = describe_roles(fovs)
    assert (roles.source, roles.targets, roles.problem) == ("phase", ("gfp",), None)
    assert "only transmitted-light channel" in roles.reason
    unclear = describe_roles(fovs, source="nothing")
    assert unclear.source is None
    assert "no field has the source 'nothing'" in (unclear.problem or "")
