"""Crops, patches and corruption as published."""

import pytest
import torch

from isl.core.config import TrainConfig
from isl.data.patches import Batch
from isl.data.published_augmentation import PublishedAugmentation


def augmentation(**settings):
    return PublishedAugmentation(TrainConfig(network="isl2018", **settings))


def crops(count=4, side=520):
    """Crops whose values say where each pixel comes from."""
    position = torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side)
    crop = torch.arange(count)[:, None, None, None] * side * side
    target = (position + crop).expand(count, 2, side, side).clone()
    z = torch.tensor([[0.0, 0.5, 1.0]]).expand(count, -1)
    return Batch(
        target[:, :1].expand(-1, 3, -1, -1), z, target, torch.ones(target.shape, dtype=bool)
    )


def test_a_batch_is_four_crops_of_four_patches():
    published = augmentation()
    assert (published.read_px, published.draws) == (520, 4)
    found = published(crops(), 0)
    assert found.source.shape == (16, 3, 250, 250)
    assert found.target.shape == found.presence.shape == (16, 2, 250, 250)
    assert found.z_position.shape == (16, 3)


def test_patches_keep_the_depths_of_their_crop():
    batch = crops(2)
    depths = torch.tensor([[0.0, 0.5, 1.0], [0.5, 1.5, 2.5]])
    found = augmentation()(batch._replace(z_position=depths), 0)
    crop = (found.target[:, 0, 100, 100] // 520**2).long()
    assert crop.tolist() == [0, 1] * 4
    assert torch.equal(found.z_position, depths[crop])


def test_patches_lie_256_pixels_apart():
    found = augmentation(flips=False, rotations=False)(crops(1), 0)
    corners = found.target[:, 0, 0, 0].tolist()
    assert corners == [0, 256, 256 * 520, 256 * 520 + 256]


@pytest.mark.parametrize(
    ("settings", "draws", "read_px"),
    [
        ({"crop_px": None}, 16, 250),
        ({"crop_px": None, "patch_px": 282, "batch_size": 3}, 3, 282),
        ({"crop_px": 800}, 2, 800),
    ],
)
def test_crops_are_as_many_as_the_batch_needs(settings, draws, read_px):
    published = augmentation(**settings)
    assert (published.draws, published.read_px) == (draws, read_px)
    found = published(crops(draws, read_px), 0)
    assert len(found.source) == published._config.batch_size


def test_source_target_and_presence_move_together_and_all_crops_turn_alike():
    given = crops(4, 250)
    published = augmentation(crop_px=None, batch_size=4)
    seen = set()
    for step in range(40):
        found = published(given, step)
        torch.testing.assert_close(found.source[:, 0], found.target[:, 0], rtol=0, atol=0)
        turns = {_turns(image) for image in found.target[:, 0]}
        assert len({turn for turn, _ in turns}) == 1
        seen |= turns
    assert len(seen) == 8


def _turns(image):
    """Quarter turns and flip that bring back rows that rise by one from left to right."""
    for turn in range(4):
        for flip in (False, True):
            back = torch.rot90(image, -turn, (0, 1))
            back = back.flip(-1) if flip else back
            if back[0, 1] - back[0, 0] == 1 and back[1, 0] > back[0, 0]:
                return turn, flip
    raise AssertionError


def test_same_step_same_changes():
    published = augmentation(noise_std=0.1)
    for a, b in zip(published(crops(), 3), published(crops(), 3), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_nothing_is_corrupted_by_default():
    found = augmentation(flips=False, rotations=False)(crops(), 0)
    torch.testing.assert_close(found.source[:, 0], found.target[:, 0], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["gain_std", "offset_std", "noise_std"])
def test_corruption_changes_half_of_the_batches_and_the_source_alone(name):
    given = crops(1, 250)
    given = given._replace(source=torch.full_like(given.source, 0.5))
    published = augmentation(crop_px=None, batch_size=1, **{name: 0.1})
    changed = []
    for step in range(60):
        found = published(given, step)
        planes = found.source[0]
        changed.append(bool((planes != 0.5).any()))
        assert planes.min() >= 0
        assert planes.max() <= 1
        if changed[-1]:
            spreads = planes.std((1, 2))
            assert (spreads > 0.05).all() if name == "noise_std" else (spreads < 1e-6).all()
            assert len(set(planes[:, 0, 0].tolist())) == 3
    assert 15 < sum(changed) < 45


def test_crops_change_alike_however_the_batch_is_divided():
    published = augmentation(gain_std=0.1, offset_std=0.1, noise_std=0.1)
    given = crops()
    given = given._replace(source=torch.rand(4, 3, 520, 520))
    for step in range(3):
        whole = published(given, step)
        of_corners = whole.source.view(4, 4, 3, 250, 250)
        for first in (0, 2):
            part = Batch(*(values[first : first + 2] for values in given))
            found = published(part, step, first).source.view(4, 2, 3, 250, 250)
            assert torch.equal(found, of_corners[:, first : first + 2])
