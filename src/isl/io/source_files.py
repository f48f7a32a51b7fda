"""Which files hold the pixels of a channel."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from isl.io.fov import Fov
from isl.io.omezarr import OmeZarrPixels
from isl.io.plane_files import PlaneFiles
from isl.io.tiff import TiffPixels, files_of


def source_files(fov: Fov, channel: str) -> tuple[Path, ...]:
    """Files that hold one channel when it is complete, and the metadata that they need.

    Parameters
    ----------
    fov
        The field.
    channel
        Name of the channel.

    Returns
    -------
    tuple of Path
        In order, whether they exist or not; the path of the field where its reader does not tell.
    """
    index, pixels = fov.channel_index(channel), fov.pixels
    if isinstance(pixels, PlaneFiles):
        found = {ref.path for (of, _, _), ref in pixels.planes.items() if of == index}
        return tuple(sorted(found))
    if isinstance(pixels, TiffPixels):
        return tuple(sorted(files_of(pixels.path)))
    if isinstance(pixels, OmeZarrPixels):
        return _zarr_files(pixels, index)
    return (fov.path,)


def _zarr_files(pixels: OmeZarrPixels, channel: int) -> tuple[Path, ...]:
    """Metadata, and chunks or shards, of one channel of an OME-Zarr image."""
    array = pixels.array
    sides = array.shards or array.chunks
    counts = [-(-length // side) for length, side in zip(array.shape, sides, strict=True)]
    ranges = [
        (channel // side,) if axis == "c" else range(count)
        for axis, side, count in zip(pixels.axes, sides, counts, strict=True)
    ]
    chunks = [pixels.path / array.metadata.encode_chunk_key(at) for at in product(*ranges)]
    heads = [pixels.path / name for name in ("zarr.json", ".zarray")]
    return (*(head for head in heads if head.is_file()), *chunks)
