"""Which predicted image belongs to which true one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isl.core.errors import ChannelError, DataError, ImageSizeError
from isl.io.fov import Fov

_STATISTIC = re.compile(r"(?P<target>.+) (?P<statistic>mean|mode|std|q0?\.\d+)")
_POINT_STATISTICS = ("mean", "mode")


@dataclass(frozen=True)
class FieldPair:
    """Prediction and truth of one field; ``name`` is that of the truth."""

    name: str
    prediction: Fov
    truth: Fov


@dataclass(frozen=True)
class Pairing:
    """Pairs in the order of the truth, and what was left without a partner, in words."""

    pairs: tuple[FieldPair, ...]
    notes: tuple[str, ...]


def pair_fields(predictions: Sequence[Fov], truths: Sequence[Fov]) -> Pairing:
    """Pair fields by name; one field on each side is a pair whatever the names.

    Raises
    ------
    DataError
        Where no pair is found.
    """
    if len(predictions) == len(truths) == 1:
        return Pairing((FieldPair(truths[0].name, predictions[0], truths[0]),), ())
    by_name = {fov.name: fov for fov in predictions}
    pairs = [FieldPair(t.name, by_name[t.name], t) for t in truths if t.name in by_name]
    paired = {pair.name for pair in pairs}
    notes = [
        f"field {fov.name} of {fov.path} has no {other}; it was left out"
        for fovs, other in ((predictions, "truth"), (truths, "prediction"))
        for fov in fovs
        if fov.name not in paired
    ]
    if not pairs:
        raise DataError(
            f"no field has both a prediction and a truth: the predictions are {_names(predictions)}"
            f" and the truths {_names(truths)}; give fields the same names on both sides"
        )
    return Pairing(tuple(pairs), tuple(notes))


def check_sizes(pair: FieldPair) -> None:
    """Refuse a prediction of another size or with other time points than the truth.

    Raises
    ------
    ImageSizeError
        Where they differ.
    """
    sizes = [(f.size_t, f.size_y, f.size_x) for f in (pair.prediction, pair.truth)]
    if sizes[0] != sizes[1]:
        raise ImageSizeError(
            f"{pair.prediction.path}: field {pair.prediction.name} is (T, Y, X) = {sizes[0]} but "
            f"its truth in {pair.truth.path} is {sizes[1]}; compare images of the same pixels"
        )


def predicted_targets(fov: Fov) -> tuple[str, ...]:
    """Targets that a prediction holds, in its order: ``DAPI`` from ``DAPI`` or ``DAPI mean``."""
    names: dict[str, None] = {}
    for channel in fov.channel_names:
        match = _STATISTIC.fullmatch(channel)
        names.setdefault(match["target"] if match else channel)
    return tuple(names)


def point_channel(fov: Fov, target: str) -> str:
    """Channel that holds the predicted value of a target: the median, else the mean or the mode.

    Raises
    ------
    ChannelError
        Where the prediction has none of them.
    """
    for name in (target, *(f"{target} {s}" for s in _POINT_STATISTICS)):
        if name in fov.channel_names:
            return name
    raise ChannelError(
        f"{fov.path}: field {fov.name} has no prediction of '{target}', neither its median nor its "
        f"mean or mode; it has: {', '.join(fov.channel_names)}"
    )


def common_targets(pairs: Sequence[FieldPair], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Targets to compare: those asked for, else all that some field has on both sides.

    Raises
    ------
    ChannelError
        Where one asked for is missing on a side in all fields, or there is nothing in common.
    """
    predicted = list(dict.fromkeys(n for p in pairs for n in predicted_targets(p.prediction)))
    true = list(dict.fromkeys(n for p in pairs for n in p.truth.channel_names))
    found = f"the predictions have {_listed(predicted)} and the truths {_listed(true)}"
    for name in wanted or ():
        if name not in predicted or name not in true:
            raise ChannelError(f"cannot compare '{name}': {found}; name one that both have")
    common = tuple(wanted or (n for n in predicted if n in true))
    if not common:
        raise ChannelError(f"no target is on both sides: {found}; rename channels or files")
    return common


def _names(fovs: Sequence[Fov]) -> str:
    return _listed([fov.name for fov in fovs])


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
