"""Models from checkpoints of the released program of 2018."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray

import isl
from isl.core.axes import VoxelSize
from isl.inference.arrays import VoxelSizeLike, as_voxel_size
from isl.inference.model import Model
from isl.inference.model_card import ModelCard, Provenance, SourceCard, TargetCard
from isl.io.display import default_color
from isl.io.tf_checkpoint import read_tf_checkpoint
from isl.io.tf_checkpoint_path import INDEX_SUFFIX, find_index
from isl.models.isl2018.checkpoint import from_variables
from isl.models.isl2018.labeling import Isl2018Labeling
from isl.models.isl2018.network import Isl2018, target_head

SOURCE_NAME = "TRANSMISSION"
"""What the released program calls its source, whatever the microscope."""

FULL_RANGE = 65535.0
"""Largest value of the published 16-bit images, which the network calls 1."""

_STEP_VARIABLE = "global_step"
_STEP_IN_NAME = re.compile(r".*-(\d{1,15})")


def import_checkpoint(
    folder: str | Path,
    *,
    normalization: Literal["full-range", "published"] = "full-range",
    voxel_size: VoxelSizeLike | None = None,
) -> Model:
    """Make a model of a TensorFlow 1 checkpoint of the released program.

    Parameters
    ----------
    folder
        Folder of the checkpoint, its prefix or its ``.index`` file.
    normalization
        ``"full-range"`` for images that went through the published normalisation, which are only
        divided by the largest value of their type; ``"published"`` to bring any image to mean 0.5
        and standard deviation 0.125 first.
    voxel_size
        z, y, x (or y, x) in micrometres of the images that it was trained on, which a checkpoint
        does not say; images of any magnification are accepted where it is not given.

    Returns
    -------
    Model
        Predicts every target that the checkpoint has a head for, in the unit of the published
        16-bit images: 0 to 65535.

    Raises
    ------
    DataError, DamagedFileError
        Where there is no checkpoint, or its files are damaged, or the voxel size is none.
    ModelFileError
        Where variables are missing, surplus or have another shape than the network's.

    Examples
    --------
    >>> model = import_checkpoint("checkpoints")              # doctest: +SKIP
    >>> model.predict(phase_zyx)["DAPI_CONFOCAL"].shape       # doctest: +SKIP
    (768, 1024)
    """
    size = VoxelSize() if voxel_size is None else as_voxel_size(voxel_size)
    index = find_index(Path(folder))
    variables = read_tf_checkpoint(index)
    module = from_variables(variables, str(folder))
    targets = _targets(module)
    network = Isl2018Labeling(module.config, targets)
    network.module = module
    prefix = str(index.resolve()).removesuffix(INDEX_SUFFIX)
    card = ModelCard(
        targets=tuple(_target_card(name, position) for position, name in enumerate(targets)),
        source=SourceCard(
            name=SOURCE_NAME, planes=module.config.planes, normalization=normalization
        ),
        voxel_size=size,
        network=module.config,
        training={},
        provenance=_provenance(prefix, variables),
    )
    return Model(card, network.eval())


def _targets(module: Isl2018) -> tuple[str, ...]:
    """Names of the targets, whose heads come after those that reconstruct the planes."""
    prefix = target_head("")
    return tuple(n.removeprefix(prefix) for n in module.head_names if n.startswith(prefix))


def _target_card(name: str, position: int) -> TargetCard:
    return TargetCard(
        name=name,
        color=default_color(name, position),
        offset=0.0,
        scale=FULL_RANGE,
        window=(0.0, FULL_RANGE),
    )


def _provenance(prefix: str, variables: Mapping[str, NDArray[Any]]) -> Provenance:
    return Provenance(
        version=isl.__version__,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        torch=torch.__version__,
        steps=_steps(prefix, variables),
        minutes=0.0,
        seed=0,
        imported_from=prefix,
    )


def _steps(prefix: str, variables: Mapping[str, NDArray[Any]]) -> int:
    """Steps that the checkpoint was trained for, by its own count or by its name; else 0."""
    counted = variables.get(_STEP_VARIABLE)
    if counted is not None and counted.size == 1:
        return max(0, int(counted.item()))
    match = _STEP_IN_NAME.fullmatch(Path(prefix).name)
    return int(match[1]) if match else 0
