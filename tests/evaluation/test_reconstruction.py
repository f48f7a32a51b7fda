"""Planes as the published network was shown them, beside what it makes of them."""

import numpy as np
import pytest
import torch

from isl.core.axes import Box, VoxelSize
from isl.core.networks import Isl2018Config
from isl.evaluation.reconstruction import reconstruct_source
from isl.inference.model import Model
from isl.inference.model_card import ModelCard, Provenance, SourceCard, TargetCard
from isl.models.isl2018.labeling import Isl2018Labeling


def make_model(**size):
    config = Isl2018Config(base_depth=8, planes=4, classes=8, **size)
    torch.manual_seed(0)
    card = ModelCard(
        targets=(TargetCard(name="DAPI", offset=0, scale=1),),
        source=SourceCard(name="phase", planes=3, normalization="published"),
        voxel_size=VoxelSize(1.0, 0.5, 0.5),
        network=config,
        training={},
        provenance=Provenance(version="1", date="2026", torch="2", steps=1, minutes=1, seed=1),
    )
    return Model(card, Isl2018Labeling(config, ["DAPI"], "single-pass").eval())


@pytest.fixture
def zyx():
    return np.random.default_rng(0).normal(900, 100, (3, 20, 18))


def test_each_requested_plane_is_shown_beside_its_reconstruction(zyx):
    distribution, planes = reconstruct_source(make_model(), zyx, Box(2, 10, 1, 17))
    assert distribution.median.shape == planes.shape == (4, 8, 16)
    assert -1e-5 < distribution.mean().min() <= distribution.mean().max() < 1 + 1e-5
    normalized = (0.5 + 0.125 * (zyx - zyx.mean()) / zyx.std()).clip(0, 1)
    np.testing.assert_allclose(planes, normalized[[0, 1, 1, 2], 2:10, 1:17], atol=1e-5)


def test_a_network_without_such_heads_reconstructs_nothing(zyx):
    assert reconstruct_source(make_model(reconstruction=False), zyx, Box(0, 8, 0, 8)) is None
