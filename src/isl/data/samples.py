"""Samples: one field at one time point, held ready for drawing patches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Normalization
from isl.core.errors import BlankImageError, DataError, IslError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.data.normalization import (
    Projection,
    SourceNormalizer,
    TargetNormalizer,
    measure_source_array,
    project,
    target_normalizer,
)
from isl.data.splits import Split
from isl.io.fov import Fov
from isl.io.roles import Roles

OnBad = Callable[[str, IslError], None]


@dataclass(frozen=True)
class Sample:
    """One field at one time point.

    Attributes
    ----------
    fov, t
        Name of the field, and time point.
    source
        (Z, Y, X) as in the file; perhaps memory-mapped.
    normalizer
        Brings the source to mean 0 and standard deviation 1.
    targets
        (Y, X) for each target in the order of the roles; None where it was not acquired.
    train, heldout
        Boxes to draw patches from, and boxes kept back.
    """

    fov: str
    t: int
    source: NDArray[Any]
    normalizer: SourceNormalizer
    targets: tuple[NDArray[Any] | None, ...]
    train: tuple[Box, ...]
    heldout: tuple[Box, ...]

    @property
    def planes(self) -> int:
        """Number of source planes."""
        return len(self.source)

    @property
    def has_targets(self) -> bool:
        """Whether any target was acquired."""
        return any(target is not None for target in self.targets)


class ArrayCache:
    """Keeps arrays in memory up to a limit, and beyond it in memory-mapped temporary files.

    The files vanish with the cache (use it as a context manager).
    """

    def __init__(self, limit_bytes: float) -> None:
        self._free = limit_bytes
        self._folder = tempfile.TemporaryDirectory(prefix="isl-cache-")
        self._count = 0

    def __enter__(self) -> ArrayCache:
        """Open the cache."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Delete the temporary files."""
        self._folder.cleanup()

    def keep(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array itself, or a memory-mapped copy where memory is used up."""
        self._free -= array.nbytes
        if self._free >= 0:
            return array
        self._count += 1
        path = Path(self._folder.name) / f"{self._count}.npy"
        np.save(path, array)
        return np.asarray(np.load(path, mmap_mode="r"))


def load_samples(
    fovs: Sequence[Fov],
    roles: Roles,
    split: Split,
    projection: Projection,
    cache: ArrayCache,
    *,
    recipe: Normalization = "standard",
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
) -> tuple[Sample, ...]:
    """Read source and targets of all fields and time points.

    Parameters
    ----------
    fovs, roles, split
        What to read, which channels, and which boxes belong to which part.
    projection
        How a target with several planes becomes one image.
    cache
        Where the arrays are kept.
    recipe
        How sources are normalised.
    progress
        Called once a field.
    on_bad
        Called with the name and the error of a field that cannot be used; without it the error is
        raised.

    Raises
    ------
    DataError
        Where no field is left.
    """
    samples: list[Sample] = []
    for index, fov in enumerate(fovs):
        progress(Progress(index, len(fovs), "field", f"reading {fov.name}"))
        try:
            samples += _load_fov(fov, roles, split, projection, cache, recipe)
        except IslError as error:
            if on_bad is None:
                raise
            on_bad(fov.name, error)
    if not samples:
        raise DataError("no field can be used; see the errors above")
    return tuple(samples)


def _load_fov(
    fov: Fov,
    roles: Roles,
    split: Split,
    projection: Projection,
    cache: ArrayCache,
    recipe: Normalization,
) -> list[Sample]:
    part = split.fields[fov.name]
    present = [name in fov.channel_names for name in roles.targets]
    samples = []
    for t in range(fov.size_t):
        what = f"{fov.path}: field {fov.name}, time point {t}"
        source = fov.read(roles.source, t=t)
        targets = tuple(
            cache.keep(_checked(project(fov.read(name, t=t), projection), name, what))
            if is_there
            else None
            for name, is_there in zip(roles.targets, present, strict=True)
        )
        normalizer = measure_source_array(source, f"{what}, channel '{roles.source}'", recipe)
        samples.append(
            Sample(fov.name, t, cache.keep(source), normalizer, targets, part.train, part.heldout)
        )
    return samples


def _checked(target: NDArray[Any], name: str, what: str) -> NDArray[Any]:
    """The target, unless it holds nothing to learn."""
    finite = target[np.isfinite(target)] if target.dtype.kind == "f" else target
    if finite.size == 0 or finite.min() == finite.max():
        found = "NaN" if finite.size == 0 else f"{finite.flat[0]:g}"
        raise BlankImageError(
            f"{what}: all pixels of target '{name}' are {found}; leave this target of this field "
            "out, for example by removing its file"
        )
    return target


def measure_targets(
    samples: Sequence[Sample], names: Sequence[str], recipe: Normalization = "standard"
) -> tuple[TargetNormalizer, ...]:
    """Mean and standard deviation of each target over all acquired training pixels.

    Raises
    ------
    DataError
        Where a target was acquired in no training pixel.
    """
    return tuple(_measure_target(samples, i, name, recipe) for i, name in enumerate(names))


def _measure_target(
    samples: Sequence[Sample], index: int, name: str, recipe: Normalization
) -> TargetNormalizer:
    count, total, squares = 0, 0.0, 0.0
    dtypes = {target.dtype for s in samples if (target := s.targets[index]) is not None}
    for sample in samples:
        target = sample.targets[index]
        if target is None:
            continue
        for box in sample.train:
            values = target[box.slices].astype(np.float64)
            values = values[np.isfinite(values)]
            count += values.size
            total += float(values.sum())
            squares += float((values**2).sum())
    if count == 0:
        raise DataError(
            f"target '{name}' was acquired in no training field; leave it out of --targets, or "
            "hold out other fields"
        )
    mean = total / count
    std = float(np.sqrt(max(squares / count - mean**2, 1e-12)))
    if recipe == "full-range" and len(dtypes) > 1:
        raise DataError(
            f"target '{name}' is stored as {' and '.join(sorted(map(str, dtypes)))}; "
            "normalization full-range needs one type: convert the images, or use published"
        )
    return target_normalizer(mean, std, recipe, dtypes.pop())
