"""Which part of a field a model has not seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isl.core.region import Region, parse_region
from isl.io.fov import Fov

if TYPE_CHECKING:
    from isl.inference.model_card import ModelCard


@dataclass(frozen=True)
class Training:
    """What a model was trained on.

    Attributes
    ----------
    holdout
        What was kept back, as the ``--holdout`` option writes it.
    fields
        Names of the fields that the model has seen.
    """

    holdout: str | None
    fields: frozenset[str]

    @classmethod
    def of_card(cls, card: ModelCard) -> Training:
        """As a model says itself."""
        return cls(card.holdout, frozenset(trained.name for trained in card.trained_on))

    @classmethod
    def of_prediction(cls, provenance: Mapping[str, Any]) -> Training | None:
        """As predictions of this package say of their model; None where they do not."""
        card = provenance.get("model")
        if not isinstance(card, dict) or not isinstance(card.get("trained_on"), list):
            return None
        names = (field.get("name") for field in card["trained_on"] if isinstance(field, dict))
        return cls(card.get("holdout"), frozenset(name for name in names if name))


@dataclass(frozen=True)
class Part:
    """A field and the region of it that counts; all of it where the region is None."""

    fov: Fov
    region: Region | None


def held_out_parts(
    training: Training, fovs: Sequence[Fov], region: Region | None
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Choose what a model is evaluated on.

    Fields are recognised by name. Of a field that the model was trained on, only the held-out
    region counts; where whole fields or wells were held out, trained fields are left out as long
    as others are there. A region that is given is taken as it is.

    Parameters
    ----------
    training
        What the model was trained on.
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
    seen = training.fields & {fov.name for fov in fovs}
    held_out = _region_of(training.holdout)
    if region is not None:
        warn = seen if region != held_out else frozenset[str]()
        return tuple(Part(fov, region) for fov in fovs), _warning(warn)
    if held_out is not None:
        parts = tuple(Part(fov, held_out if fov.name in seen else None) for fov in fovs)
        return parts, _restricted(seen, held_out)
    unseen = [fov for fov in fovs if fov.name not in seen]
    if seen and unseen and training.holdout:
        note = f"left out because the model was trained on them: {_listed(seen)}"
        return tuple(Part(fov, None) for fov in unseen), (note,)
    return tuple(Part(fov, None) for fov in fovs), _warning(seen)


def _region_of(holdout: str | None) -> Region | None:
    """Region that was held out; None where it was wells, fields or nothing."""
    if holdout is None or not holdout.startswith(("columns:", "rows:")):
        return None
    return parse_region(holdout)


def _restricted(seen: frozenset[str], region: Region) -> tuple[str, ...]:
    if not seen:
        return ()
    text = f"the model was trained on {_listed(seen)}: only the held-out part, {region}, counts"
    return (text,)


def _warning(seen: frozenset[str]) -> tuple[str, ...]:
    if not seen:
        return ()
    text = f"the model was trained on pixels of {_listed(seen)}: these figures are too good"
    return (text,)


def _listed(names: frozenset[str], most: int = 8) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
