"""What became of the targets of the model that a run started from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.data.samples import Sample
from isl.evaluation.scores import pearson_r
from isl.inference.model import Model
from isl.io.roles import Roles

MOST_BOXES = 8
LARGEST_PX = 512
_TILE_PX = 256

_Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class TargetChange:
    """One target before and after.

    Attributes
    ----------
    target
        Its name.
    agreement
        Pearson r of the predictions before and after.
    difference
        Mean absolute difference between them, in standard deviations of those before.
    r_before, r_after
        Pearson r with the truth; NaN where it was not acquired.
    """

    target: str
    agreement: float
    difference: float
    r_before: float
    r_after: float

    def __str__(self) -> str:
        """In words."""
        text = (
            f"{self.target}: predictions before and after agree with r {self.agreement:.3f}, "
            f"mean difference {self.difference:.3f} standard deviations"
        )
        if np.isnan(self.r_before) and np.isnan(self.r_after):
            return f"{text}; not acquired here"
        return f"{text}; r with the truth {self.r_before:.3f} before, {self.r_after:.3f} after"


@dataclass(frozen=True)
class TransferReport:
    """The targets that both models have, on images of the new run.

    Attributes
    ----------
    targets
        What became of each.
    boxes
        Number of boxes compared.
    part
        ``"held-out"`` or ``"training"``.
    given_up
        Targets that the new model does not predict any more.
    """

    targets: tuple[TargetChange, ...]
    boxes: int
    part: str
    given_up: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """The report in words, one fact a line; none where nothing is in common."""
        lines = [str(change) for change in self.targets]
        if self.given_up:
            lines.append(f"given up: {', '.join(self.given_up)}")
        boxes = f"{self.boxes} box{'es' * (self.boxes != 1)}"
        head = f"targets of the model to start from, on {boxes} of the {self.part} part:"
        return (head, *lines) if lines else ()

    def write(self, path: Path) -> None:
        """Write the report as JSON, with null for figures that do not exist."""
        found = asdict(self)
        for change in found["targets"]:
            change.update({k: None for k, v in change.items() if v != v})
        path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def read_report(path: Path) -> TransferReport:
    """Read what `TransferReport.write` wrote."""
    found = json.loads(path.read_text("utf-8"))
    nan = float("nan")
    figures = ("agreement", "difference", "r_before", "r_after")
    changes = (
        TargetChange(change["target"], *(nan if change[f] is None else change[f] for f in figures))
        for change in found["targets"]
    )
    return TransferReport(tuple(changes), found["boxes"], found["part"], tuple(found["given_up"]))


def transfer_report(
    old: Model, new: Model, samples: Sequence[Sample], roles: Roles, most: int = MOST_BOXES
) -> TransferReport:
    """Predict the targets of the old model with both, and compare.

    Parameters
    ----------
    old, new
        The model that a run started from, and the one that it made.
    samples
        Images of the run; held-out boxes, or where there are none those trained on.
    roles
        Channels of the samples; the targets in their order.
    most
        Largest number of boxes, of at most 512 x 512 pixels.
    """
    part, places = _places(samples, most)
    names = [name for name in old.card.target_names if name in new.card.target_names]
    pixels: dict[str, list[tuple[_Pixels, _Pixels, _Pixels]]] = {name: [] for name in names}
    for sample, box in places if names else ():
        before, after = (_medians(model, sample, box, names) for model in (old, new))
        for name, truth in _truths(sample, box, names, roles):
            pixels[name].append((before[name], after[name], truth))
    return TransferReport(
        tuple(_change(name, parts) for name, parts in pixels.items() if parts),
        len(places),
        part,
        tuple(name for name in old.card.target_names if name not in names),
    )


def _places(samples: Sequence[Sample], most: int) -> tuple[str, list[tuple[Sample, Box]]]:
    """Boxes to compare on, evenly spread over the samples."""
    for part in ("held-out", "training"):
        places = [
            (sample, box)
            for sample in samples
            for box in (sample.heldout if part == "held-out" else sample.train)
            if box.size
        ]
        if places:
            break
    chosen = places[:: max(1, -(-len(places) // most))]
    return part, [(sample, _shortened(box)) for sample, box in chosen]


def _shortened(box: Box) -> Box:
    return box.intersect(Box(box.y0, box.y0 + LARGEST_PX, box.x0, box.x0 + LARGEST_PX))


def _medians(
    model: Model, sample: Sample, box: Box, names: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    found = model.distribution(sample.source, box=box, tile_px=_TILE_PX).median.cpu().numpy()
    return {name: found[model.card.target_names.index(name)] for name in names}


def _truths(
    sample: Sample, box: Box, names: Sequence[str], roles: Roles
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """True image of each target, NaN where it was not acquired."""
    for name in names:
        image = sample.targets[roles.targets.index(name)] if name in roles.targets else None
        truth = np.full(box.shape, np.nan) if image is None else image[box.slices]
        yield name, truth.astype(np.float32)


def _change(name: str, parts: Sequence[tuple[_Pixels, _Pixels, _Pixels]]) -> TargetChange:
    before, after, truth = (
        np.concatenate([part[i].ravel() for part in parts])[None] for i in range(3)
    )
    spread = float(before.std(dtype=np.float64))
    difference = float(np.abs(after - before).mean(dtype=np.float64))
    return TargetChange(
        name,
        pearson_r(after, before).value,
        difference / spread if spread else float("nan"),
        pearson_r(before, truth).value,
        pearson_r(after, truth).value,
    )
