"""The card of a trained model: everything but its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import torch

import isl
from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.data.normalization import TargetNormalizer
from isl.data.samples import Sample
from isl.data.splits import Split
from isl.inference.model_card import (
    ModelCard,
    Provenance,
    SourceCard,
    TargetCard,
    TrainedField,
)
from isl.io.display import display_window
from isl.io.fov import Fov
from isl.io.roles import Roles
from isl.training.module import LabelingModule

_WINDOW_PIXELS = 1 << 20


def make_card(
    fovs: Sequence[Fov],
    samples: Sequence[Sample],
    roles: Roles,
    split: Split,
    normalizers: Sequence[TargetNormalizer],
    voxel_size: VoxelSize,
    module: LabelingModule,
    config: TrainConfig,
) -> ModelCard:
    """Put together what the model file says about the model.

    Parameters
    ----------
    fovs, samples, roles, split, normalizers, voxel_size, config
        What the model was trained on, and how.
    module
        The training module after its last step.
    """
    trained = {s.fov for s in samples if s.train}
    has_source = next(f for f in fovs if roles.source in f.channel_names)
    return ModelCard(
        targets=tuple(
            TargetCard(
                name=name,
                color=_color(fovs, name),
                window=_window(samples, index),
                offset=normalizer.offset,
                scale=normalizer.scale,
                projection=config.target_projection,
            )
            for index, (name, normalizer) in enumerate(zip(roles.targets, normalizers, strict=True))
        ),
        source=SourceCard(
            name=roles.source,
            modality=has_source.channel(roles.source).modality,
            planes=max(s.planes for s in samples),
            normalization=config.normalization,
        ),
        voxel_size=voxel_size,
        network=module.network.config,
        training=config.model_dump(mode="json"),
        holdout=split.holdout,
        trained_on=tuple(
            TrainedField(name=f.name, path=str(f.path)) for f in fovs if f.name in trained
        ),
        scores={name: r for name, r in module.scores.items() if math.isfinite(r)} or None,
        provenance=Provenance(
            version=isl.__version__,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            torch=torch.__version__,
            steps=module.trainer.global_step,
            minutes=round(module.seconds / 60.0, 2),
            seed=config.seed,
        ),
    )


def _color(fovs: Sequence[Fov], channel: str) -> str | None:
    """Display colour that the first field with this channel gives it."""
    colors = (f.channel(channel).color for f in fovs if channel in f.channel_names)
    return next((color for color in colors if color), None)


def _window(samples: Sequence[Sample], index: int) -> tuple[float, float]:
    """Display range of a target, from a sample of its training pixels."""
    parts = [
        target[box.slices].ravel()
        for sample in samples
        if (target := sample.targets[index]) is not None
        for box in sample.train
    ]
    step = max(1, sum(part.size for part in parts) // _WINDOW_PIXELS)
    low, high, *_ = display_window(np.concatenate([part[::step] for part in parts]))
    return low, high
