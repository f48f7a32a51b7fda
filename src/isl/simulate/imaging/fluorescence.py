"""Fluorescence images of a volume: wide field and confocal, z-stacks, projections, bleed-through.

Lateral edges are periodic: light that leaves the field on one side enters it on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from isl.core.errors import ChannelError, ConfigError, DataError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.simulate.imaging.microscope import Confocal, Microscope, WideField
from isl.simulate.imaging.point_spread import check_voxel, psf, voxel_image

__all__ = [
    "Confocal",
    "Microscope",
    "WideField",
    "bleed_through",
    "image_stack",
    "max_projection",
    "psf",
]


def image_stack(
    fluorophore: NDArray[np.floating],
    voxel_um: tuple[float, float, float],
    focus_um: Sequence[float],
    config: WideField | Confocal,
    *,
    progress: ProgressCallback = silent,
) -> NDArray[np.float32]:
    """Fluorescence images of a volume at several heights of the focus.

    Parameters
    ----------
    fluorophore
        (Z, Y, X) concentration in arbitrary units, at least 0; plane 0 lies on the glass.
    voxel_um
        z, y and x.
    focus_um
        Heights of the focus above the glass, in micrometres.
    config
        The microscope.
    progress
        Called after each distance between a plane of the volume and the focus.

    Returns
    -------
    ndarray
        (len(focus_um), Y, X) float32, at least 0: concentration times thickness in micrometres, so
        that it does not depend on how finely the volume is sampled along z. In wide field every
        plane has the same sum.

    Raises
    ------
    DataError
        If the volume is not three-dimensional, or not finite.
    ConfigError
        If a voxel has no size, or there is no focus.
    """
    _check_volume(fluorophore, voxel_um, focus_um)
    size_yx = (fluorophore.shape[1], fluorophore.shape[2])
    spectra = {k: fft.rfft2(plane) for k, plane in enumerate(fluorophore) if np.any(plane)}
    images = np.zeros((len(focus_um), size_yx[0], size_yx[1] // 2 + 1), np.complex64)
    pairs = _pairs_by_distance(list(spectra), voxel_um[0], focus_um)
    for done, (distance, members) in enumerate(pairs.items(), start=1):
        # The image of a point is symmetric, so its spectrum is real.
        transfer = fft.rfft2(voxel_image(config, voxel_um, distance, size_yx)).real
        transfer = (voxel_um[0] * transfer).astype(np.float32)
        for image, plane in members:
            images[image] += transfer * spectra[plane]
        progress(Progress(done, len(pairs), "distance", "fluorescence"))
    stack = np.asarray(fft.irfft2(images, s=size_yx), dtype=np.float32)
    return stack.clip(min=0.0)


def max_projection(stack: NDArray[np.floating]) -> NDArray[np.floating]:
    """Brightest value of each pixel over the planes: (Z, Y, X) to (Y, X), same dtype.

    Raises
    ------
    DataError
        If there is no plane, or the array is not three-dimensional.
    """
    if stack.ndim != 3 or stack.shape[0] == 0:
        raise DataError(f"a projection needs a (Z, Y, X) stack with planes, not {stack.shape}")
    brightest: NDArray[np.floating] = stack.max(axis=0)
    return brightest


def bleed_through(
    images: Mapping[str, NDArray[np.floating]], matrix: Mapping[str, Mapping[str, float]]
) -> dict[str, NDArray[np.float32]]:
    """Mix channels as filters that overlap do.

    Parameters
    ----------
    images
        Image of each stain alone, all of one shape, in intensity.
    matrix
        ``matrix[channel][stain]`` is the share of a stain that is seen in a channel. What is not
        given is 1 for the channel's own stain and 0 for others.

    Returns
    -------
    dict
        float32 image of each channel, in the order of `images`.

    Raises
    ------
    ChannelError
        If the matrix names a channel that has no image.
    ConfigError
        If a share is negative.

    Examples
    --------
    >>> seen = bleed_through({"A": np.ones(1), "B": np.zeros(1)}, {"B": {"A": 0.25}})
    >>> float(seen["B"][0])
    0.25
    """
    _check_matrix(images, matrix)
    mixed = {}
    for channel, own in images.items():
        shares = {channel: 1.0, **matrix.get(channel, {})}
        total = np.zeros(own.shape, np.float64)
        for stain, share in shares.items():
            total += share * images[stain]
        mixed[channel] = total.astype(np.float32)
    return mixed


def _check_volume(
    fluorophore: NDArray[Any], voxel_um: tuple[float, float, float], focus_um: Sequence[float]
) -> None:
    """Refuse what cannot be imaged."""
    check_voxel(voxel_um)
    if fluorophore.ndim != 3 or 0 in fluorophore.shape:
        raise DataError(f"fluorophore has shape {fluorophore.shape}; give (Z, Y, X)")
    if not np.isfinite(fluorophore).all() or fluorophore.min() < 0:
        raise DataError("fluorophore has negative, infinite or undefined values; give at least 0")
    if not len(focus_um) or not np.isfinite(focus_um).all():
        raise ConfigError(f"focus_um is {list(focus_um)}; give at least one height in micrometres")


def _check_matrix(images: Mapping[str, Any], matrix: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse names without an image and negative light."""
    for channel, shares in matrix.items():
        for name in (channel, *shares):
            if name not in images:
                raise ChannelError(
                    f"the bleed-through matrix names '{name}' but there is only "
                    f"{', '.join(images)}; remove it or image that channel"
                )
        if any(share < 0 for share in shares.values()):
            raise ConfigError(f"bleed-through into {channel} is {dict(shares)}; give at least 0")


def _pairs_by_distance(
    planes: Sequence[int], thickness_um: float, focus_um: Sequence[float]
) -> dict[float, list[tuple[int, int]]]:
    """Images and planes of the volume, (image, plane), that are equally far from each other."""
    pairs: dict[float, list[tuple[int, int]]] = {}
    for image, focus in enumerate(focus_um):
        for plane in planes:
            distance = round(abs((plane + 0.5) * thickness_um - focus), 6)
            pairs.setdefault(distance, []).append((image, plane))
    return dict(sorted(pairs.items()))
