"""r on the real well against the number of planes that a model is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import isl

SOURCE = "PHASE_CONTRAST"
COUNTS = (1, 2, 3, 5, 7, 13, 26)
REGION = "columns:576-767"


def planes(images: Path, models: dict[str, isl.Model]) -> None:
    """Print r of each target for stacks of fewer and of more planes than a model was trained on."""
    (well,) = isl.open_fovs(images)
    stack = well.read(SOURCE)
    targets = {name: well.read(name)[0] for name in well.channel_names if name != SOURCE}
    print("| planes | " + " | ".join(models) + " |")
    print("|---|" + "---|" * len(models))
    for count in COUNTS:
        field = isl.fov_from_arrays(
            {SOURCE: chosen(stack, count), **targets},
            name=well.name,
            modalities={SOURCE: "phase"},
        )
        cells = []
        for model in models.values():
            evaluation = isl.evaluate(model, field, region=REGION)
            r = [evaluation.score(t, "pearson_r").value for t in model.card.target_names]
            cells.append(" / ".join(f"{value:.3f}" for value in r))
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)


def chosen(stack: NDArray[np.generic], count: int) -> NDArray[np.float32]:
    """Evenly spaced planes, the middle one where there is one; more by linear interpolation."""
    last = len(stack) - 1
    where = np.linspace(0, last, count) if count > 1 else np.array([last / 2])
    if count <= len(stack):
        return np.asarray(stack[np.round(where).astype(int)], np.float32)
    below = np.minimum(np.floor(where).astype(int), last - 1)
    share = (where - below)[:, None, None]
    return np.asarray(stack[below] * (1 - share) + stack[below + 1] * share, np.float32)
