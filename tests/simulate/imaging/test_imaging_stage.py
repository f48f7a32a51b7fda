"""What the stage does to known images can be measured in them."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from isl.core.errors import ChannelError, ConfigError, DataError
from isl.simulate.imaging.stage import (
    Stage,
    drift,
    drift_path_um,
    heights_for_tilt,
    keep_channels,
    keep_planes,
    shift,
    tilt_um,
    tilted,
)

PIXEL_UM = (0.5, 0.25)


def smooth_image(size=(48, 40)):
    noise = np.random.default_rng(2).random(size)
    return ndimage.gaussian_filter(noise, 2, mode="wrap") - 0.3


def test_known_subpixel_shift_is_found_again():
    image = smooth_image()
    moved = shift(image, (0.65, -0.4), PIXEL_UM)
    found, _, _ = phase_cross_correlation(moved, image, upsample_factor=100, normalization=None)
    np.testing.assert_allclose(found, (1.3, -1.6), atol=0.02)


def test_shift_by_whole_pixels_rolls_and_back_is_where_it_was():
    image = smooth_image((31, 24))
    np.testing.assert_allclose(
        shift(image, (1.0, 0.5), PIXEL_UM), np.roll(image, (2, 2), (0, 1)), atol=1e-6
    )
    back = shift(shift(image, (0.3, 0.1), PIXEL_UM), (-0.3, -0.1), PIXEL_UM)
    np.testing.assert_allclose(back, image, atol=1e-5)
    assert shift(np.eye(8), (0.1, 0.1), PIXEL_UM).min() >= 0


def test_drift_moves_each_plane_along_the_path():
    stage = Stage(drift_um=(0.15, -0.1))
    path = drift_path_um(stage, 4, np.random.default_rng(0))
    np.testing.assert_allclose(path, [[0, 0], [0.15, -0.1], [0.3, -0.2], [0.45, -0.3]])
    image = smooth_image()
    stack = drift(np.stack([image] * 4), path, PIXEL_UM)
    for plane, (y, x) in zip(stack, path, strict=True):
        found, _, _ = phase_cross_correlation(plane, image, upsample_factor=100, normalization=None)
        np.testing.assert_allclose(found, (y / 0.5, x / 0.25), atol=0.02)
    with pytest.raises(DataError, match="do not belong"):
        drift(stack, path[:3], PIXEL_UM)


def test_offset_between_modalities_is_found_again():
    stage, light = Stage(lateral_offset_um=(-0.35, 0.6)), smooth_image()
    fluorescence = shift(light, stage.lateral_offset_um, PIXEL_UM)
    found, _, _ = phase_cross_correlation(
        fluorescence, light, upsample_factor=100, normalization=None
    )
    np.testing.assert_allclose(found * PIXEL_UM, stage.lateral_offset_um, atol=0.01)


def test_jitter_is_a_random_walk_of_the_given_size():
    path = drift_path_um(Stage(jitter_um=0.2), 4000, np.random.default_rng(0))
    assert not path[0].any()
    assert np.diff(path, axis=0).std() == pytest.approx(0.2, rel=0.03)
    again = drift_path_um(Stage(jitter_um=0.2), 4000, np.random.default_rng(0))
    assert path.tobytes() == again.tobytes()


def test_tilt_moves_the_focus_linearly_over_the_field():
    stage = Stage(tilt_um_per_mm=(0.0, 100.0))
    tilt = tilt_um(stage, (6, 41), (1.0, 1.0))
    np.testing.assert_allclose(tilt[0], 0.1 * (np.arange(41) - 20))
    focus = np.arange(-3.0, 3.01, 0.1)
    heights = heights_for_tilt(focus, tilt, 0.25)
    assert heights[0] == pytest.approx(-5)
    assert heights[-1] == pytest.approx(5)
    # Each plane is as bright as it is near the object at height 0.
    sharpness = np.exp(-(np.array(heights) ** 2))[:, None, None] * np.ones((1, 6, 41))
    stack = tilted(sharpness, heights, focus, tilt)
    best = focus[stack.argmax(axis=0)]
    np.testing.assert_allclose(best, -tilt, atol=0.1)


def test_tilt_interpolates_and_ends_at_the_last_plane():
    stack = np.arange(3.0)[:, None, None] * np.ones((1, 2, 3))
    tilt = np.array([[0.25, 0.5, 9.0], [0.0, -0.25, -9.0]])
    image = tilted(stack, (0.0, 1.0, 2.0), [1.0], tilt)[0]
    np.testing.assert_allclose(image, [[1.25, 1.5, 2.0], [1.0, 0.75, 0.0]])


def test_even_stage_changes_nothing():
    stack, focus = np.random.default_rng(0).random((2, 4, 5)).astype(np.float32), (1.0, 4.0)
    tilt = tilt_um(Stage(), (4, 5), PIXEL_UM)
    assert heights_for_tilt(focus, tilt, 0.5) == focus
    np.testing.assert_array_equal(tilted(stack, focus, focus, tilt), stack)
    path = drift_path_um(Stage(), 2, np.random.default_rng(0))
    np.testing.assert_array_equal(drift(stack, path, PIXEL_UM), stack)
    assert keep_planes(["a", "b"], Stage(), np.random.default_rng(0)) == ("a", "b")


def test_tilt_refuses_what_does_not_fit():
    with pytest.raises(DataError, match="3 heights"):
        tilted(np.ones((2, 4, 4)), (0.0, 1.0, 2.0), [1.0], np.ones((4, 4)))
    with pytest.raises(ConfigError, match="step_um"):
        heights_for_tilt([0.0], np.ones((2, 2)), 0.0)


def test_missing_planes_stay_missing():
    stack = np.ones((4, 2, 2))
    kept = keep_planes(stack, Stage(missing_planes=(0, 2)), np.random.default_rng(0))
    assert [plane is None for plane in kept] == [True, False, True, False]


def test_one_plane_always_stays():
    stage = Stage(missing_planes=(1,), missing_plane_share=1.0)
    kept = keep_planes("abc", stage, np.random.default_rng(0))
    assert kept[1] is None
    assert sum(plane is not None for plane in kept) == 1
    with pytest.raises(ConfigError, match="all 2"):
        keep_planes("ab", Stage(missing_planes=(0, 1)), np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"\[5\].*3 planes"):
        keep_planes("abc", Stage(missing_planes=(1, 5)), np.random.default_rng(0))


def test_planes_are_missing_as_often_as_asked_and_the_seed_says_which():
    stage = Stage(missing_plane_share=0.3)
    kept = [keep_planes(range(2000), stage, np.random.default_rng(s)) for s in (1, 1, 2)]
    assert kept[0] == kept[1] != kept[2]
    assert np.mean([plane is None for plane in kept[0]]) == pytest.approx(0.3, abs=0.03)


def test_missing_channels_are_absent():
    images = {"NUCLEI": 1, "AXONS": 2, "DEAD": 3}
    assert keep_channels(images, Stage(missing_channels=("AXONS",)), np.random.default_rng(0)) == {
        "NUCLEI": 1,
        "DEAD": 3,
    }
    assert keep_channels(images, Stage(missing_channel_share=1), np.random.default_rng(0)) == {}
    with pytest.raises(ChannelError, match="MAP2"):
        keep_channels(images, Stage(missing_channels=("MAP2",)), np.random.default_rng(0))


def test_settings_survive_json():
    stage = Stage(drift_um=(0.1, 0.2), missing_planes=(3,), missing_channels=("DEAD",))
    assert Stage.model_validate_json(stage.model_dump_json()) == stage
