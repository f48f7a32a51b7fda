"""One file for a model: safetensors weights, with the card as JSON in the header.

Nothing in the file is code: loading reads numbers and text, checks both, and builds the network
that the card describes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from isl.core.errors import ConfigError, ModelFileError
from isl.inference.model import Model
from isl.inference.model_card import FORMAT_VERSION, ModelCard
from isl.inference.registry import find_model
from isl.io.staging import staged
from isl.models.build import build_labeling_network
from isl.models.labeling import LabelingNetwork

_CARD_KEY = "isl"
_DIGEST_KEY = "isl_sha256"


def save_model(
    model: Model, path: str | Path, *, overwrite: bool = False, half: bool = False
) -> None:
    """Write a model to one file.

    Parameters
    ----------
    model
        The model.
    path
        File to write, usually ``model.isl``; it appears when it is complete.
    overwrite
        Replace an existing file.
    half
        Store kernels as float16, half the size; vectors such as biases stay float32.

    Raises
    ------
    OutputError
        Where the file exists or cannot be written.
    """
    state = model.network.state_dict()
    tensors = {name: _stored(tensor, half) for name, tensor in state.items()}
    card = model.card.model_dump_json()
    metadata = {_CARD_KEY: card, _DIGEST_KEY: _digest(card, tensors)}
    with staged(Path(path), overwrite=overwrite) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def load_model(path: str | Path) -> Model:
    """Read a model file; never executes code.

    Parameters
    ----------
    path
        File written by `save_model`, or the name of a model of `isl models`.

    Returns
    -------
    Model
        Its network is in evaluation mode, on the processor, in float32; predictions run on the
        fastest backend here (`Model.on`).

    Raises
    ------
    ModelFileError
        Where the file is missing, damaged, not a model of this program, or written by a newer
        version of it.
    """
    path = find_model(path)
    card_json, digest, tensors = _read(path)
    card = _parse_card(path, card_json)
    if _digest(card_json, tensors) != digest:
        raise ModelFileError(f"{path} is damaged: its contents do not match its checksum; {_AGAIN}")
    network = _build(path, card)
    _check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return Model(card, network.eval(), backend="auto")


def read_card(path: str | Path) -> ModelCard:
    """Read what a model file says of the model, without its weights.

    Parameters
    ----------
    path
        File written by `save_model`, or the name of a model of `isl models`.

    Raises
    ------
    ModelFileError
        As for `load_model`; damage to the weights goes unnoticed.
    """
    path = find_model(path)
    with _opened(path) as (_, metadata):
        return _parse_card(path, metadata[_CARD_KEY])


_AGAIN = "copy or download it again"


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """The tensor as it is written: contiguous, on the processor, kernels in half precision."""
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        is_kernel = tensor.ndim >= 2 and tensor.abs().max() < torch.finfo(torch.float16).max
        tensor = tensor.to(torch.float16 if half and is_kernel else torch.float32)
    return tensor.contiguous().clone()


def _digest(card_json: str, tensors: Mapping[str, Tensor]) -> str:
    """Checksum of the card and of every tensor."""
    digest = hashlib.sha256(card_json.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[str, str, dict[str, Tensor]]:
    """Card, checksum and tensors of a file, not yet understood."""
    with _opened(path) as (file, metadata):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return metadata[_CARD_KEY], metadata.get(_DIGEST_KEY, ""), tensors


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """The open file and its header, which holds a card."""
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}; give a file written by 'isl train'")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _CARD_KEY not in metadata:
                raise ModelFileError(
                    f"{path} holds weights of another program, not a model of isl; "
                    "give a file written by 'isl train'"
                )
            yield file, metadata
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is damaged, or not a model file ({error}); {_AGAIN}, or give a file written "
            "by 'isl train'"
        ) from error


def _parse_card(path: Path, card_json: str) -> ModelCard:
    """Check the version first: a newer card may have fields that this program does not know."""
    try:
        version = json.loads(card_json)["format_version"]
        if version > FORMAT_VERSION:
            raise ModelFileError(
                f"{path} has format version {version}, and this program reads versions up to "
                f"{FORMAT_VERSION}; update it: pip install --upgrade in-silico-labeling"
            )
        return ModelCard.model_validate_json(card_json)
    except (json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        raise ModelFileError(
            f"{path} has a model card that cannot be read ({error}); {_AGAIN}, or train it again"
        ) from error


def _build(path: Path, card: ModelCard) -> LabelingNetwork:
    try:
        return build_labeling_network(card.network, card.target_names)
    except ConfigError as error:
        raise ModelFileError(f"{path} describes no possible network ({error}); {_AGAIN}") from error


def _check_tensors(path: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Refuse weights that do not belong to the network."""
    problems = [f"{name} is missing" for name in expected.keys() - found.keys()]
    problems += [f"{name} is not part of the network" for name in found.keys() - expected.keys()]
    problems += [
        f"{name} has shape {tuple(found[name].shape)}, not {tuple(expected[name].shape)}"
        for name in expected.keys() & found.keys()
        if found[name].shape != expected[name].shape
    ]
    if problems:
        raise ModelFileError(
            f"{path}: the weights do not fit the network that its card describes: "
            f"{sorted(problems)[0]} ({len(problems)} such); train the model again"
        )
