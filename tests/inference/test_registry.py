from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import isl
from isl.api import is_model_file
from isl.core.errors import ModelFileError
from isl.inference import registry
from isl.inference.model_file import read_card, save_model
from isl.inference.model_page import model_page
from isl.inference.registry import (
    ShippedModel,
    find_model,
    is_model_name,
    named_models,
    read_registry,
    shipped_model,
    weights_folder,
)

ROOT = Path(__file__).parent.parent.parent
SHIPPED = tuple(read_registry())


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISL_MODELS", raising=False)
    return tmp_path


def test_every_weight_has_an_entry_and_every_entry_weights():
    assert {path.stem for path in weights_folder().glob("*.isl")} == set(SHIPPED)
    assert {"demo-scene", "demo-neurons"} <= set(SHIPPED)


def test_the_weights_stay_small():
    assert sum(path.stat().st_size for path in weights_folder().glob("*.isl")) < 20e6


@pytest.mark.parametrize("name", SHIPPED)
def test_what_an_entry_names_is_there(name):
    entry = read_registry()[name]
    for path in (entry.recipe, entry.log):
        assert path is None or (ROOT / path).is_file()
    card = read_card(name)
    assert set(card.scores) == set(card.target_names)
    assert card.holdout not in (None, "none")


def test_the_page_is_what_the_registry_and_the_files_say():
    assert (ROOT / "docs" / "models.md").read_text("utf-8") == model_page(read_registry())


def test_an_entry_says_everything():
    content = yaml.safe_load((weights_folder() / "registry.yaml").read_text("utf-8"))
    entry = content["demo-scene"]
    for name in ("summary", "data", "licence", "limits", "not_for", "recipe"):
        with pytest.raises(ValidationError, match=name):
            ShippedModel.model_validate({k: v for k, v in entry.items() if k != name})
    with pytest.raises(ValidationError, match="surplus"):
        ShippedModel.model_validate(entry | {"surplus": 1})


def test_a_name_stands_for_its_file(elsewhere):
    assert find_model("demo-scene") == shipped_model("demo-scene")
    assert isl.load_model("demo-scene").card.target_names == ("NUCLEI", "CYTOPLASM")
    assert is_model_file("demo-scene")


def test_a_file_or_folder_of_that_name_wins(elsewhere):
    (elsewhere / "demo-scene").mkdir()
    assert find_model("demo-scene") == Path("demo-scene")
    assert not is_model_file("demo-scene")
    (elsewhere / "demo-neurons").write_bytes(b"x")
    with pytest.raises(ModelFileError, match="demo-neurons is damaged"):
        isl.load_model("demo-neurons")


@pytest.mark.parametrize("name", ["demo-scenes", "demo_scene", "Demo-scene"])
def test_a_misspelled_name_is_told_from_images(elsewhere, name):
    assert is_model_file(name)
    with pytest.raises(ModelFileError, match=r"did you mean demo-scene\?.*demo-neurons"):
        isl.load_model(name)


@pytest.mark.parametrize("name", ["my_images", "demo-scene.zarr", "data/demo-scene", "/demo-scene"])
def test_what_is_no_name(elsewhere, name):
    assert not is_model_name(name)


def test_models_of_the_user(elsewhere, model, monkeypatch):
    (elsewhere / "mine").mkdir()
    save_model(model, elsewhere / "mine" / "liver.isl")
    save_model(model, elsewhere / "mine" / "demo-scene.isl")
    monkeypatch.setenv("ISL_MODELS", str(elsewhere / "mine"))
    assert tuple(named_models()) == (*SHIPPED, "liver")
    assert read_card("liver") == model.card
    assert find_model("demo-scene") == shipped_model("demo-scene")
    with pytest.raises(ModelFileError, match=r"did you mean liver\?"):
        find_model("livre")


def test_a_folder_of_the_user_that_is_none(elsewhere, monkeypatch):
    monkeypatch.setenv("ISL_MODELS", "no-such-folder")
    with pytest.raises(ModelFileError, match=r"ISL_MODELS is no-such-folder.*unset"):
        named_models()


def test_a_missing_shipped_model_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "weights_folder", lambda: tmp_path)
    with pytest.raises(ModelFileError, match=r"lacks the model file weights/none\.isl"):
        shipped_model("none")
