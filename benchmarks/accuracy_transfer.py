"""A new target learned from a strip of the well: from scratch, and from a model without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import isl
from isl.io.fov import Fov

SOURCE, NEW = "PHASE_CONTRAST", "NFH_CONFOCAL"
OLD = ("DAPI_CONFOCAL", "MAP2_CONFOCAL")
HELD_OUT = "columns:576-767"
TRAINED = 512
WIDTHS = (32, 128, 512)


def strip_of(well: Fov, width: int) -> Fov:
    """The well, in which the new target is known in the last columns before the margin alone."""
    image = well.read(NEW).astype(np.float32)
    image[..., : TRAINED - width] = np.nan
    image[..., TRAINED:576] = np.nan
    channels = {SOURCE: well.read(SOURCE), NEW: image[0]}
    made = isl.fov_from_arrays(channels, name=well.name, modalities={SOURCE: "phase"})
    return replace(made, path=well.path)


def strips(folder: Path, images: Path, settings: dict[str, Any], steps: int) -> None:
    """Print r of the new target by the width of the strip, and how the old targets fared."""
    (well,) = isl.open_fovs(images)
    base = folder / "base.isl"
    if not base.exists():
        given = settings | {"max_steps": 2 * steps}
        isl.train(images, base, targets=OLD, holdout=HELD_OUT, **given)
    print(f"{steps} steps each; the model to start from: {2 * steps} steps, without {NEW}")
    print("| strip | from scratch | from the model | DAPI, MAP2 before | after |")
    print("|---|---|---|---|---|")
    before = _old_scores(isl.load_model(base), images)
    for width in WIDTHS:
        found = {}
        for start in (None, str(base)):
            output = folder / f"strip_{width}_{'scratch' if start is None else 'model'}.isl"
            model = isl.train(
                strip_of(well, width),
                output,
                holdout=HELD_OUT,
                max_steps=steps,
                start_from=start,
                **settings,
            )
            evaluation = isl.evaluate(model, images, region=HELD_OUT, targets=(NEW,))
            found[start] = evaluation.score(NEW, "pearson_r").value
        after = _old_scores(model, images)
        print(
            f"| {width} x {well.size_y} | {found[None]:.3f} | {found[str(base)]:.3f} | "
            f"{before} | {after} |",
            flush=True,
        )


def _old_scores(model: isl.Model, images: Path) -> str:
    evaluation = isl.evaluate(model, images, region=HELD_OUT, targets=OLD)
    return ", ".join(f"{evaluation.score(t, 'pearson_r').value:.3f}" for t in OLD)
