"""Dense evaluation equals the published patches at every pixel; a single pass does not."""

import pytest
import torch

from isl.core.networks import Isl2018Config
from isl.models.isl2018.network import Isl2018
from isl.models.isl2018.stitching import STITCHERS


@pytest.fixture(scope="module")
def core():
    torch.manual_seed(0)
    network = Isl2018(Isl2018Config(base_depth=8, planes=1), ()).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.core


@pytest.fixture(scope="module")
def embeddings(core):
    torch.manual_seed(1)
    x = torch.rand(2, 2, 250 + 8 + 8, 250 + 24 + 8)
    with torch.inference_mode():
        return {
            name: s.embed(core, x[..., : x.shape[2] - 129 + s.after, : x.shape[3] - 129 + s.after])
            for name, s in STITCHERS.items()
        }


def test_dense_equals_patches_at_every_pixel(embeddings):
    patches, dense = embeddings["patches"], embeddings["dense"]
    assert patches.shape == dense.shape == (2, 24, 16, 32)
    assert (patches - dense).abs().max() < 1e-4 * patches.abs().max()


def test_single_pass_equals_patches_where_the_cells_agree_and_nowhere_else(embeddings):
    patches, once = embeddings["patches"], embeddings["single-pass"]
    scale = patches.abs().max()
    same = ((patches - once).abs() < 1e-5 * scale).all(1)[0]
    expected = torch.zeros(16, 32, dtype=torch.bool)
    expected[:8, :8] = expected[:8, 16:24] = True
    assert same[expected].all()
    assert not same[~expected].any()
