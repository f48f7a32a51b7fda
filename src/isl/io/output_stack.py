"""Writing of an OME-Zarr image with planes, time point by time point, and of labels below it.

A z-stack and images of a single plane share one T C Z Y X array, as OME-Zarr asks for: a single
plane is stored in the middle plane (``Z // 2``), and the others of its channel are 0 and take no
space. The largest value over the planes, or the middle one, is then the image itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ConfigError
from isl.core.threads import to_the_end
from isl.io.omezarr_groups import (
    image_attributes,
    multiscale,
    omero_channels,
    validated,
    write_group,
)
from isl.io.output_array import CHUNK_PX, as_dtype, half
from isl.io.output_fields import OutputField
from isl.io.output_pyramid import SMALLEST_PX

Shape5 = tuple[int, int, int, int, int]
Labels = NDArray[np.signedinteger[Any]]


class StackWriter:
    """Writes one image.

    Parameters
    ----------
    folder
        Group to make.
    field
        Sizes, channels and names.
    planes
        Planes of the array; those of the deepest channel.
    dtype
        Of the pixels; values are rounded and clipped where it holds integers.
    """

    def __init__(self, folder: Path, field: OutputField, planes: int, dtype: np.dtype[Any]) -> None:
        self._folder, self._field, self._dtype = folder, field, dtype
        self._planes = planes
        sizes = _level_sizes(field)
        self._levels = [
            to_the_end(
                _create,
                folder / str(i),
                (field.size_t, len(field.channels), planes, *size),
                dtype,
            )
            for i, size in enumerate(sizes)
        ]
        self._labels: dict[str, list[Any]] = {}
        self._shown: list[NDArray[Any]] = [np.zeros(1)] * len(field.channels)

    def write(self, t: int, channel: int, zyx: NDArray[Any]) -> None:
        """Write a channel of a time point: (planes, Y, X), or (1, Y, X) for the middle plane.

        Raises
        ------
        ConfigError
            Where the pixels have another shape.
        """
        size_yx = (self._field.size_y, self._field.size_x)
        if zyx.shape not in ((self._planes, *size_yx), (1, *size_yx)):
            raise ConfigError(
                f"field {self._field.name}: channel {self._field.channels[channel].name} has the "
                f"shape {zyx.shape}; give {self._planes} planes or 1, of {size_yx} pixels"
            )
        level = as_dtype(zyx, self._dtype)
        middle = self._planes // 2
        first = 0 if len(zyx) == self._planes else middle
        for index, array in enumerate(self._levels):
            if index:
                level = as_dtype(half(level), self._dtype)
            planes = slice(first, first + len(level))
            to_the_end(array.__setitem__, (t, channel, planes), level)
        self._shown[channel] = level

    def write_labels(self, t: int, name: str, yx: Labels) -> None:
        """Write labels (Y, X) of a time point; they are shown in every plane."""
        if name not in self._labels:
            self._labels[name] = [
                to_the_end(
                    _create_labels,
                    self._folder / "labels" / name / str(i),
                    (self._field.size_t, self._planes, *size),
                )
                for i, size in enumerate(_level_sizes(self._field))
            ]
        for index, array in enumerate(self._labels[name]):
            step = 2**index
            pixels = np.broadcast_to(yx[::step, ::step], array.shape[1:])
            to_the_end(array.__setitem__, t, pixels)

    def finish(
        self,
        own: Mapping[str, Any],
        properties: Mapping[str, list[dict[str, Any]]] | None = None,
        condition: str | None = None,
    ) -> None:
        """Write the metadata.

        Parameters
        ----------
        own
            Attributes of the image that belong to this package, below ``isl``.
        properties
            For each kind of labels what is known of each: ``{"label-value": 1, "class": "dead"}``.
        condition
            Experimental condition of the field.
        """
        field = self._field
        ome = image_attributes(
            field.name,
            field.voxel_size,
            len(self._levels),
            omero_channels(field.channels, self._shown),
        )
        origin = field.origin | ({} if condition is None else {"condition": condition})
        write_group(self._folder, {"ome": ome, "isl": {"field": origin, **own}})
        if self._labels:
            listed = validated("LabelsGroup", {"version": "0.5", "labels": list(self._labels)})
            write_group(self._folder / "labels", {"ome": listed})
        for name in self._labels:
            self._finish_labels(name, (properties or {}).get(name, []))

    def _finish_labels(self, name: str, known: list[dict[str, Any]]) -> None:
        levels = multiscale(name, self._field.voxel_size, len(self._levels), "tzyx", "nearest")
        label = {"version": "0.5", "source": {"image": "../../"}}
        metadata = {"version": "0.5", "multiscales": [levels], "image-label": label}
        image = validated("LabelImage", metadata)
        if known:  # the model knows the key alone, and would drop what is said about a label
            image["image-label"]["properties"] = known
        write_group(self._folder / "labels" / name, {"ome": image})


def _level_sizes(field: OutputField) -> list[tuple[int, int]]:
    """Rows and columns of each level, until the smaller is 256 or less."""
    sizes = [(field.size_y, field.size_x)]
    while min(sizes[-1]) > SMALLEST_PX:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def _create(folder: Path, shape: Shape5, dtype: np.dtype[Any]) -> Any:
    """Array whose planes can be read alone, in one file for each channel and part of the image."""
    import zarr

    yx = tuple(min(CHUNK_PX, n) for n in shape[3:])
    chunk, shard = (1, 1, 1, *yx), (1, 1, shape[2], *yx)
    return zarr.create_array(
        store=str(folder),
        shape=shape,
        dtype=dtype,
        chunks=chunk,
        shards=None if shard == chunk else shard,
        compressors=zarr.codecs.ZstdCodec(level=3),
        fill_value=0,
        dimension_names=list("tczyx"),
    )


def _create_labels(folder: Path, shape: tuple[int, int, int, int]) -> Any:
    import zarr

    return zarr.create_array(
        store=str(folder),
        shape=shape,
        dtype=np.dtype(np.int32),
        chunks=(1, shape[1], *(min(CHUNK_PX, n) for n in shape[2:])),
        compressors=zarr.codecs.ZstdCodec(level=3),
        fill_value=0,
        dimension_names=list("tzyx"),
    )
