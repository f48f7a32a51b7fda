"""Formats of microscope makers (ND2, CZI, LIF) through bioio, an optional dependency."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.errors import DamagedFileError, DataError
from isl.core.extras import require
from isl.io.damage import naming_damage
from isl.io.fov import Channel, Fov, Modality
from isl.io.modality import guess_modality, modality_of_metadata

BIOIO_SUFFIXES = frozenset({".nd2", ".czi", ".lif"})
"""Endings of files that are opened by this module when they are met in a folder."""


@dataclass(frozen=True)
class BioioPixels:
    """Pixels of one scene of a file that bioio reads.

    Attributes
    ----------
    path
        File.
    scene
        Which of its scenes.
    """

    path: Path
    scene: int

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X); see `isl.io.fov.PixelSource`.

        Raises
        ------
        DamagedFileError
            Where the file cannot be decoded.
        """
        with naming_damage(self.path, "a microscope file"):
            stat = os.stat(self.path)
            tczyx = _lazy_pixels(self.path, self.scene, stat.st_mtime_ns)
            region = tczyx[t, channel][(list(z), *box.slices)]
            return np.asarray(region.compute(scheduler="synchronous"))


def open_with_bioio(path: Path) -> list[Fov]:
    """Open a file by whatever bioio plugin reads it.

    Parameters
    ----------
    path
        For example an ND2, CZI or LIF file.

    Returns
    -------
    list of Fov
        One for each scene (position), named by the file, and by the scene where there are several.

    Raises
    ------
    MissingExtraError
        Where bioio is not installed.
    DamagedFileError
        Where no plugin can read the file.
    """
    with naming_damage(path, "a microscope file"):
        image = _image(path)
        scenes = list(image.scenes)
        return [_fov(path, image, index, len(scenes) > 1) for index in range(len(scenes))]


def _image(path: Path) -> Any:
    bioio = require("bioio", "formats", f"{path}: reading {path.suffix or 'this'} files")
    exceptions = require("bioio_base.exceptions", "formats", f"{path}: reading it")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; check the path")
    try:
        with _quiet_bioio():
            return bioio.BioImage(path)
    except exceptions.UnsupportedFileFormatError as error:
        raise DamagedFileError(
            f"{path}: no reader takes this file: it is truncated, damaged or of another format "
            "than its name says; copy it again from its source, or export it as OME-TIFF"
        ) from error


@contextmanager
def _quiet_bioio() -> Iterator[None]:
    """Let bioio not warn of each of its readers that fails: all of them together are one error."""
    logger = logging.getLogger("bioio")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@lru_cache(maxsize=16)
def _lazy_pixels(path: Path, scene: int, _mtime_ns: int) -> Any:
    image = _image(path)
    image.set_scene(scene)
    return image.get_image_dask_data("TCZYX")


def _fov(path: Path, image: Any, scene: int, several: bool) -> Fov:
    image.set_scene(scene)
    if "S" in image.dims.order and image.dims.S > 1:
        raise DataError(f"{path}: this is a colour image; save each channel as a grey image")
    sizes = image.physical_pixel_sizes
    name = f"{path.stem}/{image.current_scene}" if several else path.stem
    return Fov(
        name=name,
        path=path,
        channels=_channels(image, scene),
        size_t=image.dims.T,
        size_y=image.dims.Y,
        size_x=image.dims.X,
        voxel_size=VoxelSize(sizes.Z or None, sizes.Y or None, sizes.X or None),
        pixels=BioioPixels(path, scene),
    )


def _channels(image: Any, scene: int) -> tuple[Channel, ...]:
    names = [str(n) for n in image.channel_names or []]
    names += [f"channel {i + 1}" for i in range(len(names), image.dims.C)]
    described = _ome_channels(image, scene)
    if len(described) != len(names):
        described = [(None, None)] * len(names)
    return tuple(
        Channel(n, image.dims.Z, np.dtype(image.dtype), guess_modality(n, modality), color)
        for n, (modality, color) in zip(names, described, strict=True)
    )


def _ome_channels(image: Any, scene: int) -> list[tuple[Modality | None, str | None]]:
    """Modality and colour of each channel; nothing where the plugin has no OME metadata."""
    try:
        channels = image.ome_metadata.images[scene].pixels.channels
    except Exception:  # metadata is a bonus here, and plugins fail in many ways without it
        return []
    emissions = [c.emission_wavelength for c in channels]
    return [
        (
            modality_of_metadata(
                contrast=_text(c.contrast_method),
                illumination=_text(c.illumination_type),
                emission_nm=c.emission_wavelength,
                excitation_nm=c.excitation_wavelength,
                others_emit=any(emissions),
            ),
            _hex(c.color),
        )
        for c in channels
    ]


def _text(value: Any) -> str | None:
    return None if value is None else str(getattr(value, "value", value))


def _hex(color: Any) -> str | None:
    if color is None:
        return None
    red, green, blue = color.as_rgb_tuple(alpha=False)
    return f"{red:02X}{green:02X}{blue:02X}"
