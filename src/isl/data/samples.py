"""Samples: one field at one time point, held ready for drawing patches."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import Normalization
from isl.core.errors import BlankImageError, DataError, IslError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.data.depths import plane_depths
from isl.data.normalization import (
    Projection,
    SourceNormalizer,
    TargetNormalizer,
    measure_source_array,
    project,
    target_normalizer,
    usable_planes,
)
from isl.data.splits import Split
from isl.io.fov import Fov
from isl.io.roles import Roles

logger = logging.getLogger(__name__)

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
    dataset
        Name of the data set; empty where there is only one.
    depths
        (Z,) float32, where the planes are; see `isl.data.depths.plane_depths`.
    target_normalizers
        Bring each target to mean 0 and standard deviation 1, as measured over the data set; empty
        until that has been done, see `with_target_normalizers`.
    """

    fov: str
    t: int
    source: NDArray[Any]
    normalizer: SourceNormalizer
    targets: tuple[NDArray[Any] | None, ...]
    train: tuple[Box, ...]
    heldout: tuple[Box, ...]
    depths: NDArray[np.float32]
    dataset: str = ""
    target_normalizers: tuple[TargetNormalizer, ...] = ()

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
    depth_um: float | None = None,
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
    depth_um
        Depth of a stack that just fills the scale of depths; see `isl.data.depths.plane_depths`.
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
            samples += _load_fov(fov, roles, split, projection, cache, recipe, depth_um)
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
    depth_um: float | None,
) -> list[Sample]:
    part = split.fields[fov.name]
    channel = fov.channel(roles.source)
    depths = plane_depths(
        channel.planes, channel.z_positions, step_um=fov.voxel_size.z, depth_um=depth_um
    )
    samples = []
    for t in range(fov.size_t):
        what = f"{fov.path}: field {fov.name}, time point {t}"
        source = fov.read(roles.source, t=t)
        usable = usable_planes(source, f"{what}, channel '{roles.source}'")
        if not usable.all():
            blank = ", ".join(map(str, np.flatnonzero(~usable)))
            logger.warning("%s: left out planes %s of the source, which are blank", what, blank)
            source = source[usable]
        targets = _read_targets(fov, roles.targets, t, projection, what)
        normalizer = measure_source_array(source, f"{what}, channel '{roles.source}'", recipe)
        samples.append(
            Sample(
                fov=fov.name,
                t=t,
                source=cache.keep(source),
                normalizer=normalizer,
                targets=tuple(None if image is None else cache.keep(image) for image in targets),
                train=part.train,
                heldout=part.heldout,
                depths=depths[usable],
                dataset=fov.dataset or "",
            )
        )
    return samples


def _read_targets(
    fov: Fov, names: Sequence[str], t: int, projection: Projection, what: str
) -> list[NDArray[Any] | None]:
    """Targets of one time point; None for those that are not there or hold nothing to learn."""
    images: list[NDArray[Any] | None] = []
    blank = []
    for name in names:
        image = project(fov.read(name, t=t), projection) if name in fov.channel_names else None
        reason = None if image is None else _why_blank(image)
        if reason is not None:
            blank.append(f"all pixels of target '{name}' are {reason}")
        images.append(image if reason is None else None)
    if blank and all(image is None for image in images):
        raise BlankImageError(
            f"{what}: {'; '.join(blank)}; no target is left: leave this field out, for example by "
            "removing its files"
        )
    for reason in blank:
        logger.warning("%s: %s: it counts as not acquired here", what, reason)
    return images


def _why_blank(target: NDArray[Any]) -> str | None:
    """What all pixels of a target are; None where they differ."""
    finite = target[np.isfinite(target)] if target.dtype.kind == "f" else target
    if finite.size and finite.min() != finite.max():
        return None
    return "NaN" if finite.size == 0 else f"{finite.flat[0]:g}"


def normalize_targets(
    samples: Sequence[Sample],
    names: Sequence[str],
    recipe: Normalization = "standard",
    kept: Mapping[str, TargetNormalizer] | None = None,
) -> tuple[tuple[Sample, ...], tuple[TargetNormalizer, ...]]:
    """Measure how each target is brought to mean 0 and standard deviation 1.

    Each data set is measured by itself, on its training pixels, because detectors and stains
    differ.  Where a data set has none of a target, the unit of the others is taken.

    Parameters
    ----------
    samples
        The samples.
    names
        Of the targets.
    recipe
        Which range the network learns.
    kept
        Targets whose normalisers are known already, by name.

    Returns
    -------
    samples
        Samples that know their ``target_normalizers``.
    normalizers
        For each target the unit that predictions are given in: as kept, else that of the data set
        with most training pixels of it.

    Raises
    ------
    DataError
        Where a target was acquired in no training pixel, or where images of one target have
        several types and the recipe needs one.
    """
    kept = kept or {}
    found = [_measure_target(samples, i, name, recipe) for i, name in enumerate(names)]
    common = tuple(
        kept[name] if name in kept else _most_common(samples, i, name, units)
        for i, (name, units) in enumerate(zip(names, found, strict=True))
    )
    known = [{} if name in kept else units for name, units in zip(names, found, strict=True)]
    normalized = (
        replace(
            sample,
            target_normalizers=tuple(
                units.get(sample.dataset, unit) for units, unit in zip(known, common, strict=True)
            ),
        )
        for sample in samples
    )
    return tuple(normalized), common


def _most_common(
    samples: Sequence[Sample], index: int, name: str, units: Mapping[str, TargetNormalizer]
) -> TargetNormalizer:
    pixels = dict.fromkeys(units, 0)
    for sample in samples:
        if sample.targets[index] is not None and sample.dataset in units:
            pixels[sample.dataset] += sum(box.size for box in sample.train)
    if not pixels:
        raise DataError(
            f"target '{name}' was acquired in no training field; leave it out of --targets, or "
            "hold out other fields"
        )
    return units[max(pixels, key=lambda dataset: pixels[dataset])]


def _measure_target(
    samples: Sequence[Sample], index: int, name: str, recipe: Normalization
) -> dict[str, TargetNormalizer]:
    """Normaliser of a target in each data set that has training pixels of it."""
    dtypes = {target.dtype for s in samples if (target := s.targets[index]) is not None}
    if recipe == "full-range" and len(dtypes) > 1:
        raise DataError(
            f"target '{name}' is stored as {' and '.join(sorted(map(str, dtypes)))}; "
            "normalization full-range needs one type: convert the images, or use published"
        )
    sums: dict[str, NDArray[np.float64]] = {}
    for sample in samples:
        target = sample.targets[index]
        if target is None:
            continue
        for box in sample.train:
            values = target[box.slices].astype(np.float64)
            values = values[np.isfinite(values)]
            parts = np.array([values.size, values.sum(), (values**2).sum()])
            sums[sample.dataset] = sums.get(sample.dataset, np.zeros(3)) + parts
    return {
        dataset: _unit(parts, recipe, next(iter(dtypes)))
        for dataset, parts in sums.items()
        if parts[0]
    }


def _unit(
    parts: NDArray[np.float64], recipe: Normalization, dtype: np.dtype[Any]
) -> TargetNormalizer:
    """Normaliser from count, sum and sum of squares."""
    count, total, squares = map(float, parts)
    mean = total / count
    std = float(np.sqrt(max(squares / count - mean**2, 1e-12)))
    return target_normalizer(mean, std, recipe, dtype)
