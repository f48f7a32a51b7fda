from dataclasses import replace

import numpy as np
import pytest
import torch

from isl.core.axes import Box
from isl.core.errors import BlankImageError, DataError
from isl.data.normalization import TargetNormalizer
from isl.data.patches import PatchSampler, cut_patch, padded_planes
from isl.data.samples import ArrayCache, load_samples, normalize_targets
from isl.data.splits import split_fovs
from isl.io.arrays import fov_from_arrays
from isl.io.roles import Roles
from isl.models.density import DepthSampling

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
    samples, _ = normalize_targets(samples, ("DAPI", "MAP2"))
    return PatchSampler(
        samples,
        patch_px=patch_px,
        batch_size=batch_size,
        content_share=content_share,
        seed=seed,
    )


def test_targets_are_normalised_over_the_training_part_only():
    dapi = np.where(np.arange(96) < 48, RNG.normal(10, 2, (64, 96)), 1000.0)
    samples = load([field(DAPI=dapi)], "columns:48-95")
    normalizer = normalize_targets(samples, ("DAPI", "MAP2"))[1][0]
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


def test_shallow_stacks_are_padded_beyond_their_last_plane():
    samples = load([field("a", planes=3), field("b", planes=5)])
    padded = 0
    for batch in (sampler(samples).batch(s) for s in range(20)):
        assert (batch.z_position.diff(dim=1) > 0).all()
        for source, depths in zip(batch.source, batch.z_position, strict=True):
            last = int((depths <= 1).sum()) - 1
            assert depths[last] == 1
            assert all(plane.equal(source[last]) for plane in source[last + 1 :])
            padded += len(source) - 1 - last
    assert padded


def test_padding_does_not_change_what_a_network_sees():
    source = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    depths = np.array([0.1, 0.4, 0.9], np.float32)
    more, beyond = padded_planes(source, depths, 6)
    sampling = DepthSampling(7)
    seen = [
        sampling(torch.from_numpy(s)[None], torch.from_numpy(d)[None])
        for s, d in ((source, depths), (more, beyond))
    ]
    assert torch.equal(*seen)


def with_dataset(samples, **names):
    return [replace(s, dataset=names[s.fov]) for s in samples]


def test_datasets_and_targets_are_drawn_equally_often():
    big = field("a", shape=(256, 256), without=("MAP2",))
    small = field("b", shape=(40, 40))
    samples, _ = normalize_targets(with_dataset(load([big, small]), a="A", b="B"), ("DAPI", "MAP2"))

    def share(**settings):
        drawn = PatchSampler(
            samples, patch_px=32, batch_size=64, content_share=0.0, seed=1, **settings
        )
        return float(drawn.batch(0).presence[:, 1].any(-1).any(-1).float().mean())

    assert share() == pytest.approx(0.5, abs=0.2)
    assert share(dataset_weights={"B": 9.0}) == pytest.approx(0.9, abs=0.1)
    assert share(dataset_weights={"A": 9.0}) == pytest.approx(0.1, abs=0.1)


def test_rare_target_is_drawn_and_weighs_more():
    fovs = [field(str(i), without=("MAP2",)) for i in range(19)] + [field("rare")]
    samples, _ = normalize_targets(load(fovs), ("DAPI", "MAP2"))

    def drawn(balance):
        return PatchSampler(
            samples,
            patch_px=32,
            batch_size=2,
            content_share=0.0,
            seed=0,
            target_balance=balance,
        )

    def share(balance):
        batches = [drawn(balance).batch(s) for s in range(60)]
        return np.mean([float(b.presence[:, 1].any(-1).any(-1).float().mean()) for b in batches])

    assert share(1.0) > 0.4
    assert share(0.0) < 0.25
    assert drawn(0.0).target_weights.tolist() == [1.0, 1.0]
    weights = drawn(1.0).target_weights
    assert weights[0] == 1.0
    assert 1.1 < weights[1] < 1.6


def test_slots_of_a_batch_are_those_of_the_whole():
    samples = load([field()])
    whole, part = sampler(samples).batch(3), sampler(samples).batch(3, slice(1, 3))
    assert part.source.equal(whole.source[1:3])
    assert part.target.equal(whole.target[1:3])


def test_each_dataset_has_its_own_unit():
    dim = field("a", DAPI=RNG.normal(10, 2, (64, 96)))
    bright = field("b", DAPI=RNG.normal(5000, 300, (64, 96)), shape=(64, 96), without=("MAP2",))
    samples, common = normalize_targets(
        with_dataset(load([dim, bright]), a="A", b="B"), ("DAPI", "MAP2")
    )
    offsets = {s.dataset: s.target_normalizers[0].offset for s in samples}
    assert offsets["A"] == pytest.approx(10, abs=1)
    assert offsets["B"] == pytest.approx(5000, abs=50)
    assert common[0] in [s.target_normalizers[0] for s in samples]
    assert samples[1].target_normalizers[1] == samples[0].target_normalizers[1]


def test_kept_units_are_kept():
    kept = TargetNormalizer(7.0, 3.0)
    samples, common = normalize_targets(load([field()]), ("DAPI", "MAP2"), kept={"DAPI": kept})
    assert common[0] == samples[0].target_normalizers[0] == kept
    assert common[1] != kept


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
    unit = TargetNormalizer(0, 1)
    sample = replace(load([fov])[0], target_normalizers=(unit, unit))
    box = Box(3, 35, 50, 82)
    source, target, presence = cut_patch(sample, box, fov.box)
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
    fovs = [field("good"), field("bad", DAPI=bad, MAP2=np.zeros((64, 96)))]
    with pytest.raises(
        BlankImageError, match="field bad, time point 0: all pixels of target 'DAPI'"
    ):
        load(fovs)
    reported = []
    samples = load(fovs, on_bad=lambda name, error: reported.append((name, type(error))))
    assert [s.fov for s in samples] == ["good"]
    assert reported == [("bad", BlankImageError)]


def test_blank_target_of_a_field_counts_as_not_acquired(caplog):
    sample = load([field(DAPI=np.full((64, 96), 3.0))])[0]
    assert sample.targets[0] is None
    assert sample.targets[1] is not None
    assert "all pixels of target 'DAPI' are 3: it counts as not acquired" in caplog.text


def test_blank_planes_are_left_out_with_their_depths(caplog):
    phase = RNG.integers(1, 1000, (5, 64, 96)).astype(np.uint16)
    phase[1] = 7
    sample = load([field(phase=phase)])[0]
    assert np.array_equal(sample.source, phase[[0, 2, 3, 4]])
    assert sample.depths.tolist() == [0.0, 0.5, 0.75, 1.0]
    assert "left out planes 1 of the source" in caplog.text


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="no field can be used"):
        load([field(DAPI=np.zeros((64, 96)), without=("MAP2",))], on_bad=lambda name, error: None)


def test_target_acquired_nowhere_in_training_is_an_error():
    samples = load([field("a", without=("MAP2",)), field("b")], "fovs:b")
    with pytest.raises(DataError, match="target 'MAP2' was acquired in no training field"):
        normalize_targets(samples, ("DAPI", "MAP2"))


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
