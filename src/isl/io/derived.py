"""Fields of view whose channels are renamed, or computed from others while they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.errors import ChannelError
from isl.io.fov import Fov, PixelSource


@dataclass(frozen=True)
class _WithMeans:
    """Pixels of a field, and of further channels that are means of others."""

    pixels: PixelSource
    count: int
    parts: tuple[tuple[int, ...], ...]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Read a region; a mean has the type of its parts, integers rounded to even."""
        if channel < self.count:
            return self.pixels.read(channel, t, z, box)
        images = [self.pixels.read(i, t, z, box) for i in self.parts[channel - self.count]]
        mean = np.mean([image.astype(np.float64) for image in images], axis=0)
        dtype = images[0].dtype
        rounded: NDArray[Any] = np.rint(mean) if dtype.kind in "ui" else mean
        return rounded.astype(dtype)


def with_mean_channel(fov: Fov, name: str, parts: Sequence[str]) -> Fov:
    """Add a channel that is the mean of others; the same field where it lacks one of them.

    Parameters
    ----------
    fov
        The field.
    name
        Name of the new channel.
    parts
        Names of the channels that are averaged, of the same number of planes.

    Raises
    ------
    ChannelError
        Where the field has the new channel already, or the parts differ in planes.
    """
    if not set(parts) <= set(fov.channel_names):
        return fov
    if name in fov.channel_names:
        raise ChannelError(
            f"{fov.path}: field {fov.name} has a channel '{name}' already; name the mean otherwise"
        )
    channels = [fov.channel(part) for part in parts]
    if len({channel.planes for channel in channels}) > 1:
        planes = ", ".join(f"{c.name} {c.planes}" for c in channels)
        raise ChannelError(
            f"{fov.path}: field {fov.name}: a mean needs channels of as many planes, but these "
            f"have: {planes}; leave the mean out"
        )
    indices = tuple(fov.channel_index(part) for part in parts)
    count = len(fov.channels)
    mean = replace(channels[0], name=name, color=None)
    return replace(
        fov, channels=(*fov.channels, mean), pixels=_WithMeans(fov.pixels, count, (indices,))
    )


@dataclass(frozen=True)
class _Chosen:
    """Pixels of some channels of a field."""

    pixels: PixelSource
    indices: tuple[int, ...]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Read a region of a chosen channel."""
        return self.pixels.read(self.indices[channel], t, z, box)


def with_channels(fov: Fov, names: Mapping[str, str]) -> Fov:
    """Keep some channels alone, each under a new name.

    Parameters
    ----------
    fov
        The field.
    names
        For each channel to keep what it is called afterwards; in this order.

    Raises
    ------
    ChannelError
        Where the field lacks a channel.
    """
    indices = tuple(fov.channel_index(name) for name in names)
    channels = tuple(
        replace(fov.channels[index], name=new)
        for index, new in zip(indices, names.values(), strict=True)
    )
    return replace(fov, channels=channels, pixels=_Chosen(fov.pixels, indices))


def with_one_name(fov: Fov, names: Sequence[str], common: str) -> Fov:
    """Give the one channel that has any of several names a common one.

    Parameters
    ----------
    fov
        The field.
    names
        What the channel may be called.
    common
        What it is called afterwards.

    Raises
    ------
    ChannelError
        Where none or several of the names occur.
    """
    found = [name for name in fov.channel_names if name in names]
    if len(found) != 1:
        what = f"has {' and '.join(found)}" if found else "has none"
        raise ChannelError(
            f"{fov.path}: field {fov.name} {what} of {', '.join(names)}; each field needs exactly "
            f"one source; it has: {', '.join(fov.channel_names)}"
        )
    index = fov.channel_index(found[0])
    channels = list(fov.channels)
    channels[index] = replace(channels[index], name=common)
    return replace(fov, channels=tuple(channels))
