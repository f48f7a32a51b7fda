"""Reader of OME-Zarr images and plates, versions 0.4 and 0.5, that loads chunks when needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import DamagedFileError, DataError, IslError
from isl.io.damage import naming_damage
from isl.io.fov import Channel, Fov
from isl.io.modality import guess_modality
from isl.io.omezarr_metadata import (
    METADATA_FILES,
    ImageMetadata,
    image_metadata,
    is_array,
    parse_model,
    read_attributes,
)
from isl.io.provenance import written_field
from isl.io.remote_path import as_path, is_address
from isl.io.remote_zarr import prefetch_groups, prefetch_images

_NOT_IMAGES = ("labels", "OME")


@dataclass(frozen=True)
class OmeZarrPixels:
    """Lazy access to the highest level of a multiscale image.

    Attributes
    ----------
    array
        The zarr array.
    axes
        Letters of its axes, a selection of ``tczyx`` in that order.
    path
        Folder of the array, for messages.
    """

    array: Any
    axes: str
    path: Path

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X); only the chunks that hold them are read.

        Raises
        ------
        DamagedFileError
            Where a chunk cannot be decoded.
        """
        planes, inverse = np.unique(np.asarray(z, dtype=int), return_inverse=True)
        at = {"t": t, "c": channel, "z": _contiguous(planes), "y": slice(box.y0, box.y1)}
        at["x"] = slice(box.x0, box.x1)
        with naming_damage(self.path, f"channel {channel}, time point {t} of a zarr array"):
            pixels = np.asarray(self.array.oindex[tuple(at[axis] for axis in self.axes)])
        zyx = pixels if "z" in self.axes else pixels[np.newaxis]
        return zyx if np.array_equal(inverse, np.arange(len(zyx))) else zyx[inverse]

    def chunk_rows(self, _channel: int) -> int:
        """Rows that are decoded together; see `isl.io.fov.ChunkedPixels`."""
        return int(self.array.chunks[self.axes.index("y")])


def is_omezarr(path: str | Path) -> bool:
    """Whether a folder should be opened by `open_omezarr`: it is zarr, or ends in ``.zarr``."""
    folder = as_path(path)
    return folder.is_dir() and (
        folder.suffix.lower() == ".zarr" or any((folder / n).is_file() for n in METADATA_FILES)
    )


def open_omezarr(
    path: str | Path, on_bad: Callable[[str, IslError], None] | None = None
) -> list[Fov]:
    """Open an image, a plate, or a group that holds images.

    Parameters
    ----------
    path
        Folder of an OME-Zarr 0.4 or 0.5 group.
    on_bad
        Called with the name of a field that cannot be opened and the error; the field is then
        left out. Without it the first such error is raised.

    Returns
    -------
    list of Fov
        In the order of the plate, else of the names. Wells and fields of a plate are named as
        ``"B/03"`` and ``"B/03/0"``, images in a plain group by their sub-path, a single image
        by its folder. Images that this package wrote keep the name of the field they came from.

    Raises
    ------
    DamagedFileError
        Where metadata or an array is missing, truncated or not valid.
    DataError
        Where the group holds no OME-Zarr image, or axes that this program does not know.

    Examples
    --------
    >>> [fov.name for fov in open_omezarr("plate.zarr")]    # doctest: +SKIP
    ['B/03/0', 'B/03/1']
    """
    root = as_path(path)
    fields: list[Fov] = []
    try:
        candidates = list(_candidates(root))
    except IslError as error:
        if on_bad is None:
            raise
        on_bad(_stem(root), error)
        return []
    for candidate in candidates:
        try:
            fields.append(_open_image(candidate))
        except IslError as error:
            if on_bad is None:
                raise
            on_bad(candidate.name, error)
    return fields


@dataclass(frozen=True)
class _Candidate:
    """An image that the metadata of the group, or its folders, announce."""

    name: str
    folder: Path
    well: str | None = None
    plate: str | None = None
    error: IslError | None = None


def _candidates(root: Path) -> Iterator[_Candidate]:
    """Find the images below a group."""
    if is_array(root):
        raise DataError(
            f"{root} is a bare zarr array without OME-Zarr metadata; open the group above it, or "
            "write it as OME-Zarr first"
        )
    attributes = read_attributes(root)
    if "plate" in attributes:
        yield from _plate_candidates(root, attributes["plate"])
    elif "multiscales" in attributes:
        yield _Candidate(_stem(root), root)
    else:
        listed = is_address(root) and "bioformats2raw.layout" in attributes
        found = list(_listed_series(root) if listed else _group_candidates(root, ""))
        if not found:
            raise DataError(
                f"{root} is zarr but holds no OME-Zarr image or plate (no 'multiscales' in its "
                "metadata); convert it to OME-Zarr 0.4 or 0.5"
            )
        yield from found


def _plate_candidates(root: Path, metadata: object) -> Iterator[_Candidate]:
    from yaozarrs import v05

    plate = parse_model(v05.PlateDef, metadata, root)
    plate_name = plate.name or _stem(root)
    prefetch_groups(root, [well.path for well in plate.wells])
    for well in plate.wells:
        try:
            attributes = read_attributes(root / well.path)
            images = parse_model(v05.WellDef, attributes.get("well"), root / well.path).images
        except IslError as error:
            yield _Candidate(well.path, root / well.path, well.path, plate_name, error)
            continue
        prefetch_images(root, [f"{well.path}/{image.path}" for image in images])
        for image in images:
            name = f"{well.path}/{image.path}"
            yield _Candidate(name, root / name, well.path, plate_name)


def _listed_series(root: Path) -> Iterator[_Candidate]:
    """Images that a collection lists, for addresses whose folders cannot be listed."""
    try:
        series = read_attributes(root / "OME").get("series")
    except DamagedFileError:
        series = None
    if not isinstance(series, list):
        numbers = takewhile(lambda n: is_omezarr(root / n), map(str, count()))
        series = list(numbers)
    prefetch_images(root, [str(place) for place in series])
    for place in series:
        yield _Candidate(str(place), root / str(place))


def _group_candidates(folder: Path, prefix: str) -> Iterator[_Candidate]:
    """Walk the sub-groups; a broken one is announced too, so that it is reported by name."""
    for child in sorted(folder.iterdir(), key=_natural):
        if not child.is_dir() or child.name in _NOT_IMAGES or child.name.startswith("."):
            continue
        name = f"{prefix}{child.name}"
        try:
            has_metadata = any((child / n).is_file() for n in METADATA_FILES)
            if has_metadata and is_array(child):
                continue
            if has_metadata and "multiscales" in read_attributes(child):
                yield _Candidate(name, child)
                continue
        except IslError as error:
            yield _Candidate(name, child, error=error)
            continue
        yield from _group_candidates(child, f"{name}/")


def _open_image(candidate: _Candidate) -> Fov:
    if candidate.error is not None:
        raise candidate.error
    attributes = read_attributes(candidate.folder)
    if "multiscales" not in attributes:
        raise DamagedFileError(
            f"{candidate.folder} has no 'multiscales' metadata, though field {candidate.name} "
            "should be there; write the file again"
        )
    metadata = image_metadata(attributes, candidate.folder)
    pixels = _open_pixels(candidate.folder, metadata)
    sizes = dict(zip(metadata.axes, pixels.array.shape, strict=True))
    written = _written_field(attributes)
    return Fov(
        name=written.get("name", candidate.name),
        path=candidate.folder,
        channels=_channels(metadata, sizes, pixels),
        size_t=sizes.get("t", 1),
        size_y=sizes["y"],
        size_x=sizes["x"],
        voxel_size=metadata.voxel_size,
        pixels=pixels,
        well=written.get("well", candidate.well),
        plate=written.get("plate", candidate.plate),
        condition=written.get("condition"),
    )


def _open_pixels(folder: Path, metadata: ImageMetadata) -> OmeZarrPixels:
    from isl.io.omezarr_store import open_checked_array

    path = folder / metadata.array_path
    if not any((path / name).is_file() for name in ("zarr.json", ".zarray")):
        raise DamagedFileError(
            f"{path}: the metadata of {folder.name} announces an array there, but there is none; "
            "copy the folder again or leave this field out"
        )
    with naming_damage(path, "a zarr array"):
        array = open_checked_array(path)
    if array.ndim != len(metadata.axes):
        raise DamagedFileError(
            f"{path}: the metadata lists the axes {' '.join(metadata.axes)}, but the array has "
            f"{array.ndim} axes; write the file again"
        )
    return OmeZarrPixels(array, metadata.axes, path)


def _channels(
    metadata: ImageMetadata, sizes: dict[str, int], pixels: OmeZarrPixels
) -> tuple[Channel, ...]:
    count = sizes.get("c", 1)
    listed = metadata.channels or ((None, None),) * count
    if len(listed) != count:
        raise DamagedFileError(
            f"{pixels.path}: the omero metadata names {len(listed)} channels, but the array has "
            f"{count}; correct the metadata"
        )
    names = [name or f"channel {i}" for i, (name, _) in enumerate(listed)]
    return tuple(
        Channel(name, sizes.get("z", 1), pixels.array.dtype, guess_modality(name), color)
        for name, (_, color) in zip(names, listed, strict=True)
    )


def _written_field(attributes: dict[str, Any]) -> dict[str, str]:
    """What this package noted about the field when it wrote the image."""
    own = attributes.get("isl")
    return written_field(own if isinstance(own, dict) else {})


def _contiguous(planes: NDArray[Any]) -> slice | NDArray[Any]:
    """The planes as a slice where possible, which zarr reads faster."""
    first, last = int(planes[0]), int(planes[-1])
    return slice(first, last + 1) if last - first + 1 == len(planes) else planes


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that puts ``2`` before ``10``, and numbers before words."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def _stem(folder: Path) -> str:
    name = folder.resolve().name
    for ending in (".ome.zarr", ".zarr"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
