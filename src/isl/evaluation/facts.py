"""What was computed on which pixels and with which normalisation, in words."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from isl.data.normalization import RECIPES
from isl.evaluation.bootstrap import BLOCK_PX, RESAMPLES
from isl.evaluation.field_scores import FieldScores
from isl.evaluation.scores import SSIM_WINDOW_PX

if TYPE_CHECKING:
    from isl.inference.model_card import ModelCard

Fact = tuple[str, str]
_LIBRARIES = ("in-silico-labeling", "numpy", "scikit-image")


def model_facts(card: ModelCard, name: str) -> list[Fact]:
    """Model, its training and its normalisation."""
    unit = "standard deviation of the target in the training images"
    if card.source.normalization != "standard":
        unit = "range of image values that the network calls 0 to 1"
    return [
        ("Model", f"{name}, {_origin(card)}"),
        ("Source normalisation", RECIPES[card.source.normalization]),
        (
            "Unit of log score and CRPS",
            f"{unit}: " + ", ".join(f"{t.name} {t.scale:.4g}" for t in card.targets),
        ),
    ]


def _origin(card: ModelCard) -> str:
    made = card.provenance
    if made.imported_from is not None:
        steps = f"after {made.steps} steps" if made.steps else "after an unknown number of steps"
        return (
            f"imported {made.date} from {made.imported_from} ({steps}) by version {made.version}; "
            "what it was trained on is not known"
        )
    return (
        f"trained {made.date} for {made.steps} steps ({made.minutes:.1f} minutes) by version "
        f"{made.version}; held out: {card.holdout or 'nothing'}"
    )


def computed_on(scored: Sequence[FieldScores]) -> list[Fact]:
    """Fields, regions, pixels, foreground, ranges and versions."""
    first = scored[0].job
    source = f"'{first.source}'" if first.source else "none"
    return [
        ("Fields", _fields(scored)),
        ("Region", _regions(scored)),
        ("Pixels that count", _per_target(scored, _pixels)),
        ("Source", f"{source}; pictures show its middle plane"),
        ("Voxel size", "; ".join(dict.fromkeys(str(s.job.pair.truth.voxel_size) for s in scored))),
        ("Truth", _truth(scored)),
        (
            "Foreground",
            "truth above its Otsu threshold, found per image on the pixels that count: "
            + _per_target(scored, _thresholds),
        ),
        (
            "SSIM",
            f"window {SSIM_WINDOW_PX} x {SSIM_WINDOW_PX} px; data range from the 0.1 to the 99.9 "
            "percentile of the truth",
        ),
        ("NRMSE", "root mean square error over the standard deviation of the truth"),
        (
            "Intervals",
            f"95 % percentile bootstrap, {RESAMPLES} samples of blocks of {BLOCK_PX} x {BLOCK_PX} "
            "px, and of fields where there are several; time points of a block stay together",
        ),
        (
            "Controls",
            "|r| of single source planes and of their mean with the truth, on the same pixels; "
            "the best plane is chosen with the truth at hand",
        ),
        ("Display", "truth and prediction alike: 0.1 to 99.9 percentile of the field's truth"),
        ("Computed", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC with {_versions()}"),
    ]


def _fields(scored: Sequence[FieldScores]) -> str:
    names = [s.job.pair.name for s in scored]
    paths = list(dict.fromkeys(str(s.job.pair.truth.path) for s in scored))
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{len(names)} ({listed}) of {', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''}"


def _regions(scored: Sequence[FieldScores]) -> str:
    regions = dict.fromkeys(
        "whole field" if s.job.region is None else str(s.job.region) for s in scored
    )
    return "; ".join(regions)


def _truth(scored: Sequence[FieldScores]) -> str:
    times = max(s.job.pair.truth.size_t for s in scored)
    stacks = {
        f"{name}: {how} over its planes"
        for s in scored
        for name, how in s.job.targets.items()
        if name in s.sums and s.job.pair.truth.channel(name).planes > 1
    }
    text = "in units of the image, not normalised"
    text += f"; {times} time points, all counted together" if times > 1 else ""
    return "; ".join([text, *sorted(stacks)])


def _pixels(scored: Sequence[FieldScores], target: str) -> str:
    return f"{sum(s.sums[target].counted for s in scored if target in s.sums):,}"


def _thresholds(scored: Sequence[FieldScores], target: str) -> str:
    found = [x for s in scored if target in s.sums for x in s.sums[target].thresholds]
    if not found:
        return "none"
    low, high = min(found), max(found)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _per_target(
    scored: Sequence[FieldScores], text: Callable[[Sequence[FieldScores], str], str]
) -> str:
    targets = dict.fromkeys(name for s in scored for name in s.sums)
    return ", ".join(f"{name} {text(scored, name)}" for name in targets)


def _versions() -> str:
    return (
        ", ".join(f"{n} {version(n)}" for n in _LIBRARIES) + f", Python {platform.python_version()}"
    )
