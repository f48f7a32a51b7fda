import numpy as np
import pytest
import torch
from inference_scene import make_model

from isl.core.errors import ConfigError
from isl.inference.orientations import averaged
from isl.models.distribution import SplitLogistic


def test_turned_images_are_turned_back():
    torch.manual_seed(0)
    source = torch.randn(1, 2, 5, 7)
    seen = []

    def predict(image):
        seen.append(tuple(image.flatten().tolist()))
        return SplitLogistic(image, image.exp(), image.exp() + 1)

    found = averaged(predict, source, 8)
    assert len(set(seen)) == 8
    torch.testing.assert_close(found.median, source)
    torch.testing.assert_close(found.scale_right, source.exp() + 1)


def test_average_does_not_depend_on_the_orientation_of_the_image():
    model = make_model().oriented(8)
    zyx = np.random.default_rng(0).random((3, 24, 36))
    found = model.predict(zyx).image
    turned = model.predict(np.rot90(zyx, 1, (1, 2))[..., ::-1]).image
    np.testing.assert_allclose(np.rot90(found, 1, (1, 2))[..., ::-1], turned, rtol=1e-4, atol=1e-3)
    assert np.abs(found - make_model().predict(zyx).image).max() > 1e-2


def test_tiled_equals_whole():
    model = make_model().oriented(8)
    zyx = np.random.default_rng(0).random((3, 64, 80))
    whole, tiled = model.predict(zyx), model.predict(zyx, tile_px=16)
    np.testing.assert_allclose(tiled.image, whole.image, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("count", [0, 9])
def test_other_numbers_are_refused(count):
    with pytest.raises(ConfigError, match="1 to 8 orientations"):
        make_model().oriented(count)
