"""A field of view: what was imaged, and lazy access to its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.errors import ChannelError

Modality = Literal["brightfield", "phase", "dic", "qpi", "fluorescence", "labels"]
"""How a channel was imaged, as far as the file or its name says."""


class PixelSource(Protocol):
    """What a reader provides: a region of one channel at one time point."""

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X) in the dtype of the file.

        Parameters
        ----------
        channel
            Index into the channels of the field.
        t
            Time point.
        z
            Planes of that channel, each in ``range(channels[channel].planes)``.
        box
            Region, inside the image.
        """
        ...


@runtime_checkable
class ChunkedPixels(Protocol):
    """What a reader may tell: how pixels lie in the file, so that none is decoded twice."""

    def chunk_rows(self, channel: int) -> int:
        """Rows of a channel that are decoded together: those of a chunk, tile or strip."""
        ...


@dataclass(frozen=True)
class Channel:
    """One channel of a field of view.

    Attributes
    ----------
    name
        Name given by the file, or derived from file names.
    planes
        Number of z planes; a max projection beside a z-stack has one.
    dtype
        NumPy dtype of the pixels.
    modality
        How it was imaged; None where neither the file nor the name says.
    color
        Display colour as six hexadecimal digits, for example ``"00FF00"``; None where unknown.
    z_positions
        Where the planes are, increasing, in units of the step in z: ``(0, 1, 3)`` where plane 2 is
        missing. None where they are evenly spaced.
    """

    name: str
    planes: int
    dtype: np.dtype[Any]
    modality: Modality | None = None
    color: str | None = None
    z_positions: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Fov:
    """A field of view with its channels; reading pixels is left to the moment they are needed.

    Attributes
    ----------
    name
        ``"B/03/0"`` in a plate, else a name that is unique among the fields opened together.
    path
        File or folder it comes from, for messages.
    channels
        In the order of the file.
    size_t, size_y, size_x
        Time points, rows and columns; the same for all channels.
    voxel_size
        In micrometres.
    pixels
        The reader's access to the pixels.
    well, plate, condition, donor, dataset
        Where it belongs, as far as known: ``"B/03"``, name of the plate, experimental condition,
        donor of the cells, data set of a run that learns from several.

    Examples
    --------
    >>> fov = isl.open_fovs("plate.zarr")[0]                          # doctest: +SKIP
    >>> fov.read("PHASE_CONTRAST", box=Box(0, 64, 0, 64)).shape       # doctest: +SKIP
    (13, 64, 64)
    """

    name: str
    path: Path
    channels: tuple[Channel, ...]
    size_t: int
    size_y: int
    size_x: int
    voxel_size: VoxelSize
    pixels: PixelSource
    well: str | None = None
    plate: str | None = None
    condition: str | None = None
    donor: str | None = None
    dataset: str | None = None

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Lengths of T, C, Z, Y, X; Z is that of the deepest channel."""
        size_z = max((c.planes for c in self.channels), default=0)
        return self.size_t, len(self.channels), size_z, self.size_y, self.size_x

    @property
    def box(self) -> Box:
        """Box that covers the whole image."""
        return Box.of((self.size_y, self.size_x))

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(c.name for c in self.channels)

    def channel_index(self, name: str) -> int:
        """Position of the channel called ``name``.

        Raises
        ------
        ChannelError
            Where no channel, or more than one, has that name.
        """
        hits = [i for i, c in enumerate(self.channels) if c.name == name]
        if len(hits) == 1:
            return hits[0]
        found = ", ".join(self.channel_names)
        what = f"has {len(hits)} channels named" if hits else "has no channel"
        remedy = "rename them in the file, each differently" if hits else "name one of these"
        raise ChannelError(
            f"{self.path}: field {self.name} {what} '{name}'; it has: {found}; {remedy}"
        )

    def channel(self, name: str) -> Channel:
        """Channel called ``name``; raises as `channel_index` does."""
        return self.channels[self.channel_index(name)]

    def read(
        self, channel: str, *, t: int = 0, z: Sequence[int] | None = None, box: Box | None = None
    ) -> NDArray[Any]:
        """Read a region of one channel at one time point.

        Parameters
        ----------
        channel
            Name of the channel.
        t
            Time point.
        z
            Planes to read; all of them by default.
        box
            Region to read, inside the image; the whole image by default.

        Returns
        -------
        ndarray
            (Z, Y, X) in the dtype of the file.

        Raises
        ------
        ChannelError
            Where the channel is unknown or double.
        DamagedFileError
            Where the file cannot be decoded.
        """
        index = self.channel_index(channel)
        planes = range(self.channels[index].planes) if z is None else z
        return self.pixels.read(index, t, planes, self.box if box is None else box)

    def chunk_rows(self, channel: str) -> int:
        """Rows of a channel that are decoded together, as far as the reader knows; else 1."""
        index = self.channel_index(channel)
        rows = self.pixels.chunk_rows(index) if isinstance(self.pixels, ChunkedPixels) else 1
        return min(rows, self.size_y)

    def renamed(self, name: str) -> Fov:
        """The same field under another name."""
        return replace(self, name=name)
