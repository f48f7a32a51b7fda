"""The whole network: heads, gradients, plane depths."""

import pytest
import torch

from isl.core.networks import Isl2018Config
from isl.models.isl2018.labeling import Isl2018Labeling, nearest_planes
from isl.models.isl2018.network import Isl2018, head_names, plane_fractions

SMALL = Isl2018Config(base_depth=8, planes=2, classes=4)


def test_heads_give_eight_pixels_of_logits_and_sixteen_more_for_sixteen_more():
    network = Isl2018(SMALL, head_names(SMALL, ["A"])).eval()
    with torch.inference_mode():
        logits = network(torch.rand(1, 4, 266, 250))
        assert network.embed(torch.rand(1, 4, 250, 250)).shape[1] == 24
    assert list(logits) == ["head/0.0/TRANSMISSION", "head/1.0/TRANSMISSION", "head/MAXPROJECT/A"]
    assert all(part.shape == (1, 4, 24, 8) for part in logits.values())


def test_every_parameter_has_a_gradient():
    torch.manual_seed(0)
    network = Isl2018(SMALL, head_names(SMALL, ["A", "B"]))
    logits = network(torch.rand(2, 4, 250, 250))
    sum((part * torch.randn_like(part)).sum() for part in logits.values()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize(
    ("planes", "expected"),
    [
        (13, [i // 2 for i in range(26)]),
        (26, list(range(26))),
        (1, [0] * 26),
    ],
)
def test_planes_are_chosen_as_published(planes, expected):
    found = nearest_planes(torch.linspace(0, 1, planes)[None], plane_fractions(26))
    assert found[0].tolist() == expected


@pytest.mark.parametrize("requested", [5, 13, 26])
@pytest.mark.parametrize("planes", [2, 3, 5, 7, 9, 13, 25, 26, 31, 60])
def test_planes_are_chosen_by_the_published_rounding(planes, requested):
    fractions = plane_fractions(requested)
    found = nearest_planes(torch.linspace(0, 1, planes)[None], fractions)
    assert found[0].tolist() == [round((planes - 1) * fraction) for fraction in fractions]


def test_features_are_planes_each_followed_by_its_mask():
    network = Isl2018Labeling(SMALL, ["A"])
    source = torch.rand(2, 5, 3, 3)
    x = network.features(source, torch.linspace(0, 1, 5).expand(2, -1))
    torch.testing.assert_close(x[:, 0::2], source[:, [0, 4]])
    assert (x[:, 1::2] == 1).all()


def test_distribution_is_the_softmax_of_the_targets_heads():
    network = Isl2018Labeling(SMALL, ["A", "B"], stitching="patches").eval()
    source, z = torch.rand(1, 3, 250, 250), torch.tensor([[0.0, 0.5, 1.0]])
    with torch.inference_mode():
        found = network.distribution(source, z)
        logits = network.module(network.features(source, z))
        planes = network.reconstruction(source, z)
    assert found.probability.shape == (1, 4, 2, 8, 8)
    expected = logits["head/MAXPROJECT/B"].softmax(1)
    torch.testing.assert_close(found.probability[:, :, 1], expected)
    assert planes.probability.shape == (1, 4, 2, 8, 8)


def test_network_without_reconstruction_has_target_heads_only():
    config = SMALL.model_copy(update={"reconstruction": False})
    network = Isl2018Labeling(config, ["A"])
    assert network.module.head_names == ("head/MAXPROJECT/A",)
    assert network.reconstruction(torch.rand(1, 3, 250, 250), torch.rand(1, 3)) is None
