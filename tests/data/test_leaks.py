"""Copies must be found whatever was done to them, and nothing else."""

import time

import numpy as np
import pytest

import isl
from isl.core.axes import Box
from isl.core.errors import DataError, LeakError
from isl.data.leaks import check_leaks, find_leaks
from isl.data.normalization import SourceNormalizer
from isl.data.samples import Sample
from isl.simulate.scene import simulate_scene


def sample(name, plane, train=(), heldout=()):
    source = np.asarray(plane)[None]
    normalizer = SourceNormalizer(0.0, 1.0)
    depths = np.zeros(1, np.float32)
    return Sample(name, 0, source, normalizer, (None,), tuple(train), tuple(heldout), depths)


def trained(plane, name="trained"):
    return sample(name, plane, train=[Box.of(plane.shape)])


def held_out(plane, name="kept"):
    return sample(name, plane, heldout=[Box.of(plane.shape)])


def texture(seed, shape=(256, 256)):
    """Camera image (uint16) of something irregular, with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=tuple(n // 8 + 2 for n in shape))
    rough = np.kron(coarse, np.ones((8, 8)))[: shape[0], : shape[1]]
    return (2000 + 300 * rough + rng.normal(0, 20, shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def image():
    return texture(0)


COPIES = {
    "identical": lambda image: image.copy(),
    "shifted": lambda image: np.roll(image, (3, 17), (0, 1))[3:, 17:],
    "shifted and noisy where new": lambda image: np.hstack([texture(9)[:, :60], image[:, :-60]]),
    "quarter": lambda image: image[100:228, 60:188],
    "gain and offset": lambda image: image * np.float32(0.013) - 7,
    "8 bit": lambda image: (image // 16).astype(np.uint8),
    "padded": lambda image: np.pad(image, 100),
    "with a saturated part": lambda image: np.where(np.arange(256) < 90, 65535, image),
    "with NaN": lambda image: np.where(np.arange(256) < 90, np.nan, image),
    "new noise": lambda image: image + np.random.default_rng(1).normal(0, 10, image.shape),
    "neighbour": lambda image: np.hstack([image[:, 190:], texture(8)[:, 66:]]),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found(image, how):
    other = texture(5)
    samples = [trained(other, "other"), trained(image), held_out(COPIES[how](image))]
    with pytest.raises(LeakError) as error:
        check_leaks(samples)
    text = str(error.value)
    assert "kept (held out) is in trained (trained on)" in text
    assert "other" not in text
    assert "--no-check-leaks" in text
    assert "wells:NAME" in text
    assert isinstance(error.value, DataError)


def test_what_is_common_is_told(image):
    (leak,) = find_leaks([trained(image), held_out(image[60:, 28:])])
    assert (leak.trained, leak.held_out) == ("trained", "kept")
    assert leak.shift_yx == (60, 28)
    assert leak.share == 1.0
    (leak,) = find_leaks([trained(image), held_out(COPIES["neighbour"](image))])
    assert leak.share == pytest.approx(66 / 256, abs=0.01)


def test_a_copy_among_the_held_out_columns_of_the_same_field(image):
    wide = np.hstack([image, texture(3)])
    boxes = [Box(0, 256, 0, 256)], [Box(0, 256, 320, 512)]
    check_leaks([sample("field", wide, *boxes)])
    wide[:, 320:512] = wide[:, 10:202]
    with pytest.raises(LeakError, match="field: what is held out is also in the part trained on"):
        check_leaks([sample("field", wide, *boxes)])


def test_pixels_in_the_margin_do_not_count(image):
    check_leaks([sample("field", image, [Box(0, 256, 0, 96)], [Box(0, 256, 160, 256)])])


def test_large_fields_are_compared_in_blocks():
    large = texture(0, (1600, 2400))
    start = time.process_time()
    (leak,) = find_leaks([trained(large), held_out(large[:, 40:])])
    assert time.process_time() - start < 8
    assert leak.shift_yx == (0, 40)


UNLIKE = {
    "other": lambda seed: texture(seed),
    "constant": lambda _: np.full((128, 128), 700, np.uint16),
    "zero borders": lambda seed: np.pad(texture(seed, (128, 128)), 60),
    "saturated half": lambda seed: np.where(np.arange(256) < 128, 65535, texture(seed)),
    "grid": lambda _: np.tile(np.outer(np.hanning(16), np.hanning(16)), (16, 16)),
    "stripes": lambda _: np.tile(np.sin(np.arange(256) / 3.0), (256, 1)),
    "ramp": lambda seed: np.add.outer(np.arange(256.0), np.arange(256.0)) * (seed + 1),
    "one blob": lambda _: np.outer(np.hanning(256), np.hanning(256)),
    "tiny": lambda seed: texture(seed, (16, 16)),
    "empty": lambda _: np.zeros((0, 0)),
    "NaN": lambda _: np.full((64, 64), np.nan),
    "noise": lambda seed: np.random.default_rng(seed).normal(size=(256, 256)),
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_what_only_looks_alike_is_no_leak(kind):
    first = [trained(UNLIKE[kind](seed), f"t{seed}") for seed in (1, 2, 3)]
    crop = UNLIKE[kind](4)[:-3, :-7]
    assert find_leaks([*first, held_out(crop)]) == ()


def test_tiny_fields_are_compared_pixel_by_pixel():
    tiny = texture(1, (12, 12))
    (leak,) = find_leaks([trained(tiny), held_out(tiny.astype(np.float32))])
    assert leak.share == 1.0


@pytest.mark.parametrize("value", [0.0, 65535.0, np.nan])
def test_blank_fields_are_no_copies_of_each_other(value):
    blank = np.full((40, 40), value)
    assert find_leaks([trained(blank), held_out(blank)]) == ()


def test_nothing_is_compared_where_there_are_not_two_sides(image):
    assert find_leaks([trained(image), trained(image)]) == ()
    assert find_leaks([held_out(image), held_out(image)]) == ()


def test_many_pairs_are_named_only_in_part():
    fields = [texture(seed, (96, 96)) for seed in range(12)]
    samples = [trained(f, f"t{i}") for i, f in enumerate(fields)]
    samples += [held_out(f, f"h{i}") for i, f in enumerate(fields)]
    with pytest.raises(LeakError, match="and 2 more"):
        check_leaks(samples)


def test_simulated_fields_of_different_seeds_are_different():
    planes = [simulate_scene(seed, (160, 160), planes=1, cells=12).source[0] for seed in range(4)]
    samples = [trained(plane, str(i)) for i, plane in enumerate(planes[:3])]
    assert find_leaks([*samples, held_out(planes[3])]) == ()
    assert len(find_leaks([*samples, held_out(planes[1][5:, 9:])])) == 1


@pytest.mark.data
def test_the_columns_of_the_real_well_share_nothing(data_dir):
    fov = isl.open_fovs(data_dir / "isl2018" / "condition_B_well_A4")[0]
    plane = fov.read("PHASE_CONTRAST", z=[6])[0]
    boxes = [Box(0, 1024, 0, 512)], [Box(0, 1024, 576, 768)]
    check_leaks([sample("A4", plane, *boxes)])
    neighbours = [trained(plane[:, :420]), held_out(plane[:, 382:])]
    (leak,) = find_leaks(neighbours)
    assert leak.shift_yx == (0, 382)
    assert leak.share == pytest.approx(0.1, abs=0.01)


@pytest.mark.data
def test_cells_of_two_experiments_are_different(data_dir):
    one, two = (
        isl.open_fovs(data_dir / "imaging_flow_cytometry" / f"Experiment_{n}") for n in (1, 2)
    )
    planes = [[fov.read("Ch3")[0] for fov in fovs[:2]] for fovs in (one, two)]
    samples = [trained(plane, f"t{i}") for i, plane in enumerate(planes[0])]
    samples += [held_out(plane, f"h{i}") for i, plane in enumerate(planes[1])]
    assert find_leaks(samples) == ()
