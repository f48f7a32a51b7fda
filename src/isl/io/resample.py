"""Bring images to another voxel size in y and x, region by region.

Positions are those of pixel centres, ``(index + 0.5) * voxel size``, counted from the upper left
corner of the image.  Every pixel of the result is a weighted sum of the few pixels around it: where
the result is finer, cubic or linear interpolation; where it is coarser, the same kernel stretched,
which leaves out what the coarser pixels cannot hold.  Beyond its border the image is mirrored.  The
weights depend on the position alone, so that a region comes out as it does with the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from isl.core.axes import Box, VoxelSize
from isl.core.errors import VoxelSizeError
from isl.io.fov import ChunkedPixels, Fov, PixelSource

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Method = Literal["cubic", "linear", "nearest"]
"""Cubic keeps contrast; linear stays within the values around; nearest makes no new values."""

SAME_VOXEL_SIZE = 0.02
"""Voxel sizes that differ by no more than this share are taken for the same."""

MOST_FACTOR = 8.0
"""Largest change of the voxel size."""

_LEAST_WEIGHT = 1e-7
_LEAST_ROWS = 256


@dataclass(frozen=True)
class AxisResampling:
    """How one axis is resampled.

    Attributes
    ----------
    size
        Pixels of the image.
    ratio
        Pixels of the image per pixel of the result.
    result_size
        Pixels of the result.
    """

    size: int
    ratio: float
    result_size: int

    @classmethod
    def by(cls, size: int, ratio: float) -> AxisResampling:
        """Resample ``size`` pixels, to the nearest whole number of pixels and at least one."""
        return cls(size, ratio, max(1, int(np.floor(size / ratio + 0.5))))

    @property
    def inverse(self) -> AxisResampling:
        """From the result to the image."""
        return AxisResampling(self.result_size, 1.0 / self.ratio, self.size)

    def weights(self, start: int, stop: int, method: Method) -> tuple[int, csr_array]:
        """Weights of the pixels of the image in those of the result.

        Parameters
        ----------
        start, stop
            Pixels of the result, at least one.
        method
            How to interpolate.

        Returns
        -------
        tuple of int and csr_array
            The first pixel of the image that counts, and (stop - start, n) float32, the weights of
            n pixels from there on; each row adds up to 1.
        """
        from scipy.sparse import csr_array  # images that fit a model do not wait for its import

        center = (np.arange(start, stop) + 0.5) * self.ratio - 0.5
        if method == "nearest":
            index = np.floor(center + 0.5).astype(np.int64)[:, None]
            weight = np.ones(index.shape)
        else:
            kernel, radius = _KERNELS[method]
            stretch = max(self.ratio, 1.0)
            reach = int(np.ceil(radius * stretch))
            index = np.floor(center).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
            weight = kernel(np.abs(index - center[:, None]) / stretch)
            weight /= weight.sum(axis=1, keepdims=True)
        rows, taps = np.nonzero(np.abs(weight) > _LEAST_WEIGHT)
        columns = _mirrored(index[rows, taps], self.size)
        first = int(columns.min())
        shape = (stop - start, int(columns.max()) + 1 - first)
        kept = weight[rows, taps].astype(np.float32)
        return first, csr_array((kept, (rows, columns - first)), shape=shape)


@dataclass(frozen=True)
class Resampling:
    """How an image is resampled in y and x.

    Attributes
    ----------
    y, x
        Its axes.

    Examples
    --------
    >>> coarser = Resampling.by((100, 101), (2.0, 2.0))
    >>> coarser.result_yx, coarser.inverse.result_yx
    ((50, 51), (100, 101))
    """

    y: AxisResampling
    x: AxisResampling

    @classmethod
    def by(cls, shape_yx: tuple[int, int], ratio_yx: tuple[float, float]) -> Resampling:
        """Resample an image of some rows and columns.

        Parameters
        ----------
        shape_yx
            Rows and columns of the image.
        ratio_yx
            Pixels of the image per pixel of the result.
        """
        axes = zip(shape_yx, ratio_yx, strict=True)
        return cls(*(AxisResampling.by(size, ratio) for size, ratio in axes))

    @property
    def result_yx(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        return self.y.result_size, self.x.result_size

    @property
    def inverse(self) -> Resampling:
        """From the result to the image."""
        return Resampling(self.y.inverse, self.x.inverse)

    def needed(self, box: Box, method: Method) -> Box:
        """Pixels of the image that a box of the result, of at least one pixel, is made of."""
        y0, rows = self.y.weights(box.y0, box.y1, method)
        x0, columns = self.x.weights(box.x0, box.x1, method)
        return Box(y0, y0 + rows.shape[1], x0, x0 + columns.shape[1])

    def apply(self, image: NDArray[Any], box: Box, method: Method) -> NDArray[Any]:
        """Resample a region.

        Parameters
        ----------
        image
            (..., Y, X), the pixels of ``needed(box, method)``.
        box
            Pixels of the result.
        method
            How to interpolate.

        Returns
        -------
        ndarray
            (..., y, x) of the box, float32; in the dtype of the image where it is the nearest
            pixel. NaN where a pixel that counts is NaN.
        """
        rows = self.y.weights(box.y0, box.y1, method)[1]
        columns = self.x.weights(box.x0, box.x1, method)[1]
        if method == "nearest":
            return image[..., rows.indices[:, None], columns.indices]
        result = np.empty((*image.shape[:-2], *box.shape), np.float32)
        for index in np.ndindex(image.shape[:-2]):
            plane = image[index].astype(np.float32)
            # The order that has fewer pixels in between, as a transposition costs most.
            if self.x.ratio < 1.0:
                result[index] = rows @ _along_x(columns, plane)
            else:
                result[index] = _along_x(columns, rows @ plane)
        return result


def _along_x(weights: csr_array, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray((weights @ np.ascontiguousarray(plane.T)).T)


def same_voxel_size(voxel_size: VoxelSize, other: VoxelSize) -> bool:
    """Whether two voxel sizes agree in y and x, as far as both are known."""
    return voxel_size.relative_difference(other) <= SAME_VOXEL_SIZE


def resampled(fov: Fov, voxel_size: VoxelSize) -> Fov:
    """Show a field at another voxel size in y and x; nothing is read yet.

    Parameters
    ----------
    fov
        The field.
    voxel_size
        Voxel size wanted; its z does not count.

    Returns
    -------
    Fov
        The same field where the voxel sizes agree to 2 % or are not known. Else a field whose
        pixels are float32, resampled as they are read; NaN (not acquired) stays NaN and spreads to
        the pixels that it would influence. Labels keep their dtype and take the nearest pixel.

    Raises
    ------
    VoxelSizeError
        Where an axis changes by a factor of more than 8.

    Examples
    --------
    >>> from isl.io.arrays import fov_from_arrays
    >>> fov = fov_from_arrays({"phase": np.zeros((60, 70))}, voxel_size=VoxelSize(None, 0.6, 0.6))
    >>> resampled(fov, VoxelSize(None, 0.3, 0.3)).shape
    (1, 1, 1, 120, 140)
    """
    if same_voxel_size(fov.voxel_size, voxel_size):
        return fov
    ratio_y = _ratio(voxel_size.y, fov.voxel_size.y)
    ratio_x = _ratio(voxel_size.x, fov.voxel_size.x)
    if not all(1 / MOST_FACTOR <= ratio <= MOST_FACTOR for ratio in (ratio_y, ratio_x)):
        raise VoxelSizeError(
            f"{fov.path}: field {fov.name} has voxels of {fov.voxel_size}, but {voxel_size} is "
            f"wanted: images are resampled by a factor of at most {MOST_FACTOR:g}; correct the "
            "voxel size of the file, or use --ignore-voxel-size (ignore_voxel_size=True)"
        )
    resampling = Resampling.by((fov.size_y, fov.size_x), (ratio_y, ratio_x))
    nearest = tuple(channel.modality == "labels" for channel in fov.channels)
    known = VoxelSize(
        fov.voxel_size.z,
        (fov.voxel_size.y or 0.0) * ratio_y or None,
        (fov.voxel_size.x or 0.0) * ratio_x or None,
    )
    channels = tuple(
        channel if is_labels else replace(channel, dtype=np.dtype(np.float32))
        for channel, is_labels in zip(fov.channels, nearest, strict=True)
    )
    size_y, size_x = resampling.result_yx
    return replace(
        fov,
        channels=channels,
        size_y=size_y,
        size_x=size_x,
        voxel_size=known,
        pixels=ResampledPixels(fov.pixels, resampling, nearest),
    )


@dataclass(frozen=True)
class ResampledPixels:
    """Pixels of a field at another voxel size; see `resampled`.

    Attributes
    ----------
    pixels
        Of the field as it is.
    resampling
        From the image to what is read.
    nearest
        For each channel, whether the nearest pixel is taken, as for labels.
    """

    pixels: PixelSource
    resampling: Resampling
    nearest: tuple[bool, ...]

    def read(self, channel: int, t: int, z: Sequence[int], box: Box) -> NDArray[Any]:
        """Return pixels as (Z, Y, X); see `isl.io.fov.PixelSource`."""
        method: Method = "nearest" if self.nearest[channel] else "cubic"
        needed = self.resampling.needed(box, method)
        return self.resampling.apply(self.pixels.read(channel, t, z, needed), box, method)

    def chunk_rows(self, channel: int) -> int:
        """Rows that come of those decoded together; see `isl.io.fov.ChunkedPixels`."""
        rows = self.pixels.chunk_rows(channel) if isinstance(self.pixels, ChunkedPixels) else 1
        # Each read takes a few rows more than it gives: the fewer reads, the better.
        return max(_LEAST_ROWS, round(min(rows, self.resampling.y.size) / self.resampling.y.ratio))


def _ratio(wanted: float | None, found: float | None) -> float:
    return wanted / found if wanted and found else 1.0


def _mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Pixels that stand for those beyond the border, the outermost one twice."""
    inside = index % (2 * size)
    return np.minimum(inside, 2 * size - 1 - inside)


def _linear(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - distance, 0.0)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Catmull-Rom spline (Keys, IEEE Trans. ASSP 1981, a = -1/2)."""
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))


_KERNELS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], int]] = {
    "cubic": (_cubic, 2),
    "linear": (_linear, 1),
}
