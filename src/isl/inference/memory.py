"""How much memory a run may take, and what tiles follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from isl.core.errors import ConfigError
from isl.models.density import DensityNetwork
from isl.models.labeling import LabelingNetwork

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)
_CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)

PROCESS_BYTES = 450_000_000
"""What a process holds beside the tiles: libraries, weights, open files."""

MOST_BAND_PX = 1 << 20
"""Larger bands are up to a tenth faster, but their memory would grow from small images to large."""

HELD_SHARE = 1 / 8
"""Share of the memory for sources that are held from being measured until they are used."""

WRITTEN_BYTES = 12
"""Of a pixel and image that is written: one filled, one that waits, one being written."""

_LEAST_BAND_PX = 1 << 14
_MOST_STRIP_PX = 4096
_STRIP_UNIT_PX = 64
_TILE_UNIT_PX = 256


def parse_bytes(text: str | float) -> int:
    """Read an amount of memory.

    Parameters
    ----------
    text
        ``"2GB"``, ``"500 MB"``, ``"1.5GiB"`` or a number of bytes.

    Raises
    ------
    ConfigError
        Where it is no amount, or zero.

    Examples
    --------
    >>> parse_bytes("2GB"), parse_bytes("1KiB")
    (2000000000, 1024)
    """
    match = _SIZE.fullmatch(str(text))
    size = 0
    if match is not None:
        unit = _UNITS[match[2].upper()]
        if match[3] and match[2]:
            unit = 1024 ** (" KMGT".index(match[2].upper()))
        size = int(float(match[1]) * unit)
    if size <= 0:
        raise ConfigError(f"memory '{text}' is no amount; write for example 2GB or 500MB")
    return size


def available_bytes(device: torch.device | None = None) -> int:
    """Memory that is free now: of the machine, of the container, or of a GPU, the least of them.

    Parameters
    ----------
    device
        Where the network runs; only that of an NVIDIA GPU has a memory that counts by itself.
    """
    free = int(psutil.virtual_memory().available)
    for limit_file, used_file in _CGROUP_FILES:
        try:
            limit, used = Path(limit_file).read_text("utf-8"), Path(used_file).read_text("utf-8")
            free = min(free, max(int(limit) - int(used), 0))
        except (OSError, ValueError):
            continue
    if device is not None and device.type == "cuda":
        free = min(free, int(torch.cuda.mem_get_info(device)[0]))
    return free


def default_bytes(device: torch.device | None = None) -> int:
    """Memory that a run takes where it is not told: half of what is free now."""
    return available_bytes(device) // 2


@dataclass(frozen=True)
class Sides:
    """How large the pieces are in which images pass through a network.

    Attributes
    ----------
    band_px
        Most pixels of a band, see `isl.inference.engine.Engine`.
    side_yx
        Most rows and columns of a tile, in pixels of the model; the rows of a network that works
        in bands do not count.
    """

    band_px: int
    side_yx: tuple[int, int]

    def half(self, stride: int) -> Sides:
        """Half as many pixels at a time.

        Raises
        ------
        MemoryError
            Where a tile would be smaller than the stride of the network.
        """
        rows, columns = self.side_yx
        if rows * columns > self.band_px // 2:
            rows, columns = (rows // 2, columns) if rows > columns else (rows, columns // 2)
        if min(rows, columns) < stride:
            raise MemoryError("there is not enough memory for the smallest tile")
        return Sides(self.band_px // 2, (rows, columns))


def sides_for(
    network: LabelingNetwork, planes: int, nbytes: int, in_bands: bool, channels: int = 1
) -> Sides:
    """Choose tiles that a network can predict in some memory.

    Parameters
    ----------
    network
        The network.
    planes
        Of the source.
    nbytes
        Memory for the whole process.
    in_bands
        Whether tiles are predicted in bands of rows, not at once.
    channels
        Images that are written.

    Raises
    ------
    ConfigError
        Where the memory is not enough for the smallest tile.
    """
    per_pixel = network.bytes_per_pixel(planes) + WRITTEN_BYTES * channels
    most = int((nbytes * (1.0 - HELD_SHARE) - PROCESS_BYTES) / per_pixel)
    margin = 0 if any(network.lost_px) else 2 * network.margin_px
    if most < _LEAST_BAND_PX:
        least = (PROCESS_BYTES + _LEAST_BAND_PX * per_pixel) / (1.0 - HELD_SHARE)
        raise ConfigError(
            f"{nbytes / 1e6:.0f} MB of memory are not enough to predict with this model; it needs "
            f"{least / 1e6:.0f} MB or more (--memory)"
        )
    band_px = min(most, MOST_BAND_PX)
    strip = _strip_width(network, band_px, margin) if in_bands else 0
    if strip >= max(margin // 2, _STRIP_UNIT_PX):
        return Sides(band_px, (_MOST_STRIP_PX, min(strip, _MOST_STRIP_PX)))
    side = _tile_side(most, margin)
    return Sides(max(most, (side + margin) ** 2), (side, side))


def _strip_width(network: LabelingNetwork, band_px: int, margin: int) -> int:
    """Width at which least is computed twice, in steps that storage likes.

    A strip repeats the margin of its neighbours, and each band what its stages reach above it; of
    a strip and band of so many pixels, the one grows as the other becomes less.
    """
    reach = network.reach_px if isinstance(network, DensityNetwork) else network.margin_px
    width = (band_px * margin / (2.0 * reach)) ** 0.5 if reach else _MOST_STRIP_PX + margin
    return int(width - margin) // _STRIP_UNIT_PX * _STRIP_UNIT_PX


def _tile_side(most_px: int, margin: int) -> int:
    return max((int(most_px**0.5) - margin) // _TILE_UNIT_PX, 1) * _TILE_UNIT_PX
