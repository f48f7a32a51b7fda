"""Models that go by a name: those that ship with the package, and those of the user's folder.

Nothing here opens a model file: what a model says of itself is in its card.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from isl.core.errors import ModelFileError
from isl.core.settings import Config

MODELS_VARIABLE = "ISL_MODELS"
"""Environment variable that names a folder of the user's models."""
_SUFFIX = ".isl"
_Text = Annotated[str, Field(min_length=1)]


class TrainingData(Config):
    """Images that a model was trained on."""

    what: _Text
    """What they show, and which part was used."""
    citation: _Text
    """Whom to cite, or how to make them."""
    licence: _Text
    """Licence of the images."""


class ShippedModel(Config):
    """What is said about a model that ships, beside what its file says of itself."""

    summary: _Text
    """What it is for."""
    data: Annotated[tuple[TrainingData, ...], Field(min_length=1)]
    """What it was trained on."""
    measured: _Text | None = None
    """What was measured beside the correlation on the held-out part."""
    licence: _Text
    """Licence of the weights."""
    limits: _Text
    """Where it ends."""
    not_for: _Text
    """What it must not be used for."""
    recipe: _Text
    """Settings that it was trained with, a file of the repository."""
    log: _Text | None = None
    """Steps and held-out scores of its training, a file of the repository, where it was kept."""


Registry = Mapping[str, ShippedModel]
"""By name, in the order in which they are shown."""


def weights_folder() -> Path:
    """Folder of the weights that ship."""
    return Path(str(resources.files("isl"))) / "weights"


@cache
def read_registry() -> Registry:
    """What is said about the models that ship.

    Examples
    --------
    >>> "demo-scene" in read_registry()
    True
    """
    found = yaml.safe_load((weights_folder() / "registry.yaml").read_text("utf-8"))
    return {name: ShippedModel.model_validate(entry) for name, entry in found.items()}


def shipped_model(name: str) -> Path:
    """File of a model that ships with the package.

    Parameters
    ----------
    name
        Name in the registry, such as ``"demo-scene"``.

    Raises
    ------
    ModelFileError
        Where this installation has no such file.
    """
    path = weights_folder() / f"{name}{_SUFFIX}"
    if not path.is_file():
        raise ModelFileError(
            f"this installation lacks the model file weights/{path.name}; "
            "install the package again: pip install --force-reinstall in-silico-labeling"
        )
    return path


def named_models() -> dict[str, Path]:
    """Files of all models that go by a name: those that ship, then those in $ISL_MODELS.

    A name of the package stands for the package's model, whatever the folder holds.

    Raises
    ------
    ModelFileError
        Where $ISL_MODELS is not a folder.
    """
    shipped = {name: weights_folder() / f"{name}{_SUFFIX}" for name in read_registry()}
    own = {path.stem: path for path in _own_files()}
    return shipped | {name: path for name, path in own.items() if name not in shipped}


def _own_files() -> list[Path]:
    """Model files in the user's folder."""
    folder = os.environ.get(MODELS_VARIABLE)
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise ModelFileError(
            f"{MODELS_VARIABLE} is {folder}, which is no folder; set it to a folder of model files "
            "or unset it"
        )
    return sorted(Path(folder).glob(f"*{_SUFFIX}"))


def is_model_name(name: str | Path) -> bool:
    """Whether this is the name of a model, or nearly so, and not of a file or folder.

    Parameters
    ----------
    name
        What was given in place of a model file, or of images.

    Examples
    --------
    >>> is_model_name("demo-scene"), is_model_name("images")
    (True, False)
    """
    if os.path.lexists(name) or Path(name).name != str(name):
        return False
    return str(name) in named_models() or (not Path(name).suffix and bool(_nearest(str(name))))


def find_model(model: str | Path) -> Path:
    """File of a model given by its path or by its name.

    Parameters
    ----------
    model
        Path or name. A file or folder of that name wins.

    Raises
    ------
    ModelFileError
        Where it is neither a file nor a name.
    """
    if os.path.lexists(model):
        return Path(model)
    models = named_models()
    if str(model) in read_registry():
        return shipped_model(str(model))
    if str(model) in models:
        return models[str(model)]
    near = "".join(f"; did you mean {name}?" for name in _nearest(str(model)))
    raise ModelFileError(
        f"there is no model file {model}, and no model of that name{near or '.'} "
        f"Give a file written by 'isl train', or one of the models {', '.join(models)}"
    )


def _nearest(name: str) -> list[str]:
    """The model whose name is this or resembles it, if any."""
    return get_close_matches(name, named_models(), n=1, cutoff=0.75)
