import numpy as np
import pytest
import torch

from isl.core.config import TrainConfig
from isl.data.augmentation import Augmentation, gaussian_blur
from isl.data.patches import Batch, padded_planes
from isl.data.plane_dropout import planes_of

OFF = {
    "free_rotation_degrees": 0,
    "scaling": 0,
    "flips": False,
    "rotations": False,
    "gain_std": 0,
    "offset_std": 0,
    "noise_std": 0,
    "blur_share": 0,
    "plane_dropout": 0,
    "patch_px": 32,
}


def batch(side=32, size=6):
    target = torch.randn(size, 2, side, side)
    source = target[:, :1].repeat(1, 3, 1, 1)
    presence = torch.ones(size, 2, side, side, dtype=torch.bool)
    return Batch(source, torch.linspace(0, 1, 3).expand(size, 3), target, presence)


def test_everything_off_changes_nothing():
    before = batch()
    for a, b in zip(before, Augmentation(TrainConfig(**OFF))(before, 3), strict=True):
        assert a.equal(b)


@pytest.mark.parametrize(
    "on",
    [
        {"flips": True, "rotations": True},
        {"free_rotation_degrees": 45, "scaling": 0.2},
        {"free_rotation_degrees": 180},
        {"elastic_px": 0.5},
    ],
)
def test_geometry_moves_source_and_target_alike(on):
    augmentation = Augmentation(TrainConfig(**(OFF | on)))
    after = augmentation(batch(augmentation.read_px), 1)
    assert after.source.shape[-2:] == (32, 32)
    assert torch.allclose(after.source[:, 0], after.target[:, 0], atol=1e-5)
    assert after.presence.all()


def test_flips_and_turns_keep_the_pixels_and_happen():
    before = batch(size=32)
    after = Augmentation(TrainConfig(**(OFF | {"flips": True, "rotations": True})))(before, 0)
    assert torch.equal(before.target.flatten(1).sort()[0], after.target.flatten(1).sort()[0])
    unchanged = [bool(a.equal(b)) for a, b in zip(before.target, after.target, strict=True)]
    assert 0 < sum(unchanged) < 16


def test_absent_pixels_move_with_the_image():
    before = batch()
    before.presence[:, 0, :, :16] = False
    on = OFF | {"flips": True, "rotations": True, "free_rotation_degrees": 30}
    augmentation = Augmentation(TrainConfig(**on))
    after = augmentation(before, 5)
    assert 0.2 < after.presence[:, 0].float().mean() < 0.8


@pytest.mark.parametrize("name", ["gain_std", "offset_std", "noise_std", "blur"])
def test_intensity_changes_the_source_alone(name):
    on = {"blur_share": 1.0, "blur_sigma_px": 2.0} if name == "blur" else {name: 0.5}
    before = batch()
    after = Augmentation(TrainConfig(**(OFF | on)))(before, 0)
    assert not torch.allclose(before.source, after.source)
    assert torch.equal(before.target, after.target)


def test_same_step_same_changes():
    augmentation, before = Augmentation(TrainConfig(patch_px=32)), batch()
    assert augmentation(before, 4).source.equal(augmentation(before, 4).source)
    assert not augmentation(before, 4).source.equal(augmentation(before, 5).source)


def test_blur_keeps_the_mean_of_a_constant_and_lowers_contrast():
    assert torch.allclose(
        gaussian_blur(torch.full((2, 9, 9), 3.0), 1.5), torch.full((2, 9, 9), 3.0)
    )
    noise = torch.randn(1, 64, 64)
    assert gaussian_blur(noise, 2.0).std() < 0.3 * noise.std()
    assert torch.allclose(gaussian_blur(noise, 0.0), noise, atol=1e-6)


@pytest.mark.parametrize("planes", [(5, 5, 5, 5), (3, 5, 1, 4)])
def test_a_patch_changes_alike_however_the_batch_is_divided(planes):
    config = TrainConfig(patch_px=32, elastic_px=0.5, blur_share=0.5, plane_dropout=0.5)
    augmentation = Augmentation(config)
    stacks = [
        np.random.default_rng(n).random((n, augmentation.read_px, augmentation.read_px), np.float32)
        for n in planes
    ]

    def part(first, end):
        most = max(planes[first:end])
        depths = [np.linspace(0, 1, n, dtype=np.float32) for n in planes[first:end]]
        padded = [padded_planes(s, d, most) for s, d in zip(stacks[first:end], depths, strict=True)]
        source, z = (torch.from_numpy(np.stack(parts)) for parts in zip(*padded, strict=True))
        return Batch(source, z, source[:, :1], torch.ones_like(source[:, :1], dtype=torch.bool))

    for step in range(3):
        whole = augmentation(part(0, 4), step)
        for first, end in ((0, 2), (2, 4), (3, 4)):
            shared = augmentation(part(first, end), step, first)
            for index in range(end - first):
                count = planes_of(shared.z_position)[index]
                assert count == planes_of(whole.z_position)[first + index]
                for name in ("source", "z_position"):
                    one, all_ = getattr(shared, name)[index], getattr(whole, name)[first + index]
                    torch.testing.assert_close(one[:count], all_[:count], rtol=0, atol=1e-6)
                assert shared.target[index].equal(whole.target[first + index])
                assert shared.presence[index].equal(whole.presence[first + index])
