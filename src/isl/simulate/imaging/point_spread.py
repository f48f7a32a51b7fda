"""Image of a point, or of a voxel, in fluorescence."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from isl.core.errors import ConfigError
from isl.simulate.imaging.microscope import AIRY_RADIUS, Confocal, Objective, WideField
from isl.simulate.imaging.pupil import Grid, focal_intensity, through_pinhole

_MARGIN_RINGS = 12  # Airy radii around the geometric cone that a point's image is computed on
_SLABS_PER_DEPTH_OF_FOCUS = 4


def psf(
    config: WideField | Confocal, voxel_um: tuple[float, float, float], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Image of one voxel of fluorophore at the centre of a z-stack.

    Parameters
    ----------
    config
        The microscope.
    voxel_um
        z, y and x.
    shape
        Planes, rows and columns; the voxel is at half of each, rounded down.

    Returns
    -------
    ndarray
        (Z, Y, X) float32, integrated over pixels and averaged over the thickness of a voxel. Wide
        field: every plane sums to 1. Confocal: a thin plane in focus sums to 1, others to less.

    Examples
    --------
    >>> stack = psf(WideField(), (0.5, 0.2, 0.2), (3, 32, 32))
    >>> [round(float(plane.sum()), 3) for plane in stack]
    [1.0, 1.0, 1.0]
    """
    check_voxel(voxel_um)
    size_yx = (shape[1], shape[2])
    defoci = [(k - shape[0] // 2) * voxel_um[0] for k in range(shape[0])]
    planes = {d: voxel_image(config, voxel_um, d, size_yx) for d in {abs(d) for d in defoci}}
    stack = np.stack([fft.fftshift(planes[abs(d)]) for d in defoci])
    return stack.astype(np.float32)


def voxel_image(
    config: WideField | Confocal,
    voxel_um: tuple[float, float, float],
    defocus_um: float,
    size_yx: tuple[int, int],
) -> NDArray[np.float64]:
    """Image of a voxel at index (0, 0) of a periodic field.

    Parameters
    ----------
    config
        The microscope.
    voxel_um
        z, y and x.
    defocus_um
        Distance of the voxel's centre from the focal plane.
    size_yx
        Rows and columns of the field.

    Returns
    -------
    ndarray
        (Y, X), at least 0; see `psf` for its sum.
    """
    # In parts, because a voxel may be thicker than the depth of focus.
    parts = int(np.ceil(voxel_um[0] / config.axial_fwhm_um * _SLABS_PER_DEPTH_OF_FOCUS))
    heights = defocus_um + voxel_um[0] * ((np.arange(parts) + 0.5) / parts - 0.5)
    reach_um = np.abs(heights).max() * _cone_slope(config) + _margin_um(config)
    window = [_odd_fast_length(2 * reach_um / d) for d in voxel_um[1:]]
    oversampling = _oversampling(config, voxel_um)
    fine = Grid(
        (window[0] * oversampling, window[1] * oversampling),
        (voxel_um[1] / oversampling, voxel_um[2] / oversampling),
    )
    total = sum((_point_image(config, fine, z) for z in heights), np.zeros(fine.shape))
    return _folded(_integrated(total / parts, oversampling), size_yx)


def _cone_slope(config: Objective) -> float:
    """Tangent of the steepest ray."""
    return float(config.na / np.sqrt(config.immersion_index**2 - config.na**2))


def _margin_um(config: Objective) -> float:
    """Width of the diffraction rings worth keeping."""
    return _MARGIN_RINGS * AIRY_RADIUS * config.emission_um / config.na


def _oversampling(config: WideField | Confocal, voxel_um: tuple[float, float, float]) -> int:
    """Points per pixel that sample the intensity well."""
    return int(np.ceil(max(voxel_um[1:]) * 4 * config.na / config.shortest_um))


def _point_image(
    config: WideField | Confocal, grid: Grid, defocus_um: float
) -> NDArray[np.float64]:
    """Image of a point on a fine grid, origin at index 0."""
    seen = focal_intensity(grid, config.emission_um, config.na, config.immersion_index, defocus_um)
    if isinstance(config, WideField):
        return seen
    return _scanned(config, grid, defocus_um, seen) / _total_in_focus(config, grid.spacing_um)


def _scanned(
    config: Confocal, grid: Grid, defocus_um: float, seen: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Light through the pinhole times light of the laser, per square micrometre."""
    lit = focal_intensity(grid, config.excitation_um, config.na, config.immersion_index, defocus_um)
    scanned: NDArray[np.float64] = lit * through_pinhole(grid, seen, config.pinhole_um)
    return scanned / (grid.spacing_um[0] * grid.spacing_um[1])


@lru_cache(maxsize=32)
def _total_in_focus(config: Confocal, spacing_um: tuple[float, float]) -> float:
    """Light of a confocal image of a point in focus."""
    rows, columns = (_odd_fast_length(2 * _margin_um(config) / d) for d in spacing_um)
    grid = Grid((rows, columns), spacing_um)
    seen = focal_intensity(grid, config.emission_um, config.na, config.immersion_index, 0.0)
    return float(_scanned(config, grid, 0.0, seen).sum())


def _odd_fast_length(least: float) -> int:
    """Length of a quick Fourier transform; odd, so that it is symmetric around index 0."""
    length = fft.next_fast_len(int(np.ceil(least)))
    while length % 2 == 0:
        length = fft.next_fast_len(length + 1)
    return int(length)


def _integrated(fine: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Light of each pixel, `factor` points wide; exact because the points sample the light well."""
    over_y = np.sinc(factor * fft.fftfreq(fine.shape[0]))[:, None]
    over_x = np.sinc(factor * fft.rfftfreq(fine.shape[1]))[None, :]
    mean = fft.irfft2(fft.rfft2(fine) * over_y * over_x, s=fine.shape)
    pixels: NDArray[np.float64] = factor**2 * mean[::factor, ::factor]
    return pixels.clip(min=0.0)


def _folded(window: NDArray[np.float64], size_yx: tuple[int, int]) -> NDArray[np.float64]:
    """Lay a window around index 0 into a periodic field; what is beyond its edges wraps around."""
    # The upper half of the window lies at negative indices.
    rows, columns = (
        np.where(np.arange(n) < (n + 1) // 2, np.arange(n), np.arange(n) - n) % size
        for n, size in zip(window.shape, size_yx, strict=True)
    )
    field = np.zeros(size_yx)
    np.add.at(field, np.ix_(rows, columns), window)
    return field


def check_voxel(voxel_um: tuple[float, float, float]) -> None:
    """Raise `ConfigError` unless z, y and x are above 0."""
    if len(voxel_um) != 3 or not all(np.isfinite(v) and v > 0 for v in voxel_um):
        raise ConfigError(f"voxel_um is {voxel_um}; give z, y and x in micrometres, above 0")
