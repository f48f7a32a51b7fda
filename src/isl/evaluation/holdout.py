"""Which part of a field a model has not seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isl.core.region import Region, parse_region
from isl.io.fov import Fov

if TYPE_CHECKING:
    from isl.inference.model_card import ModelCard


@dataclass(frozen=True)
class Part:
    """A field and the region of it that counts; all of it where the region is None."""

    fov: Fov
    region: Region | None


def held_out_parts(
    card: ModelCard, fovs: Sequence[Fov], region: Region | None
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Choose what a model is evaluated on.

    Fields are recognised by name. Of a field that the model was trained on, only the held-out
    region counts; where whole fields or wells were held out, trained fields are left out as long
    as others are there. A region that is given is taken as it is.

    Parameters
    ----------
    card
        Of the model: ``holdout`` and ``trained_on``.
    fovs
        Fields to evaluate.
    region
        Region that the user asked for.

    Returns
    -------
    parts
        What counts.
    notes
        What was decided, and a warning where the figures are of training pixels.
    """
    seen = {trained.name for trained in card.trained_on} & {fov.name for fov in fovs}
    held_out = _region_of(card.holdout)
    if region is not None:
        warn = seen if region != held_out else set()
        return tuple(Part(fov, region) for fov in fovs), _warning(warn)
    if held_out is not None:
        parts = tuple(Part(fov, held_out if fov.name in seen else None) for fov in fovs)
        return parts, _restricted(seen, held_out)
    unseen = [fov for fov in fovs if fov.name not in seen]
    if seen and unseen and card.holdout:
        note = f"left out because the model was trained on them: {_listed(seen)}"
        return tuple(Part(fov, None) for fov in unseen), (note,)
    return tuple(Part(fov, None) for fov in fovs), _warning(seen)


def _region_of(holdout: str | None) -> Region | None:
    """Region that was held out; None where it was wells, fields or nothing."""
    if holdout is None or not holdout.startswith(("columns:", "rows:")):
        return None
    return parse_region(holdout)


def _restricted(seen: set[str], region: Region) -> tuple[str, ...]:
    if not seen:
        return ()
    text = f"the model was trained on {_listed(seen)}: only the held-out part, {region}, counts"
    return (text,)


def _warning(seen: set[str]) -> tuple[str, ...]:
    if not seen:
        return ()
    text = f"the model was trained on pixels of {_listed(seen)}: these figures are too good"
    return (text,)


def _listed(names: set[str], most: int = 8) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
