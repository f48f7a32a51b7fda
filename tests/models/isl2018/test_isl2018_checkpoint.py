"""The released program's checkpoint gives the released program's numbers."""

import numpy as np
import pytest
import torch

from isl.core.errors import ModelFileError
from isl.core.networks import Isl2018Config
from isl.models.isl2018 import from_checkpoint
from isl.models.isl2018.checkpoint import RELEASED_TARGETS, from_variables, variable_names
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.isl2018.network import Isl2018, head_names

CONFIG = Isl2018Config(base_depth=20, planes=3, classes=8)
TARGETS = ("DAPI_CONFOCAL", "MAP2_CONFOCAL", "A_NEW_ONE")


def variables(config=CONFIG, targets=TARGETS):
    rng = np.random.default_rng(0)
    network = Isl2018(config, head_names(config, targets))
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in variable_names(network).items()
    }


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.data
def test_released_numbers(reference_dir):
    folder = reference_dir
    network = from_checkpoint(folder)
    assert network.config == Isl2018Config(base_depth=40)
    assert network.head_names[26:] == tuple(f"head/MAXPROJECT/{name}" for name in RELEASED_TARGETS)
    expected = np.load(folder / "expected.npz")
    source = torch.from_numpy(expected["planes"].astype(np.float32) / 65535)[None]
    x = Isl2018Labeling(network.config, ["A"]).features(source, torch.linspace(0, 1, 13)[None])
    with torch.inference_mode():
        embedding, logits = network.embed(x), network(x)
    assert relative_error(embedding.permute(0, 2, 3, 1).numpy(), expected["embedding"]) < 1e-4
    assert set(logits) == set(expected["heads"])
    for name, wanted in zip(expected["heads"], expected["logits"], strict=True):
        assert relative_error(logits[name].permute(0, 2, 3, 1).numpy(), wanted) < 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"planes": 5, "base_depth": 50},
        {"projection": 0},
        {"reconstruction": False},
        {"projection": 0, "reconstruction": False, "base_depth": 100},
    ],
)
def test_size_and_heads_follow_from_the_variables(changes):
    config = CONFIG.model_copy(update=changes)
    given = variables(config)
    network = from_variables(given, "here")
    assert network.config == config
    assert network.head_names == head_names(config, TARGETS)
    again = variable_names(network)
    assert {name: array.shape for name, array in given.items()} == again
    assert not network.training


def test_kernels_are_turned_into_torch_order():
    given = variables()
    network = from_variables(given, "here")
    first = network.core.towers[0][0]
    kernel = given["lower_scale_0_recursion_0/expand_rv2/Conv/weights"]
    assert first.expand.conv.weight[5, 7, 1, 2] == kernel[1, 2, 7, 5]
    up = network.core.towers[1][-2]
    kernel = given["upscale_1_0/expand_rv2/Conv2d_transpose/weights"]
    assert up.expand.conv.weight[5, 1, 3, 2] == kernel[3, 2, 1, 5]
    variance = given["upper_recursion_13/reduce_rv2/BatchNorm/moving_variance"]
    assert network.core.upper[-1].reduce.norm.running_var.numpy().tolist() == variance.tolist()


def test_what_an_optimiser_keeps_is_left_aside():
    given = variables()
    for name, array in list(given.items())[:5]:
        given |= {f"{name}/Adam": array, f"{name}/Adam_1": array}
    given |= {"global_step": np.array(7), "training/beta1_power": np.array(0.9)}
    from_variables(given, "here")


def test_bad_variables_are_named():
    missing = variables()
    del missing["upper_recursion_3/reduce_rv2/Conv/weights"]
    with pytest.raises(ModelFileError, match="1 missing: upper_recursion_3/reduce_rv2/Conv/weig"):
        from_variables(missing, "here")
    surplus = variables() | {"lower_scale_9/what": np.zeros(3)}
    with pytest.raises(ModelFileError, match="1 not of this network: lower_scale_9/what"):
        from_variables(surplus, "here")
    misshapen = variables()
    misshapen["upscale_4_0/reduce_rv2/BatchNorm/beta"] = np.zeros(3)
    with pytest.raises(
        ModelFileError, match=r"of another shape: upscale_4_0/reduce_rv2/BatchNorm/be.*\(3,\), exp"
    ):
        from_variables(misshapen, "there")
    narrow = variables()
    narrow["Conv/weights"] = np.zeros(3)
    with pytest.raises(ModelFileError, match="Conv/weights"):
        from_variables(narrow, "there")


def test_foreign_variables_are_refused():
    with pytest.raises(ModelFileError, match="no checkpoint of the published network"):
        from_variables({"dense/kernel": np.zeros((3, 4))}, "there")
