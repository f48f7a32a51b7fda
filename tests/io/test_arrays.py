import numpy as np
import pytest

from isl.core.axes import Box
from isl.core.errors import ImageSizeError
from isl.io.arrays import fov_from_arrays


def test_reads_back_any_rank():
    phase, dapi = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5), np.arange(40).reshape(2, 1, 4, 5)
    fov = fov_from_arrays({"phase": phase, "DAPI": dapi})
    assert fov.shape == (2, 2, 3, 4, 5)
    assert np.array_equal(fov.read("phase", t=1), phase[1])
    part = fov.read("phase", t=0, z=[2, 0], box=Box(1, 3, 2, 5))
    assert np.array_equal(part, phase[0][[2, 0], 1:3, 2:5])


@pytest.mark.parametrize(
    "other", [np.zeros((4, 6)), np.zeros(5), np.zeros((2, 1, 4, 5)), np.zeros((0, 5))]
)
def test_arrays_that_do_not_fit_are_refused(other):
    with pytest.raises(ImageSizeError, match=r"array|other"):
        fov_from_arrays({"phase": np.zeros((3, 4, 5)), "other": other})
