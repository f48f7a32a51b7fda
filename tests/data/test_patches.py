import numpy as np
import pytest

from isl.core.axes import Box
from isl.core.errors import BlankImageError, DataError
from isl.data.normalization import TargetNormalizer
from isl.data.patches import PatchSampler, cut_patch
from isl.data.samples import ArrayCache, load_samples, measure_targets
from isl.data.splits import split_fovs
from isl.io.arrays import fov_from_arrays
from isl.io.roles import Roles

RNG = np.random.default_rng(0)


def field(name="a", planes=3, shape=(64, 96), without=(), **changes):
    channels = {
        "phase": RNG.integers(0, 1000, (planes, *shape)).astype(np.uint16),
        "DAPI": RNG.normal(500, 50, shape).astype(np.float32),
        "MAP2": RNG.integers(0, 255, shape).astype(np.uint8),
    }
    channels.update(changes)
    return fov_from_arrays({k: v for k, v in channels.items() if k not in without}, name=name)


def load(fovs, holdout="none", targets=("DAPI", "MAP2"), margin=0, **kwargs):
    roles = Roles("phase", targets, "by name")
    with ArrayCache(1e9) as cache:
        return load_samples(fovs, roles, split_fovs(fovs, holdout, margin), "max", cache, **kwargs)


def sampler(samples, seed=0, patch_px=32, batch_size=4, content_share=0.5):
    normalizers = measure_targets(samples, ("DAPI", "MAP2"))
    return PatchSampler(
        samples,
        normalizers,
        patch_px=patch_px,
        batch_size=batch_size,
        content_share=content_share,
        seed=seed,
    )


def test_targets_are_normalised_over_the_training_part_only():
    dapi = np.where(np.arange(96) < 48, RNG.normal(10, 2, (64, 96)), 1000.0)
    samples = load([field(DAPI=dapi)], "columns:48-95")
    normalizer = measure_targets(samples, ("DAPI", "MAP2"))[0]
    assert normalizer.offset == pytest.approx(10, abs=0.2)
    assert normalizer.scale == pytest.approx(2, abs=0.1)


def test_same_seed_and_step_same_batch():
    samples = load([field()])
    for one, other in zip(sampler(samples).batch(7), sampler(samples).batch(7), strict=True):
        assert one.equal(other)
    assert not sampler(samples).batch(7).source.equal(sampler(samples).batch(8).source)
    assert not sampler(samples).batch(7).source.equal(sampler(samples, seed=1).batch(7).source)


def test_patches_never_touch_the_heldout_part():
    marked = np.zeros((64, 96), np.float32)
    marked[:, 40:] = np.nan
    samples = load(
        [field(DAPI=np.where(np.isnan(marked), 1e6, RNG.normal(0, 1, (64, 96))))],
        "columns:48-95",
        margin=8,
    )
    drawn = [sampler(samples).batch(step).target[:, 0] for step in range(20)]
    assert max(float(t.max()) for t in drawn) < 10


def test_missing_target_is_absent_not_zero():
    samples = load([field("a"), field("b", without=("MAP2",))])
    batches = [sampler(samples).batch(step) for step in range(10)]
    with_map2 = [bool(p) for b in batches for p in b.presence[:, 1].any((1, 2))]
    assert any(with_map2)
    assert not all(with_map2)
    assert all(b.presence[:, 0].all() for b in batches)


def test_field_without_any_target_is_not_drawn():
    samples = load([field("a"), field("b", without=("DAPI", "MAP2"), planes=9)])
    assert {sampler(samples).batch(s).source.shape[1] for s in range(20)} == {3}


def test_stacks_of_different_depth_do_not_mix_in_a_batch():
    samples = load([field("a", planes=3), field("b", planes=5)])
    depths = {sampler(samples).batch(s).source.shape[1] for s in range(20)}
    assert depths == {3, 5}


def test_nan_pixels_are_absent():
    dapi = RNG.normal(5, 1, (64, 96))
    dapi[:, :48] = np.nan
    samples = load([field(DAPI=dapi)])
    batch = sampler(samples, batch_size=16).batch(0)
    assert batch.target.isfinite().all()
    assert 0.1 < batch.presence[:, 0].float().mean() < 0.9
    assert batch.presence[:, 1].all()


def test_content_is_drawn_more_often():
    dapi = RNG.normal(0, 0.01, (256, 256))
    dapi[200:232, 200:232] += 100
    flat = RNG.normal(0, 0.01, (256, 256))
    samples = load([field(shape=(256, 256), DAPI=dapi, MAP2=dapi + flat)])

    def share(content_share):
        draws = [
            sampler(samples, content_share=content_share).batch(s).target[:, 0] for s in range(30)
        ]
        return np.mean([float(patch.max() > 3) for batch in draws for patch in batch])

    assert share(1.0) > 0.9
    assert share(0.0) < 0.2


def test_field_smaller_than_a_patch_is_padded_and_masked():
    samples = load([field(shape=(20, 12))])
    batch = sampler(samples).batch(0)
    assert batch.source.shape == (4, 3, 32, 32)
    assert batch.presence[:, 0].sum() == 4 * 20 * 12
    assert not batch.source[..., 20:, :].any()


def test_cut_patch_is_the_image():
    fov = field()
    sample = load([fov])[0]
    box = Box(3, 35, 50, 82)
    source, target, presence = cut_patch(sample, box, fov.box, [TargetNormalizer(0, 1)] * 2)
    expected = sample.normalizer.apply(fov.read("phase", box=box))
    assert np.array_equal(source, expected)
    assert np.array_equal(target[0], fov.read("DAPI", box=box)[0])
    assert presence.all()


def test_time_points_are_samples():
    stack = RNG.integers(0, 99, (4, 3, 32, 32)).astype(np.uint16)
    fov = fov_from_arrays({"phase": stack, "DAPI": stack[:, :1], "MAP2": stack[:, 1:]})
    samples = load([fov])
    assert [s.t for s in samples] == [0, 1, 2, 3]
    assert np.array_equal(samples[2].targets[1], stack[2, 1:].max(0))


@pytest.mark.parametrize("bad", [np.full((64, 96), 3.0), np.full((64, 96), np.nan)])
def test_one_bad_field_is_reported_and_skipped(bad):
    fovs = [field("good"), field("bad", DAPI=bad)]
    with pytest.raises(
        BlankImageError, match="field bad, time point 0: all pixels of target 'DAPI'"
    ):
        load(fovs)
    reported = []
    samples = load(fovs, on_bad=lambda name, error: reported.append((name, type(error))))
    assert [s.fov for s in samples] == ["good"]
    assert reported == [("bad", BlankImageError)]


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="no field can be used"):
        load([field(DAPI=np.zeros((64, 96)))], on_bad=lambda name, error: None)


def test_target_acquired_nowhere_in_training_is_an_error():
    samples = load([field("a", without=("MAP2",)), field("b")], "fovs:b")
    with pytest.raises(DataError, match="target 'MAP2' was acquired in no training field"):
        measure_targets(samples, ("DAPI", "MAP2"))


def test_cache_spills_to_disk_and_cleans_up():
    array = RNG.normal(size=(10, 10))
    with ArrayCache(array.nbytes * 1.5) as cache:
        first, second = cache.keep(array), cache.keep(array)
        assert first is array
        assert np.array_equal(second, array)
        folder = cache._folder.name
        assert np.load(f"{folder}/1.npy").shape == (10, 10)
        del second
    with pytest.raises(FileNotFoundError):
        np.load(f"{folder}/1.npy")
