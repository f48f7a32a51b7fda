"""Whole runs that start from a model: old targets stay, new ones come."""

import json

import numpy as np
import pytest
import torch
from training_scene import TINY, field

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.training.run import train
from isl.training.run_folder import RunFolder

SHORT = TINY | {"max_steps": 3, "validate_steps": 2, "loader_threads": 0}
FROM = {k: v for k, v in SHORT.items() if k != "network"} | {"learning_rate": 0.05}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A model of DAPI, and its file."""
    path = tmp_path_factory.mktemp("old") / "old.isl"
    return train([field()], TrainConfig(**SHORT, targets=("DAPI",)), path), path


def start(old, tmp_path, name="new.isl", fov=None, **settings):
    config = TrainConfig(**(FROM | settings), start_from=str(old[1]))
    fov = field(without=("DAPI",)) if fov is None else fov
    return train([fov], config, tmp_path / name)


def test_a_frozen_model_learns_a_new_target_and_predicts_the_old_one_as_before(old, tmp_path):
    parts = ("inputs", "shared", "heads")
    new = start(old, tmp_path, freeze=parts, batch_norm_batches=1)
    assert new.card.target_names == ("MAP2", "DAPI")
    before, after = old[0].network.state_dict(), new.network.state_dict()
    for name, tensor in after.items():
        if not name.startswith("head."):
            assert torch.equal(tensor, before[name]), name
    phase = field().read("phase")
    one, other = old[0].predict(phase)["DAPI"], new.predict(phase)["DAPI"]
    np.testing.assert_allclose(one, other, rtol=1e-5)
    card = old[0].card.targets[0]
    assert new.card.targets[1] == card
    found = json.loads(RunFolder.of(tmp_path / "new.isl").transfer.read_text())
    assert found["targets"][0]["agreement"] == pytest.approx(1.0)
    assert found["targets"][0]["difference"] < 1e-4


def test_what_is_retained_changes_less(old, tmp_path):
    differences = []
    for weight in (0.0, 20.0):
        longer = {"max_steps": 80, "learning_rate": 0.01, "plane_dropout": 0.0}
        start(old, tmp_path, f"r{weight:g}.isl", retain_weight=weight, **longer)
        folder = RunFolder.of(tmp_path / f"r{weight:g}.isl")
        differences.append(json.loads(folder.transfer.read_text())["targets"][0]["difference"])
    assert differences[1] < 0.8 * differences[0]


def test_old_targets_may_be_given_up(old, tmp_path):
    new = start(old, tmp_path, keep_targets=False)
    assert new.card.target_names == ("MAP2",)


def test_other_numbers_of_planes_and_resuming(old, tmp_path):
    phase = field().read("phase")
    from isl.io.arrays import fov_from_arrays

    stack = np.concatenate([phase, phase[::-1]])
    fov = fov_from_arrays({"phase": stack, "MAP2": -phase[0]}, name="six")
    new = start(old, tmp_path, fov=fov)
    assert new.card.network == old[0].card.network
    assert new.card.source.planes == 6


def test_freezing_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="give one with --from"):
        train([field()], TrainConfig(**SHORT, freeze=("shared",)), tmp_path / "m.isl")
