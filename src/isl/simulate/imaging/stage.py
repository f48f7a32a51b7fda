"""What goes wrong between the optics and the picture: drift, offset, tilt, planes that are missing.

Fields are periodic: what is shifted out on one side enters on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import fft, ndimage

from isl.core.errors import ChannelError, ConfigError, DataError
from isl.core.settings import Config, Fraction, NonNegative

Pair = tuple[float, float]
Pixels = TypeVar("Pixels")


class Stage(Config):
    """Imperfections of stage, illumination and acquisition; by default there are none."""

    drift_um: Pair = (0.0, 0.0)
    """Steady movement of the field from each plane to the next, y and x."""
    jitter_um: NonNegative = 0.0
    """Standard deviation of a random step from each plane to the next, in y and in x."""
    lateral_offset_um: Pair = (0.0, 0.0)
    """Shift of fluorescence against transmitted light, y and x."""
    tilt_um_per_mm: Pair = (0.0, 0.0)
    """Rise of the focal plane per millimetre towards larger y and x; 0 at the field's centre."""
    vignetting: Fraction = 0.0
    """Share of light lost in the corners; the loss grows with the square of the radius."""
    gradient: tuple[Annotated[float, Field(ge=-1, le=1)], Annotated[float, Field(ge=-1, le=1)]] = (
        0.0,
        0.0,
    )
    """Relative change of the light across the whole field towards larger y and x."""
    dust_per_mm2: NonNegative = 0.0
    """Grains of dust in the light path per square millimetre of the field."""
    dust_radius_um: Annotated[float, Field(gt=0)] = 3.0
    """Mean radius of a grain, measured in the object."""
    dust_opacity: Fraction = 0.5
    """Share of the amplitude that the darkest grain takes away."""
    dust_defocus_um: NonNegative = 0.0
    """Distance of the dust from what is in focus; 0 for dark discs, more for rings."""
    dust_wavelength_um: Annotated[float, Field(gt=0)] = 0.55
    """Wavelength that makes the rings."""
    missing_planes: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Planes that are missing from every field."""
    missing_plane_share: Fraction = 0.0
    """Chance of each further plane to be missing; one plane always stays."""
    missing_channels: tuple[str, ...] = ()
    """Channels that are missing from every field."""
    missing_channel_share: Fraction = 0.0
    """Chance of each further channel to be missing."""


def drift_path_um(stage: Stage, planes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Displacement of each plane against the first: (planes, 2), y and x in micrometres."""
    steps = np.asarray(stage.drift_um) + rng.normal(0.0, stage.jitter_um, (planes, 2))
    steps[0] = 0.0
    path: NDArray[np.float64] = np.cumsum(steps, axis=0)
    return path


def shift(
    image: NDArray[np.floating], by_um: Sequence[float], pixel_um: Pair
) -> NDArray[np.float32]:
    """Move an image by any fraction of a pixel.

    Parameters
    ----------
    image
        (Y, X) intensity.
    by_um
        y and x in micrometres; positive moves the content towards larger indices.
    pixel_um
        Size of a pixel in y and x.

    Returns
    -------
    ndarray
        (Y, X) float32, at least 0, exact for images that their pixels sample well.
    """
    if not np.any(np.asarray(by_um)):
        return np.asarray(image, dtype=np.float32)
    by_px = [b / p for b, p in zip(by_um, pixel_um, strict=True)]
    spectrum = fft.rfft2(np.asarray(image, dtype=np.float64))
    moved: NDArray[np.float64] = fft.irfft2(
        ndimage.fourier_shift(spectrum, by_px, n=image.shape[1]), s=image.shape
    )
    # Sharp edges ring; light is never negative.
    return moved.clip(min=0.0).astype(np.float32)


def drift(
    stack: NDArray[np.floating], path_um: NDArray[np.floating], pixel_um: Pair
) -> NDArray[np.float32]:
    """Move each plane of a stack (Z, Y, X) by its row of `path_um` (Z, 2); see `shift`.

    Raises
    ------
    DataError
        If there is not one displacement for each plane.
    """
    if stack.ndim != 3 or path_um.shape != (stack.shape[0], 2):
        raise DataError(
            f"a stack of shape {stack.shape} and a path of shape {path_um.shape} do not belong "
            "together; give (Z, Y, X) and (Z, 2)"
        )
    return np.stack([shift(p, by, pixel_um) for p, by in zip(stack, path_um, strict=True)])


def tilt_um(stage: Stage, shape_yx: tuple[int, int], pixel_um: Pair) -> NDArray[np.float64]:
    """Height of the focal plane over the field against its centre: (Y, X) in micrometres."""
    y, x = (
        (np.arange(n) - (n - 1) / 2) * p * slope / 1000
        for n, p, slope in zip(shape_yx, pixel_um, stage.tilt_um_per_mm, strict=True)
    )
    height: NDArray[np.float64] = y[:, None] + x[None, :]
    return height


def heights_for_tilt(
    focus_um: Sequence[float], tilt: NDArray[np.floating], step_um: float
) -> tuple[float, ...]:
    """Heights at which a stack has to be imaged so that `tilted` can be taken from it.

    Parameters
    ----------
    focus_um
        Heights of the focus at the centre of the field.
    tilt
        (Y, X) height of the focal plane against the centre, from `tilt_um`.
    step_um
        Distance of the heights, well below the depth of focus.

    Returns
    -------
    tuple
        `focus_um` itself where nothing is tilted, else even steps that cover all that is needed.

    Raises
    ------
    ConfigError
        If the step is not above 0.
    """
    if step_um <= 0:
        raise ConfigError(f"step_um is {step_um} but must be above 0")
    if not np.any(tilt):
        return tuple(focus_um)
    low, high = min(focus_um) + float(tilt.min()), max(focus_um) + float(tilt.max())
    count = int(np.ceil((high - low) / step_um)) + 1
    return tuple(np.linspace(low, high, max(2, count)).tolist())


def tilted(
    stack: NDArray[np.floating],
    heights_um: Sequence[float],
    focus_um: Sequence[float],
    tilt: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Images whose focus changes over the field, by interpolation between planes.

    Parameters
    ----------
    stack
        (Z, Y, X) images with an even focus.
    heights_um
        Height of each, rising; see `heights_for_tilt`.
    focus_um
        Heights of the wanted planes at the centre of the field.
    tilt
        (Y, X) height of the focal plane against the centre.

    Returns
    -------
    ndarray
        (len(focus_um), Y, X) float32; beyond the heights, the nearest plane.

    Raises
    ------
    DataError
        If the stack does not have one plane for each height.
    """
    if stack.ndim != 3 or len(heights_um) != len(stack) or stack.shape[1:] != tilt.shape:
        raise DataError(
            f"a stack of shape {stack.shape}, {len(heights_um)} heights and a tilt of shape "
            f"{tilt.shape} do not belong together; give (Z, Y, X), Z heights and (Y, X)"
        )
    if not np.any(tilt) and tuple(heights_um) == tuple(focus_um):
        return stack.astype(np.float32)
    return np.stack([_at_height(stack, heights_um, z + tilt) for z in focus_um])


def keep_planes(
    planes: Sequence[Pixels], stage: Stage, rng: np.random.Generator
) -> tuple[Pixels | None, ...]:
    """Planes of a stack in order, with None for each that is missing.

    Raises
    ------
    ConfigError
        If the stack does not have a plane that shall be missing, or all shall be.
    """
    beyond = [k for k in stage.missing_planes if k >= len(planes)]
    if beyond:
        raise ConfigError(f"missing_planes names {beyond} but the stack has {len(planes)} planes")
    lost = rng.random(len(planes)) < stage.missing_plane_share
    lost[list(stage.missing_planes)] = True
    candidates = [k for k in range(len(planes)) if k not in stage.missing_planes]
    if not candidates:
        raise ConfigError(f"missing_planes names all {len(planes)} planes; leave one")
    lost[rng.choice(candidates)] &= not lost.all()
    return tuple(None if gone else p for p, gone in zip(planes, lost, strict=True))


def keep_channels(
    images: Mapping[str, Pixels], stage: Stage, rng: np.random.Generator
) -> dict[str, Pixels]:
    """Channels that are there, in their order; those that are missing are absent.

    Raises
    ------
    ChannelError
        If a channel that shall be missing does not exist.
    """
    unknown = [name for name in stage.missing_channels if name not in images]
    if unknown:
        raise ChannelError(
            f"missing_channels names {', '.join(unknown)} but there is only {', '.join(images)}"
        )
    stays = rng.random(len(images)) >= stage.missing_channel_share
    kept = zip(images.items(), stays, strict=True)
    return {n: image for (n, image), stay in kept if stay and n not in stage.missing_channels}


def _at_height(
    stack: NDArray[np.floating], heights_um: Sequence[float], wanted_um: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Value of each pixel at its own height."""
    position = np.interp(wanted_um, heights_um, np.arange(len(heights_um)))
    below = np.minimum(position.astype(int), max(0, len(stack) - 2))
    above = np.minimum(below + 1, len(stack) - 1)
    share = position - below
    low, high = (np.take_along_axis(stack, k[None], axis=0)[0] for k in (below, above))
    mixed: NDArray[np.float64] = low + share * (high - low)
    return mixed.astype(np.float32)
