import math

import pytest
import torch

from isl.models.distribution import SplitLogistic
from isl.models.logistic_entropy import rounded_entropy

PIXELS = 1000


def summed(median, left, right, count):
    """Plain sum over classes in float64, small probabilities taken from the side they lie on."""
    median, left, right = (part.double() for part in (median, left, right))
    distance = torch.arange(count - 1, dtype=torch.float64)[:, None] + 0.5 - median
    u = distance / torch.where(distance < 0, left, right)
    up_to, beyond = torch.sigmoid(u), torch.sigmoid(-u)
    inner = torch.where(u[:-1] >= 0, beyond[:-1] - beyond[1:], up_to[1:] - up_to[:-1])
    p = torch.cat([up_to[:1], inner, beyond[-1:]])
    return -(p * (p + 1e-7).log()).sum(0) / math.log(count)


def drawn(places, log_scales):
    generator = torch.Generator().manual_seed(3)
    median, *scales = torch.rand(3, PIXELS, generator=generator)
    low, high = log_scales
    left, right = (torch.exp(low + (high - low) * part) for part in scales)
    return places[0] + (places[1] - places[0]) * median, left, right


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 3, 10, 256])
@pytest.mark.parametrize(
    ("places", "log_scales"),
    [
        ((0, 1), (-1, 4)),
        ((0, 1), (-1.5, 1.5)),
        ((-3, 3), (-9, 12)),
        ((-20, 0), (-2, 6)),
        ((1, 20), (-2, 6)),
        ((-1e4, 1e4), (-20, 20)),
    ],
    ids=["usual", "about a class", "any", "far below", "far above", "wild"],
)
def test_it_is_the_sum_over_classes(places, log_scales, count, dtype):
    parts = drawn([place * count for place in places], log_scales)
    found = rounded_entropy(*(part.to(dtype) for part in parts), count)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), summed(*parts, count), rtol=1e-4, atol=2e-7)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8, 1e12])
@pytest.mark.parametrize("median", [-1e30, 0.0, 0.5, 100.2, 254.5, 255.0, 1e30])
def test_extremes_are_finite_and_right(median, scale):
    parts = [torch.tensor([value], dtype=torch.float64) for value in (median, scale, scale)]
    expected = summed(*parts, 256)
    single = rounded_entropy(*(part.float() for part in parts), 256)
    torch.testing.assert_close(single.double(), expected, rtol=1e-4, atol=1e-5)


def test_what_is_not_predicted_has_no_entropy():
    one, nan = torch.ones(3), torch.tensor([math.nan, 1.0, 1.0])
    parts = [one, one, one]
    for index in range(3):
        found = rounded_entropy(*parts[:index], nan, *parts[index + 1 :], 256)
        assert found.isnan().tolist() == [True, False, False]


def test_an_image_of_several_blocks_is_computed_pixel_by_pixel():
    median, left, right = (
        part.view(2, 2, 250)[:, :, None].expand(-1, -1, 80, -1) for part in drawn((-1, 9), (-5, 2))
    )
    low, high = torch.tensor([0.0, 2.0]).view(2, 1, 1), torch.tensor([1.0, 7.0]).view(2, 1, 1)
    found = SplitLogistic(median, left, right).classes(low, high).entropy()
    assert found.shape == median.shape
    for target in range(2):
        step = (high - low)[target].item() / 255
        parts = [part[:, target].flatten() for part in (median, left, right)]
        parts[0] = parts[0] - low[target].item()
        expected = summed(*(part / step for part in parts), 256).view_as(found[:, target])
        torch.testing.assert_close(found[:, target].double(), expected, rtol=1e-4, atol=2e-7)


def test_an_image_without_pixels_is_empty():
    empty = torch.ones(1, 0, 5)
    at = torch.zeros(1, 1, 1)
    assert SplitLogistic(empty, empty, empty).classes(at, at + 1).entropy().shape == (1, 0, 5)
