from dataclasses import replace

import numpy as np
import pytest
import torch

from isl.core.axes import Box
from isl.data.depths import plane_depths
from isl.data.normalization import SourceNormalizer, TargetNormalizer
from isl.data.samples import Sample
from isl.training.heldout import (
    LARGEST_PX,
    MOST_BOXES,
    HeldoutScores,
    RunningPearson,
    heldout_boxes,
)

BOX = Box(0, 40, 70, 90)


def sample(shape=(40, 100), heldout=BOX):
    source = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    units = (TargetNormalizer(0, 1),) * 2
    return Sample(
        "a",
        0,
        source,
        SourceNormalizer(0, 1),
        (source[0], None),
        (),
        (heldout,),
        plane_depths(len(source)),
        target_normalizers=units,
    )


class Sharp:
    """What held-out batches ask of a network."""

    margin_px, stride, lost_px = 8, 8, (0, 0)


class Losing:
    margin_px, stride, lost_px = 16, 16, (121, 121)


def batches(samples, network=Sharp):
    return [box.batch for box in heldout_boxes(samples, network())]


def test_box_comes_with_its_surroundings_but_counts_alone():
    (batch,) = batches([sample()])
    assert batch.source.shape == (1, 3, 40, 48)
    assert batch.presence[0, 0].sum() == 40 * 20
    assert batch.presence[0, 0, :, 14:34].all()
    assert not batch.presence[0, 1].any()
    assert np.array_equal(batch.source[0, :, :, :44], sample().source[:, :, 56:100])


def test_lost_borders_are_shown_and_reflected_beyond_the_image():
    (batch,) = batches([sample()], Losing)
    assert batch.target.shape == batch.presence.shape == (1, 2, 48, 32)
    assert batch.source.shape == (1, 3, 48 + 242, 32 + 242)
    assert batch.presence[0, 0].sum() == 40 * 20
    inner = batch.source[0, :, 121:161, 121:153]
    assert np.array_equal(inner, sample().source[:, :, 64:96])
    assert np.array_equal(batch.source[0, :, 120, :], batch.source[0, :, 122, :])


def test_many_and_large_boxes_are_bounded():
    assert len(batches([sample() for _ in range(50)])) <= MOST_BOXES
    huge = sample((1, 3000), Box(0, 1, 0, 3000))
    assert batches([huge])[0].presence.sum() == LARGEST_PX


def test_running_pearson_is_numpys_over_all_parts():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 6, 2, 5, 5, generator=generator)
    y = y + x
    presence = torch.rand(6, 2, 5, 5, generator=generator) > 0.3
    running = RunningPearson(2)
    running.add(x[:2], y[:2], presence[:2])
    running.add(x[2:], y[2:], presence[2:])
    expected = [
        np.corrcoef(x[:, c][presence[:, c]], y[:, c][presence[:, c]])[0, 1] for c in range(2)
    ]
    assert running.value() == pytest.approx(expected)


def test_nothing_acquired_is_nan():
    running = RunningPearson(1)
    running.add(
        torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    )
    assert running.value()[0] != running.value()[0]


@pytest.mark.parametrize("value", [0.1, 1e4])
def test_constant_prediction_has_no_correlation(value):
    running = RunningPearson(1)
    truth = torch.rand(1, 1, 40, 40)
    running.add(torch.full_like(truth, value), truth, torch.ones_like(truth, dtype=torch.bool))
    assert running.value()[0] != running.value()[0]


def test_each_dataset_gets_its_boxes():
    many = [replace(sample(), dataset="many") for _ in range(40)]
    few = [replace(sample(), dataset="few")]
    found = [box.dataset for box in heldout_boxes([*many, *few], Sharp())]
    assert found.count("few") == 1
    assert 1 < found.count("many") <= MOST_BOXES // 2


def test_scores_are_means_over_the_datasets_that_have_the_target():
    rng = torch.Generator().manual_seed(0)
    truth = torch.randn(1, 2, 30, 30, generator=rng)
    here = torch.ones(1, 2, 30, 30, dtype=torch.bool)
    one_only = here.clone()
    one_only[:, 1] = False
    scores = HeldoutScores(2)
    scores.add("a", truth, truth, here)
    scores.add("b", -truth, truth, one_only)
    assert scores.value() == pytest.approx([0.0, 1.0])
    assert scores.of_datasets()["b"][0] == pytest.approx(-1.0)
    assert np.isnan(scores.of_datasets()["b"][1])
    assert np.isnan(HeldoutScores(2).value()).all()
