"""Checkpoints of the released program become models like any other."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from isl.core.axes import VoxelSize
from isl.core.errors import DataError, ModelFileError
from isl.core.networks import Isl2018Config
from isl.inference.imported import import_checkpoint
from isl.inference.model_file import load_model, save_model
from isl.models.isl2018.checkpoint import variable_names
from isl.models.isl2018.network import Isl2018, head_names

sys.path.append(str(Path(__file__).parent.parent / "io"))
from tf_bundles import write_bundle

CONFIG = Isl2018Config(base_depth=10, planes=3, classes=8)
TARGETS = ("DAPI_CONFOCAL", "NFH_CONFOCAL", "A_NEW_ONE")


def variables():
    rng = np.random.default_rng(0)
    network = Isl2018(CONFIG, head_names(CONFIG, TARGETS))
    arrays = {}
    for name, shape in variable_names(network).items():
        positive = name.endswith(("moving_variance", "gamma"))
        values = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, 0.1, shape)
        arrays[name] = values.astype(np.float32)
    return arrays


@pytest.fixture(scope="module")
def arrays():
    return variables()


@pytest.fixture
def folder(arrays, tmp_path):
    write_bundle(tmp_path / "model.ckpt-70", arrays)
    return tmp_path


def test_card_says_what_is_known(folder):
    card = import_checkpoint(folder).card
    assert card.network == CONFIG
    assert card.target_names == TARGETS
    assert [t.color for t in card.targets[:2]] == ["0000FF", "FF0000"]
    assert {(t.offset, t.scale, t.window) for t in card.targets} == {(0, 65535, (0, 65535))}
    assert (card.source.name, card.source.planes) == ("TRANSMISSION", 3)
    assert card.source.normalization == "full-range"
    assert card.voxel_size == VoxelSize()
    assert (card.training, card.trained_on, card.scores) == ({}, (), None)
    assert (card.provenance.steps, card.provenance.minutes) == (70, 0.0)
    assert card.provenance.imported_from == str(folder.resolve() / "model.ckpt-70")


@pytest.mark.parametrize(
    ("name", "counted", "steps"),
    [
        ("model.ckpt-70", np.array(12, np.int64), 12),
        ("model.ckpt-70", np.array([1, 2], np.int64), 70),
        ("model.ckpt-70", np.array(-5, np.int64), 0),
        ("weights", None, 0),
    ],
)
def test_steps_are_counted_or_named(arrays, tmp_path, name, counted, steps):
    given = arrays if counted is None else arrays | {"global_step": counted}
    index = write_bundle(tmp_path / name, given)
    assert import_checkpoint(index).card.provenance.steps == steps


def test_settings_are_taken(folder):
    card = import_checkpoint(folder, normalization="published", voxel_size=(0.5, 0.6)).card
    assert card.source.normalization == "published"
    assert card.voxel_size == VoxelSize(None, 0.5, 0.6)
    with pytest.raises(DataError, match="voxel size"):
        import_checkpoint(folder, voxel_size=(0.5,))


def test_it_predicts_what_the_network_computes(folder, tmp_path):
    model = import_checkpoint(folder)
    save_model(model, tmp_path / "m.isl")
    loaded = load_model(tmp_path / "m.isl")
    assert loaded.card == model.card
    zyx = np.random.default_rng(1).integers(0, 65536, (3, 24, 30)).astype(np.uint16)
    found = loaded.predict(zyx, statistics=("mean",)).image
    around = np.pad(zyx / 65535.0, ((0, 0), (121, 230), (121, 230)), "reflect")[:, :250, :250]
    features = np.stack([around, np.ones_like(around)], 1).reshape(1, 6, 250, 250)
    with torch.inference_mode():
        logits = model.network.module(torch.from_numpy(features.astype(np.float32)))
    values = torch.linspace(0, 65535, 8)[:, None, None]
    for name, image in zip(TARGETS, found, strict=True):
        expected = (logits[f"head/MAXPROJECT/{name}"][0].softmax(0) * values).sum(0)
        np.testing.assert_allclose(image[:8, :8], expected, rtol=1e-4, atol=65535 * 1e-6)


def test_bad_variables_are_named(arrays, tmp_path):
    wrong = dict(arrays)
    del wrong["Conv/biases"]
    write_bundle(tmp_path / "a", wrong | {"surplus/weights": np.zeros(3, np.float32)})
    with pytest.raises(ModelFileError, match=r"Conv/biases.*surplus/weights"):
        import_checkpoint(tmp_path)
    with pytest.raises(DataError, match="no TensorFlow checkpoint"):
        import_checkpoint(tmp_path / "none")
