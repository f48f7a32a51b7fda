"""Which part of a field a model has not seen in training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isl.core.errors import ConfigError
from isl.core.region import Region, parse_region
from isl.data.holdout_rules import local_name, parse_groups
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
    as others are there. Where data sets had rules of their own, that of the field's data set
    counts. A region that is given is taken as it is.

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

    Raises
    ------
    ConfigError
        Where a field may be that of several data sets, of which other regions were held out.
    """
    found = {fov.name: _regions(training, fov) for fov in fovs}
    if region is not None:
        warn = frozenset(name for name, regions in found.items() if regions - {region})
        return tuple(Part(fov, region) for fov in fovs), _warning(warn)
    held_out = {fov.name: _the_region(fov, found[fov.name]) for fov in fovs if found[fov.name]}
    notes = _restricted({name: part for name, part in held_out.items() if part is not None})
    whole = frozenset(name for name, part in held_out.items() if part is None)
    left = [fov for fov in fovs if fov.name not in whole]
    if left and whole and training.holdout:
        notes += (f"left out because the model was trained on them: {_listed(whole)}",)
    else:
        left, notes = list(fovs), (*notes, *_warning(whole))
    return tuple(Part(fov, held_out.get(fov.name)) for fov in left), notes


def _regions(training: Training, fov: Fov) -> frozenset[Region | None]:
    """Regions that were held out of the trained fields that this one may be, None for a whole one.

    Empty where the model has seen no such field.
    """
    groups = parse_groups(training.holdout or "")
    if not groups:
        return frozenset({_region_of(training.holdout)} if _trained_as(training, fov) else ())
    rules = {name: group.rule for group in groups for name in group.datasets}
    datasets = {fov.dataset or _dataset_in(name, rules) for name in _trained_as(training, fov)}
    return frozenset(_region_of(rules.get(dataset)) for dataset in datasets)


def _trained_as(training: Training, fov: Fov) -> set[str]:
    """Names of trained fields that this one may be.

    In a run that learns from several data sets a field is called ``DATASET:FIELD``, elsewhere by
    its own name: one that was trained on under the one is recognised under the other.
    """
    if fov.name in training.fields:
        return {fov.name}
    if fov.dataset is not None:
        return {local_name(fov)} & training.fields
    return {name for name in training.fields if name.endswith(f":{fov.name}")}


def _dataset_in(name: str, datasets: Collection[str]) -> str:
    """Data set of a trained field, from its name; empty where there is none."""
    return next((d for d in datasets if d and name.startswith(f"{d}:")), "")


def _the_region(fov: Fov, regions: frozenset[Region | None]) -> Region | None:
    if len(regions) > 1:
        found = " and ".join(sorted("nothing" if r is None else str(r) for r in regions))
        raise ConfigError(
            f"field {fov.name} was trained on in several data sets, of which {found} was held out, "
            "and it does not say which it is of; choose with --region, or evaluate with the file "
            "of data sets"
        )
    return next(iter(regions))


def _region_of(holdout: str | None) -> Region | None:
    """Region that was held out; None where it was wells, fields or nothing."""
    if holdout is None or not holdout.startswith(("columns:", "rows:")):
        return None
    return parse_region(holdout)


def _restricted(regions: Mapping[str, Region]) -> tuple[str, ...]:
    """One note for each held-out region."""
    names: dict[Region, set[str]] = {}
    for name, region in regions.items():
        names.setdefault(region, set()).add(name)
    return tuple(
        f"the model was trained on {_listed(frozenset(seen))}: only the held-out part, {region}, "
        "counts"
        for region, seen in names.items()
    )


def _warning(seen: frozenset[str]) -> tuple[str, ...]:
    if not seen:
        return ()
    text = f"the model was trained on pixels of {_listed(seen)}: these figures are too good"
    return (text,)


def _listed(names: frozenset[str], most: int = 8) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
