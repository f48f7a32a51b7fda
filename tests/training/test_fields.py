import numpy as np
import pytest

from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.core.errors import ChannelError, DataError, VoxelSizeError
from isl.io.arrays import fov_from_arrays
from isl.training.fields import choose_fields, common_voxel_size, wanted_voxel_size

FINE, COARSE = VoxelSize(1.0, 0.3, 0.3), VoxelSize(1.0, 0.6, 0.6)
FAR = VoxelSize(1.0, 3.0, 3.0)


def field(name, *channels, voxel_size=None):
    images = {channel: np.zeros((1, 4, 5)) for channel in channels}
    return fov_from_arrays(images, name=name, voxel_size=voxel_size)


GOOD = [field(n, "phase", "DAPI", "MAP2", voxel_size=FINE) for n in "ab"]
PARTIAL = field("partial", "phase", "MAP2")
BAD = {
    "source": (field("source", "DAPI", "MAP2"), ChannelError),
    "targets": (field("targets", "phase"), ChannelError),
    "size": (field("size", "phase", "DAPI", voxel_size=FAR), VoxelSizeError),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_field_among_many_is_left_out(name):
    fov, kind = BAD[name]
    bad = []
    usable, roles = choose_fields(
        [fov, *GOOD, PARTIAL], TrainConfig(), lambda *problem: bad.append(problem)
    )
    assert [f.name for f in usable] == ["a", "b", "partial"]
    assert (roles.source, set(roles.targets)) == ("phase", {"DAPI", "MAP2"})
    assert [(field, type(error)) for field, error in bad] == [(name, kind)]
    with pytest.raises(kind, match=f"field {name}"):
        choose_fields([fov, *GOOD], TrainConfig())


def test_names_that_no_field_has_are_an_error_for_all():
    bad = []
    for settings in ({"source": "dic"}, {"targets": ("NFH",)}):
        with pytest.raises(ChannelError, match="no field has"):
            choose_fields(GOOD, TrainConfig(**settings), lambda *problem: bad.append(problem))
    assert bad == []


def test_the_only_field_is_an_error_and_not_a_bad_field_among_many():
    with pytest.raises(ChannelError, match="no target to learn"):
        choose_fields([BAD["targets"][0]], TrainConfig(), lambda *_: pytest.fail("reported"))


def test_nothing_left():
    fovs = [field("a", "phase"), field("b", "DAPI")]
    with pytest.raises(DataError, match="none of 2 fields can be trained on"):
        choose_fields(fovs, TrainConfig(), lambda *_: None)


def test_the_voxel_size_of_most_fields_counts():
    sizes = [COARSE, FINE, VoxelSize(), FINE]
    fovs = [field(str(i), "phase", voxel_size=size) for i, size in enumerate(sizes)]
    assert common_voxel_size(fovs) == FINE
    assert common_voxel_size(fovs[2:3]) == VoxelSize()


def test_voxel_size_asked_for_wins_axis_by_axis():
    fovs = [field("a", "phase", voxel_size=FINE)]
    assert wanted_voxel_size(fovs, TrainConfig()) == FINE
    asked = TrainConfig(voxel_size=(None, 0.5, 0.5))
    assert wanted_voxel_size(fovs, asked) == VoxelSize(1.0, 0.5, 0.5)
