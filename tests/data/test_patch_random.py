import numpy as np
import pytest
import torch

from isl.data.patch_random import PatchRandom, batch_random, noise_like, seed_of


def test_numbers_belong_to_a_place_in_the_whole_batch():
    whole, part = PatchRandom(7, 3, 0, 4), PatchRandom(7, 3, 2, 2)
    for draw in (
        lambda r: r.uniform(-1, 2),
        lambda r: r.normal(3, 2),
        lambda r: torch.tensor(r.integers(1000)),
    ):
        assert torch.equal(draw(whole)[2:], draw(part))


@pytest.mark.parametrize("other", [(8, 3, 0, 4), (7, 4, 0, 4), (7, 3, 1, 4), (7, 3, 0, 4, 1)])
def test_seed_step_place_and_stream_matter(other):
    one, another = PatchRandom(7, 3, 0, 4).normal(20), PatchRandom(*other).normal(20)
    assert not torch.equal(one[0], another[0])


def test_a_longer_stack_begins_alike():
    assert torch.equal(
        PatchRandom(0, 0, 0, 2).normal(30, 2)[:, :5], PatchRandom(0, 0, 0, 2).normal(5, 2)
    )


def test_ranges():
    random = PatchRandom(0, 0, 0, 500)
    numbers = random.uniform(-1, 3)
    assert -1 <= numbers.min() < -0.9 < 2.9 < numbers.max() <= 3
    assert set(random.integers(4)) == {0, 1, 2, 3}
    assert random.normal(10).std() == pytest.approx(1, abs=0.05)


def test_noise_goes_to_the_planes_that_are_counted():
    source = torch.zeros(2, 4, 32, 32)
    noise = [
        noise_like(source, PatchRandom(0, 0, 0, 2).on_device(source.device), planes)
        for planes in ([4, 2], [4, 2])
    ]
    assert torch.equal(noise[0][0], noise[1][0])
    assert torch.equal(noise[0][1, :2], noise[1][1, :2])
    assert noise[0][1, :2].std() == pytest.approx(1, abs=0.1)


def test_seeds_suit_pytorch_and_differ():
    seeds = {seed_of(seed, step, rank) for seed in (0, 2**40) for step in (0, 1) for rank in (0, 1)}
    assert len(seeds) == 8
    for seed in seeds:
        torch.Generator().manual_seed(seed)


def test_a_batch_shares_numbers_that_its_patches_do_not_have():
    shared = batch_random(0, 0).standard_normal(3)
    assert np.array_equal(shared, batch_random(0, 0).standard_normal(3))
    own = PatchRandom(0, 0, 0, 1).normal(3)[0].numpy()
    assert not np.allclose(shared, own)
