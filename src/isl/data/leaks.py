"""Whether what is held out is held out: the same field must not be on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import LeakError
from isl.data.landmarks import MARGIN_PX, WORDS, Landmarks, find_landmarks
from isl.data.samples import Sample

_MOST_PIXELS = 1 << 21
_MOST_PIXELS_IN_ALL = 1 << 28
_LEAST_PIXELS = 1 << 18
_FEWEST_COMMON = 8
_LEAST_SHARE = 0.1
_MOST_REPEATS = 3
_BIN_PX = 4
_TOLERANCE_PX = 2
_MOST_NAMED = 10


@dataclass(frozen=True)
class Leak:
    """Something that is both trained on and held out.

    Attributes
    ----------
    trained, held_out
        Names of the fields.
    share
        Share of the smaller part that the other part shows too.
    shift_yx
        Pixels by which it lies further down and right in the trained field.
    """

    trained: str
    held_out: str
    share: float
    shift_yx: tuple[int, int]

    def __str__(self) -> str:
        """One line for a message."""
        shift = "" if self.shift_yx == (0, 0) else f", shifted by {self.shift_yx} px (y, x)"
        share = f"{self.share:.0%} of it" if self.share < 0.995 else "all of it"
        if self.trained == self.held_out:
            return (
                f"{self.held_out}: what is held out is also in the part trained on ({share}{shift})"
            )
        return f"{self.held_out} (held out) is in {self.trained} (trained on): {share}{shift}"


def check_leaks(samples: Sequence[Sample]) -> None:
    """Refuse samples of which something is both trained on and held out.

    The middle planes are compared: copies under another name, with another gain, offset or type,
    shifted or cropped ones, and neighbours in a mosaic that overlap.

    Parameters
    ----------
    samples
        Fields with their boxes to train on and boxes held out.

    Raises
    ------
    LeakError
        Naming the fields, how much they have in common, and the remedy.
    """
    leaks = find_leaks(samples)
    if not leaks:
        return
    lines = [f"  {leak}" for leak in leaks[:_MOST_NAMED]]
    if len(leaks) > _MOST_NAMED:
        lines.append(f"  and {len(leaks) - _MOST_NAMED} more")
    raise LeakError(
        "what is held out must not be trained on, or the scores are too good:\n"
        + "\n".join(lines)
        + "\nremove the copies; where neighbours in a mosaic overlap hold out whole wells "
        "(--holdout wells:NAME); or pass --no-check-leaks where they only look alike"
    )


def find_leaks(samples: Sequence[Sample]) -> tuple[Leak, ...]:
    """Find what is both trained on and held out; each pair of fields once, the worst first."""
    if not (any(s.train for s in samples) and any(s.heldout for s in samples)):
        return ()
    most = min(_MOST_PIXELS, max(_LEAST_PIXELS, _MOST_PIXELS_IN_ALL // len(samples)))
    trained = [_Side.of(s.fov, _middle(s), s.train, most) for s in samples if s.train]
    held_out = [_Side.of(s.fov, _middle(s), s.heldout, most) for s in samples if s.heldout]
    worst: dict[tuple[str, str], Leak] = {}
    for leak in (*_equal(trained, held_out), *_alike(trained, held_out)):
        pair = leak.trained, leak.held_out
        if pair not in worst or leak.share > worst[pair].share:
            worst[pair] = leak
    return tuple(sorted(worst.values(), key=lambda leak: -leak.share))


@dataclass(frozen=True)
class _Side:
    """The part of a field that is trained on, or that is held out."""

    fov: str
    boxes: tuple[Box, ...]
    landmarks: Landmarks
    digests: frozenset[bytes]

    @classmethod
    def of(cls, fov: str, plane: NDArray[Any], boxes: tuple[Box, ...], most: int) -> _Side:
        digests = frozenset(_digest(plane[box.slices]) for box in boxes if box.size)
        return cls(fov, boxes, find_landmarks(plane, boxes, most), digests - {b""})

    def within(self, other: _Side, shift: NDArray[np.int64]) -> int:
        """Number of landmarks that the other side could have too, when these are shifted."""
        at = self.landmarks.positions + shift
        inside = np.zeros(len(at), bool)
        for box in (whole.grow(-MARGIN_PX) for whole in other.boxes):
            low, high = (box.y0, box.x0), (box.y1, box.x1)
            inside |= ((at >= low) & (at < high)).all(axis=1)
        return int(inside.sum())


def _middle(sample: Sample) -> NDArray[Any]:
    """The middle plane, (Y, X)."""
    return np.asarray(sample.source[len(sample.source) // 2])


def _digest(pixels: NDArray[Any]) -> bytes:
    """Digest of the pixels; empty where they are all alike."""
    values = np.nan_to_num(np.asarray(pixels, np.float64))
    if values.size == 0 or values.min() == values.max():
        return b""
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes()).digest()


def _equal(trained: Sequence[_Side], held_out: Sequence[_Side]) -> list[Leak]:
    """Leaks of equal pixels, however small the field."""
    owners = {digest: side for side in trained for digest in side.digests}
    return [
        Leak(owners[digest].fov, side.fov, 1.0, (0, 0))
        for side in held_out
        for digest in side.digests & owners.keys()
    ]


def _alike(trained: Sequence[_Side], held_out: Sequence[_Side]) -> list[Leak]:
    """Leaks of many landmarks that agree on a shift."""
    train_words, train_side, train_mark = _index(trained)
    held_words, held_side, held_mark = _index(held_out)
    first, second = _matches(train_words, held_words)
    pair = train_side[first].astype(np.int64) * len(held_out) + held_side[second]
    leaks = []
    order = np.argsort(pair, kind="stable")
    starts = np.flatnonzero(np.diff(pair[order], prepend=-1))
    for group in np.split(order, starts[1:]):
        if len(group) < _FEWEST_COMMON:
            continue
        one = trained[train_side[first[group[0]]]]
        other = held_out[held_side[second[group[0]]]]
        leak = _agreed(one, other, train_mark[first[group]], held_mark[second[group]])
        leaks += [leak] if leak else []
    return leaks


def _index(
    sides: Sequence[_Side],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """All words that are rare in their side, with side and landmark of each."""
    words, owners, marks = [], [], []
    for number, side in enumerate(sides):
        found = side.landmarks.words.ravel()
        _, inverse, counts = np.unique(found, return_inverse=True, return_counts=True)
        rare = np.flatnonzero(counts[inverse] <= _MOST_REPEATS)
        words.append(found[rare])
        owners.append(np.full(len(rare), number))
        marks.append(rare // WORDS)
    return np.concatenate(words), np.concatenate(owners), np.concatenate(marks)


def _matches(
    ours: NDArray[np.uint32], theirs: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of all pairs of equal words."""
    order = np.argsort(ours, kind="stable")
    low = np.searchsorted(ours[order], theirs, "left")
    counts = np.searchsorted(ours[order], theirs, "right") - low
    second = np.repeat(np.arange(len(theirs)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.repeat(low, counts) + offsets], second


def _agreed(
    one: _Side, other: _Side, ours: NDArray[np.int64], theirs: NDArray[np.int64]
) -> Leak | None:
    """The leak, where enough pairs of landmarks have the same shift."""
    shifts = one.landmarks.positions[ours] - other.landmarks.positions[theirs]
    _, inverse, counts = np.unique(
        shifts // _BIN_PX, axis=0, return_inverse=True, return_counts=True
    )
    fullest = inverse.ravel() == counts.argmax()
    shift = np.median(shifts[fullest], axis=0).round().astype(np.int64)
    close = (np.abs(shifts - shift) <= _TOLERANCE_PX).all(axis=1)
    common = min(len(np.unique(ours[close])), len(np.unique(theirs[close])))
    possible = min(one.within(other, -shift), other.within(one, shift))
    if common < _FEWEST_COMMON or common < _LEAST_SHARE * possible:
        return None
    share = min(1.0, _overlap(one, other, shift))
    return Leak(one.fov, other.fov, share, (int(shift[0]), int(shift[1])))


def _overlap(one: _Side, other: _Side, shift: NDArray[np.int64]) -> float:
    """Pixels that are in both, as a share of the smaller side."""
    y, x = int(shift[0]), int(shift[1])
    moved = [Box(b.y0 + y, b.y1 + y, b.x0 + x, b.x1 + x) for b in other.boxes]
    common = sum(a.intersect(b).size for a in one.boxes for b in moved)
    smaller = min(sum(box.size for box in side.boxes) for side in (one, other))
    return common / smaller
