import numpy as np
import pytest

from isl.core.axes import Box, VoxelSize
from isl.core.errors import VoxelSizeError
from isl.data.resampled_fields import at_voxel_size
from isl.data.splits import split_fovs
from isl.io.arrays import fov_from_arrays

RNG = np.random.default_rng(0)


def field(name, size_um, shape=(60, 90)):
    images = {"phase": RNG.normal(size=(2, *shape)), "DAPI": RNG.normal(size=shape)}
    known = VoxelSize(1.0, size_um, size_um) if size_um else VoxelSize()
    return fov_from_arrays(images, name=name, voxel_size=known)


def test_fields_and_boxes_are_scaled_together():
    fovs = [field("fine", 0.3), field("coarse", 0.6), field("unknown", None)]
    split = split_fovs(fovs, "columns:61-89", 4)
    changed, scaled = at_voxel_size(fovs, split, VoxelSize(None, 0.6, 0.6))
    assert changed[1] is fovs[1]
    assert changed[2] is fovs[2]
    assert changed[0].shape[-2:] == (30, 45)
    assert scaled.fields["fine"].heldout == (Box(0, 30, 31, 45),)
    assert scaled.fields["fine"].train == (Box(0, 30, 0, 28),)
    assert scaled.fields["coarse"] == split.fields["coarse"]
    assert scaled.holdout == "columns:61-89"


def test_whole_fields_stay_whole():
    fovs = [field("a", 0.3, (61, 91)), field("b", 0.3, (61, 91))]
    changed, scaled = at_voxel_size(
        fovs, split_fovs(fovs, "fovs:b", 0), VoxelSize(None, 0.21, 0.21)
    )
    assert scaled.fields["a"].train == (changed[0].box,)
    assert scaled.fields["b"].heldout == (changed[1].box,)


def test_too_large_a_change_is_refused():
    fovs = [field("a", 0.3)]
    with pytest.raises(VoxelSizeError, match="field a"):
        at_voxel_size(fovs, split_fovs(fovs, "none", 0), VoxelSize(None, 3.0, 3.0))
