"""Images against the light that went in."""

import numpy as np
import pytest

from isl.core.errors import ChannelError, ConfigError, DataError
from isl.simulate.imaging.fluorescence import (
    Confocal,
    WideField,
    bleed_through,
    image_stack,
    max_projection,
    psf,
)


def test_image_of_one_voxel_is_the_psf():
    volume, voxel_um = np.zeros((3, 32, 32), np.float32), (0.8, 0.3, 0.3)
    volume[1, 16, 16] = 1
    stack = image_stack(volume, voxel_um, [0.4, 1.2, 2.0], WideField())
    expected = 0.8 * psf(WideField(), voxel_um, (3, 32, 32))
    np.testing.assert_allclose(stack, expected, atol=1e-6)


def test_wide_field_planes_have_the_light_of_the_volume():
    volume = np.random.default_rng(1).random((4, 24, 40)).astype(np.float32)
    stack = image_stack(volume, (1.0, 0.5, 0.5), [-5.0, 0.0, 2.3, 30.0], WideField())
    np.testing.assert_allclose(stack.sum(axis=(1, 2)), volume.sum() * 1.0, rtol=1e-5)
    assert stack.dtype == np.float32


def test_brightness_does_not_depend_on_the_sampling_along_z():
    fine, coarse = np.ones((20, 16, 16)), np.ones((4, 16, 16))
    config = Confocal(na=0.75)
    images = [image_stack(v, (10 / len(v), 0.5, 0.5), [4.0], config).mean() for v in (fine, coarse)]
    assert images[0] == pytest.approx(images[1], rel=0.01)


def test_image_is_sharpest_where_the_object_is():
    volume = np.zeros((8, 24, 24), np.float32)
    volume[5, ::6, ::6] = 1
    stack = image_stack(volume, (1.5, 0.4, 0.4), [(k + 0.5) * 1.5 for k in range(8)], WideField())
    assert int(stack.std(axis=(1, 2)).argmax()) == 5


def test_stack_reports_progress_and_leaves_the_dark_dark():
    seen = []
    stack = image_stack(
        np.ones((2, 8, 8)), (1.0, 0.5, 0.5), [1.0], WideField(), progress=seen.append
    )
    assert [p.done for p in seen] == [1]
    assert seen[0].total == 1
    assert stack.min() > 0
    assert not image_stack(np.zeros((2, 8, 8)), (1.0, 0.5, 0.5), [1.0], WideField()).any()


@pytest.mark.parametrize(
    "volume",
    [np.ones((8, 8)), np.ones((0, 8, 8)), np.full((1, 8, 8), np.nan), -np.ones((1, 8, 8))],
)
def test_volumes_that_cannot_be_imaged_are_refused(volume):
    with pytest.raises(DataError, match="fluorophore"):
        image_stack(volume, (1.0, 0.5, 0.5), [0.0], WideField())


def test_voxels_and_heights_must_make_sense():
    with pytest.raises(ConfigError, match="voxel_um"):
        image_stack(np.ones((1, 8, 8)), (0.0, 0.5, 0.5), [0.0], WideField())
    with pytest.raises(ConfigError, match="focus_um"):
        image_stack(np.ones((1, 8, 8)), (1.0, 0.5, 0.5), [], WideField())


def test_projection_takes_the_brightest():
    stack = np.array([[[1.0, 5.0]], [[3.0, 2.0]]])
    assert max_projection(stack).tolist() == [[3.0, 5.0]]
    with pytest.raises(DataError, match="projection"):
        max_projection(stack[0])


def test_bleed_through_is_the_matrix():
    rng = np.random.default_rng(0)
    stains = {name: rng.random((3, 5)) for name in "ABC"}
    matrix = {"A": {"B": 0.2, "C": 0.05}, "C": {"A": 0.1, "C": 0.9}}
    seen = bleed_through(stains, matrix)
    assert list(seen) == ["A", "B", "C"]
    full = np.array([[1, 0.2, 0.05], [0, 1, 0], [0.1, 0, 0.9]])
    expected = np.einsum("cs,syx->cyx", full, np.stack(list(stains.values())))
    np.testing.assert_allclose(np.stack(list(seen.values())), expected, rtol=1e-6)


def test_bleed_through_names_what_is_missing():
    image = {"A": np.ones((2, 2))}
    with pytest.raises(ChannelError, match="'B'"):
        bleed_through(image, {"A": {"B": 0.1}})
    with pytest.raises(ConfigError, match="into A"):
        bleed_through(image, {"A": {"A": -0.1}})
