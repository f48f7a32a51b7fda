"""The card of a trained model: everything but its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import torch

import isl
from isl.core.config import TrainConfig
from isl.data.normalization import TargetNormalizer
from isl.data.samples import Sample
from isl.inference.model_card import (
    ModelCard,
    Provenance,
    SourceCard,
    TargetCard,
    TrainedField,
)
from isl.io.display import display_window
from isl.io.fov import Fov
from isl.training.module import LabelingModule
from isl.training.prepare import TrainingData

_WINDOW_PIXELS = 1 << 20


def make_card(data: TrainingData, module: LabelingModule, config: TrainConfig) -> ModelCard:
    """Put together what the model file says about the model.

    Parameters
    ----------
    data, config
        What the model was trained on, and how.
    module
        The training module after its last step.
    """
    fovs, samples, roles = data.fovs, data.samples, data.roles
    trained = {s.fov for s in samples if s.train}
    has_source = next(f for f in fovs if roles.source in f.channel_names)
    return ModelCard(
        targets=tuple(
            TargetCard(
                name=name,
                color=_color(fovs, name),
                window=_window(samples, index, normalizer),
                offset=normalizer.offset,
                scale=normalizer.scale,
                projection=config.target_projection,
            )
            for index, (name, normalizer) in enumerate(
                zip(roles.targets, data.normalizers, strict=True)
            )
        ),
        source=SourceCard(
            name=roles.source,
            modality=has_source.channel(roles.source).modality,
            planes=max(s.planes for s in samples),
            normalization=config.normalization,
            depth_um=data.depth_um,
        ),
        voxel_size=data.voxel_size,
        network=module.network.config,
        training=config.model_dump(mode="json"),
        holdout=data.split.holdout,
        trained_on=tuple(
            TrainedField(name=f.name, path=str(f.path)) for f in fovs if f.name in trained
        ),
        scores={name: r for name, r in module.scores.items() if math.isfinite(r)} or None,
        provenance=Provenance(
            version=isl.__version__,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            torch=torch.__version__,
            steps=module.steps,
            minutes=round(module.seconds / 60.0, 2),
            seed=config.seed,
        ),
    )


def _color(fovs: Sequence[Fov], channel: str) -> str | None:
    """Display colour that the first field with this channel gives it."""
    colors = (f.channel(channel).color for f in fovs if channel in f.channel_names)
    return next((color for color in colors if color), None)


def _window(
    samples: Sequence[Sample], index: int, unit: TargetNormalizer
) -> tuple[float, float] | None:
    """Display range of a target in its unit, from a sample of its training pixels."""
    parts = [
        sample.target_normalizers[index].apply(target[box.slices].ravel())
        for sample in samples
        if (target := sample.targets[index]) is not None
        for box in sample.train
    ]
    if not parts:
        return None
    step = max(1, sum(part.size for part in parts) // _WINDOW_PIXELS)
    low, high, *_ = display_window(np.concatenate([part[::step] for part in parts]))
    first, last = unit.invert(np.array([low, high]))
    return float(first), float(last)
