"""Assemble fields of view from single-plane images, with every check that names can give."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from isl.core.axes import VoxelSize
from isl.core.errors import DataError, DuplicateImageError, ImageSizeError, MissingPlaneError
from isl.io.fov import Channel, Fov, Modality
from isl.io.modality import guess_modality
from isl.io.plane_files import ImageHeader, PlaneFiles, PlaneRef, read_header

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlaneImage:
    """What is known of one image file before it is opened.

    Attributes
    ----------
    path
        PNG or TIFF file.
    fov, channel
        Names.
    z, t
        Indices as written; None where nothing is written.
    well, plate, condition, donor, modality
        As far as known.
    plane
        Which plane of the file.
    """

    path: Path
    fov: str
    channel: str
    z: int | None = None
    t: int | None = None
    well: str | None = None
    condition: str | None = None
    modality: Modality | None = None
    plane: int = 0
    plate: str | None = None
    donor: str | None = None


def build_field(
    name: str, path: Path, images: Sequence[PlaneImage], voxel_size: VoxelSize | None = None
) -> Fov:
    """Make a field of view of its images.

    Parameters
    ----------
    name
        Name of the field.
    path
        Folder or table, for messages.
    images
        All images of the field.
    voxel_size
        Where it is known from elsewhere; else that of the files.

    Returns
    -------
    Fov
        Nothing is decoded yet. Where plane numbers of a channel have a gap, its ``z_positions`` are
        the numbers that there are.

    Raises
    ------
    MissingPlaneError
        Where a time point lacks a plane that others have, or is missing itself.
    DuplicateImageError
        Where two files claim the same plane.
    ImageSizeError
        Where images differ in size.
    DamagedFileError
        Where the head of a file cannot be read.
    DataError
        Where images of a channel differ in dtype.
    """
    headers = {image.path: read_header(image.path) for image in images}
    _check_sizes(name, headers)
    images = [plane for image in images for plane in _unstack(image, headers[image.path].planes)]
    origin = _origin(images)
    by_channel = {
        channel: list(group)
        for channel, group in groupby(sorted(images, key=_order), key=lambda i: i.channel)
    }
    refs: dict[tuple[int, int, int], PlaneRef] = {}
    channels = []
    for index, group in enumerate(by_channel.values()):
        stack = _stack(path, name, group, origin)
        numbers = sorted({z for _, z in stack})
        for (t, z), image in stack.items():
            refs[index, t, numbers.index(z)] = PlaneRef(image.path, image.plane)
        channels.append(_channel(group, headers, numbers))
    first = headers[images[0].path]
    return Fov(
        name=name,
        path=path,
        channels=tuple(channels),
        size_t=_size_t(path, name, refs, channels),
        size_y=first.size_y,
        size_x=first.size_x,
        voxel_size=voxel_size or first.voxel_size,
        pixels=PlaneFiles(refs),
        well=_only(i.well for i in images),
        plate=_only(i.plate for i in images),
        donor=_only(i.donor for i in images),
        condition=_only(i.condition for i in images),
    )


def _order(image: PlaneImage) -> tuple[str, int, int]:
    return image.channel, image.t or 0, image.z or 0


def _only(values: Iterable[str | None]) -> str | None:
    found = {v for v in values if v is not None}
    return found.pop() if len(found) == 1 else None


def _unstack(image: PlaneImage, planes: int) -> list[PlaneImage]:
    """One image for each plane of a file that holds a z-stack."""
    if planes == 1:
        return [image]
    if image.z is not None:
        raise DataError(
            f"{image.path}: the name says plane {image.z}, but the file holds {planes} planes; "
            "keep one plane a file, or leave z out of the name"
        )
    return [replace(image, z=z, plane=z) for z in range(planes)]


def _origin(images: Sequence[PlaneImage]) -> tuple[int, int]:
    """First time point and plane: planes may be numbered from 0 or 1, times from any number."""
    t0 = min((i.t for i in images if i.t is not None), default=0)
    z0 = min((i.z for i in images if i.z is not None), default=0)
    return t0, min(z0, 1)


def _stack(
    path: Path, name: str, images: list[PlaneImage], origin: tuple[int, int]
) -> dict[tuple[int, int], PlaneImage]:
    """Image of each (t, z) of one channel, after the checks for doubles and gaps.

    All time points lack the same planes, or the stack could not be read as one array.
    """
    t0, z0 = origin
    found: dict[tuple[int, int], PlaneImage] = {}
    for image in images:
        key = (0 if image.t is None else image.t - t0, 0 if image.z is None else image.z - z0)
        if key in found:
            raise DuplicateImageError(
                f"{path}: field {name}, channel {image.channel}, plane {key[1] + z0}, "
                f"time {key[0] + t0} is claimed by two files: {found[key].path} and {image.path}; "
                "remove one of them"
            )
        found[key] = image
    numbers = sorted({z for _, z in found})
    size_t = max(t for t, _ in found) + 1
    missing = [(t, z) for t in range(size_t) for z in numbers if (t, z) not in found]
    if missing:
        when = missing[0][0]
        listed = ", ".join(str(z + z0) for t, z in missing[:8] if t == when)
        raise MissingPlaneError(
            f"{path}: field {name}, channel {images[0].channel} lacks plane {listed} at time "
            f"{when + t0}, which other time points have; add the file, or remove this plane, or "
            "this time point, throughout"
        )
    if len(numbers) < numbers[-1] - numbers[0] + 1:
        gaps = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
        listed = ", ".join(str(z + z0) for z in gaps)
        _log.info(
            "%s: field %s, channel %s lacks plane %s; the others keep their places",
            *(path, name, images[0].channel, listed),
        )
    return found


def _check_sizes(name: str, headers: dict[Path, ImageHeader]) -> None:
    (first, expected), *others = headers.items()
    for path, header in others:
        if (header.size_y, header.size_x) != (expected.size_y, expected.size_x):
            raise ImageSizeError(
                f"images of field {name} differ in size: {first} is {expected.size_x} x "
                f"{expected.size_y} pixels (width x height) and {path} is {header.size_x} x "
                f"{header.size_y}; crop or resample them to one size, or name the fields apart"
            )


def _channel(
    images: list[PlaneImage], headers: dict[Path, ImageHeader], numbers: Sequence[int]
) -> Channel:
    first = images[0]
    dtype = headers[first.path].dtype
    for image in images:
        if headers[image.path].dtype != dtype:
            raise DataError(
                f"channel {first.channel} mixes dtypes: {first.path} is {dtype} and {image.path} "
                f"is {headers[image.path].dtype}; save both with the same bit depth"
            )
    modality = first.modality or guess_modality(first.channel)
    has_gap = len(numbers) < numbers[-1] - numbers[0] + 1
    return Channel(
        first.channel,
        len(numbers),
        dtype,
        modality,
        z_positions=tuple(map(float, numbers)) if has_gap else None,
    )


def _size_t(
    path: Path,
    name: str,
    refs: dict[tuple[int, int, int], PlaneRef],
    channels: Sequence[Channel],
) -> int:
    lengths = [max(t for c, t, _ in refs if c == index) + 1 for index in range(len(channels))]
    if len(set(lengths)) > 1:
        listed = ", ".join(f"{c.name} {n}" for c, n in zip(channels, lengths, strict=True))
        raise MissingPlaneError(
            f"{path}: channels of field {name} differ in their number of time points ({listed}); "
            "add the missing files, or leave out the time points that not all channels have"
        )
    return lengths[0]
