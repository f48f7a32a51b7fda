import numpy as np
import pytest
import torch

from isl.core.config import TrainConfig
from isl.core.networks import Isl2018Config, NetworkConfig, UNetConfig
from isl.data.augmentation import Augmentation
from isl.data.patch_random import PatchRandom
from isl.data.patches import Batch
from isl.data.plane_dropout import drop_planes, evenly_spaced, planes_of
from isl.models.build import build_labeling_network

PLANES = 7


def stacks(count=400, planes=PLANES):
    """Stacks whose pixels say which plane they are of, at uneven positions."""
    source = torch.arange(planes, dtype=torch.float32).view(1, -1, 1, 1).expand(count, -1, 2, 2)
    return source, torch.linspace(0, 1, planes).pow(1.5).expand(count, -1)


def dropped(share, planes=PLANES, count=400):
    source, z = stacks(count, planes)
    return drop_planes(source, z, share, PatchRandom(0, 3, 0, count))


def kept(share=1.0):
    """Planes and positions that each stack keeps."""
    source, z = dropped(share)
    for stack, positions, count in zip(source, z, planes_of(z), strict=True):
        yield stack[:count, 0, 0].long().tolist(), positions[:count].tolist()


def test_without_dropout_nothing_changes():
    source, z = stacks()
    found = drop_planes(source, z, 0.0, PatchRandom(0, 3, 0, len(source)))
    assert found[0] is source
    assert found[1] is z


def test_as_many_stacks_as_asked_lose_planes_and_all_numbers_occur():
    numbers = [len(planes) for planes, _ in kept(0.4)]
    assert np.mean([n < PLANES for n in numbers]) == pytest.approx(0.4, abs=0.08)
    assert set(numbers) == set(range(1, PLANES + 1))


def test_planes_keep_their_order_and_half_of_the_stacks_their_positions():
    true = torch.linspace(0, 1, PLANES).pow(1.5).numpy()
    in_place = []
    for planes, positions in kept():
        assert planes == sorted(set(planes))
        in_place.append(np.allclose(positions, true[planes]))
        if not in_place[-1]:
            evenly = np.linspace(0, 1, len(planes)) if len(planes) > 1 else [0.5]
            assert np.allclose(positions, evenly)
            if len(planes) > 1:
                assert (planes[0], planes[-1]) == (0, PLANES - 1)
                assert max(np.diff(planes)) - min(np.diff(planes)) <= 1
    assert np.mean(in_place) == pytest.approx(0.5, abs=0.1)


def test_a_single_plane_mostly_comes_from_near_the_middle():
    rng = np.random.default_rng(0)
    chosen = [int(evenly_spaced(13, 1, rng)[0][0]) for _ in range(500)]
    assert np.mean(np.abs(np.array(chosen) - 6) <= 3) > 0.8
    assert min(chosen) >= 0
    assert max(chosen) <= 12


def test_copies_of_the_last_plane_fill_up():
    source, z = dropped(1.0)
    assert source.shape[1] == z.shape[1] == PLANES
    for stack, positions, count in zip(source, z, planes_of(z), strict=True):
        assert (stack[count:] == stack[count - 1]).all()
        assert (positions.diff() > 0).all()


def test_a_stack_of_one_plane_stays():
    source, z = dropped(1.0, planes=1)
    assert planes_of(z) == [1] * len(z)
    assert torch.equal(source, stacks(planes=1)[0])


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(widths=(4,), blocks=(1,), z_slots=5),
        UNetConfig(widths=(4, 4), z_slots=5),
        Isl2018Config(base_depth=8, planes=5, classes=4),
    ],
)
def test_a_network_sees_no_copies(config):
    torch.manual_seed(0)
    network = build_labeling_network(config, ["A"]).eval()
    side = sum(network.lost_px) + 2 * network.stride
    source = torch.rand(1, PLANES, side, side)
    z = torch.linspace(0, 1, PLANES)[None]
    counts = set()
    for step in range(8):
        padded = drop_planes(source, z, 1.0, PatchRandom(0, step, 0, 1))
        (count,) = planes_of(padded[1])
        counts.add(count)
        with torch.no_grad():
            shown = network.distribution(*padded).median
            plain = network.distribution(padded[0][:, :count], padded[1][:, :count]).median
        torch.testing.assert_close(shown, plain, rtol=0, atol=2e-6)
    assert len(counts) > 2


def test_augmentation_leaves_planes_out_and_copies_them_after_all_other_changes():
    config = TrainConfig(patch_px=32, plane_dropout=1.0)
    augmentation = Augmentation(config)
    source = torch.randn(6, 5, augmentation.read_px, augmentation.read_px)
    batch = Batch(source, torch.linspace(0, 1, 5).expand(6, 5), source[:, :1], source[:, :1] > -9)
    found = augmentation(batch, 0)
    counts = planes_of(found.z_position)
    assert max(counts) < 5
    for stack, count in zip(found.source, counts, strict=True):
        assert (stack[count:] == stack[count - 1]).all()
    whole = Augmentation(config.model_copy(update={"plane_dropout": 0.0}))(batch, 0)
    assert torch.equal(found.target, whole.target)
    for changed, stack in zip(found.source, whole.source, strict=True):
        assert any(torch.equal(changed[0], plane) for plane in stack)
