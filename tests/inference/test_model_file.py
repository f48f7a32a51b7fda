import json
import pickle

import numpy as np
import pytest
import torch
from inference_scene import TINY
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from isl.core.errors import ModelFileError, OutputError
from isl.inference.model import Model
from isl.inference.model_file import _digest, load_model, save_model


@pytest.fixture
def path(model, tmp_path):
    save_model(model, tmp_path / "model.isl")
    return tmp_path / "model.isl"


def rewrite(path, card=None, tensors=None):
    """Write a file with another card or other tensors, and the checksum that fits."""
    with safe_open(path, framework="pt") as file:
        card_json = file.metadata()["isl"] if card is None else card
    tensors = load_file(path) if tensors is None else tensors
    save_file(tensors, path, {"isl": card_json, "isl_sha256": _digest(card_json, tensors)})


def card_of(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["isl"])


def test_saved_and_loaded_is_the_same(model, path, rng):
    loaded = load_model(path)
    zyx = rng.random((3, 20, 20))
    assert loaded.card == model.card
    again = loaded.on(model.backend).predict(zyx)  # the fastest may be another, with other rounding
    np.testing.assert_array_equal(again.image, model.predict(zyx).image)


def test_a_loaded_model_that_has_predicted_can_be_saved_again(path, tmp_path, rng):
    loaded = load_model(path)
    loaded.predict(rng.random((3, 20, 20)))
    save_model(loaded, tmp_path / "again.isl")
    assert load_file(path).keys() == load_file(tmp_path / "again.isl").keys()


def test_half_precision_is_smaller_and_close(model, path, tmp_path, rng):
    save_model(model, tmp_path / "half.isl", half=True)
    assert (tmp_path / "half.isl").stat().st_size < path.stat().st_size
    loaded = load_model(tmp_path / "half.isl")
    assert {t.dtype for t in loaded.network.parameters()} == {torch.float32}
    zyx = rng.random((3, 20, 20))
    expected = model.predict(zyx).image
    difference = loaded.predict(zyx).image - expected
    assert np.abs(difference).max() < 0.02 * np.ptp(expected)


def test_existing_file_needs_overwrite(model, path):
    before = path.read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        save_model(model, path)
    assert path.read_bytes() == before
    save_model(model, path, overwrite=True)
    assert [p.name for p in path.parent.iterdir()] == ["model.isl"]


def test_missing_file_and_folder(tmp_path):
    for missing in (tmp_path / "none.isl", tmp_path):
        with pytest.raises(ModelFileError, match="isl train"):
            load_model(missing)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -5000, -1])
def test_truncated(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=r"model\.isl.*copy or download"):
        load_model(path)


@pytest.mark.parametrize("position", [0, 3, 7, 8, 9, 40, 400, -1, -3000])
def test_flipped_byte(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.isl"):
        load_model(path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code of the file was executed",))


def test_foreign_files_are_refused_and_never_executed(path, rng):
    torch.save({"weight": torch.zeros(3)}, path)
    contents = [rng.bytes(5000), pickle.dumps(Bomb()), path.read_bytes(), b"{}", b"\x00" * 4096]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"model\.isl.*isl train"):
            load_model(path)


def test_weights_of_another_program(path):
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="another program"):
        load_model(path)


def test_newer_version_says_update(path):
    card = card_of(path) | {"format_version": 2, "something": "new"}
    rewrite(path, json.dumps(card))
    with pytest.raises(ModelFileError, match=r"version 2.*upgrade"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": "one"},
        {"surplus": 1},
        {"targets": []},
        {"network": {"name": "unknown"}},
        {"source": {"name": "", "planes": 0}},
    ],
)
def test_card_that_makes_no_sense(path, change):
    rewrite(path, json.dumps(card_of(path) | change))
    with pytest.raises(ModelFileError, match="card that cannot be read"):
        load_model(path)


@pytest.mark.parametrize("card", ["", "[]", "{", "null", "{}"])
def test_card_that_is_no_card(path, card):
    rewrite(path, card)
    with pytest.raises(ModelFileError, match="card that cannot be read"):
        load_model(path)


def test_tensors_that_do_not_fit(path):
    tensors = load_file(path)
    name = "head.0.weight"
    changed = [
        ({k: v for k, v in tensors.items() if k != name}, "head.0.weight is missing"),
        (tensors | {"extra": torch.zeros(1)}, "extra is not part"),
        (tensors | {name: torch.zeros(2, 2)}, r"head.0.weight has shape \(2, 2\)"),
    ]
    for wrong, message in changed:
        rewrite(path, tensors=wrong)
        with pytest.raises(ModelFileError, match=message):
            load_model(path)


def test_another_network_than_the_weights(model, path, tmp_path):
    config = TINY.model_copy(update={"z_slots": 7})
    other = Model(model.card.model_copy(update={"network": config}), model.network)
    save_model(other, tmp_path / "other.isl")
    with pytest.raises(ModelFileError, match="do not fit"):
        load_model(tmp_path / "other.isl")


def test_a_newer_file_says_so_even_where_its_checksum_is_another(path):
    card = card_of(path) | {"format_version": 2}
    save_file(load_file(path), path, {"isl": json.dumps(card), "isl_sha256": "other"})
    with pytest.raises(ModelFileError, match=r"version 2.*upgrade"):
        load_model(path)
