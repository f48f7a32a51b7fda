"""One field at one time: the scene, seen by the microscopes and recorded by the cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.io.fov import Fov, Modality
from isl.simulate.imaging import fluorescence, stage
from isl.simulate.imaging.camera import expose
from isl.simulate.imaging.illumination import shading
from isl.simulate.scenes.scene import make_scene
from isl.simulate.settings import SimulationConfig, Stain
from isl.simulate.volume import Line, Truth, Volume

MODALITIES: Mapping[str, Modality] = {
    "bright-field": "brightfield",
    "phase-contrast": "phase",
    "dic": "dic",
}
_STEPS_PER_PLANE = 2
"""Planes computed per plane asked for where the focus is tilted, to interpolate between."""
_SHARE_OF_LIGHT = 0.8
"""Share of the time that transmitted light takes, for the progress."""
_SOURCE, _TARGETS, _DRIFT, _MISSING, _LIGHT_DUST, _STAIN_DUST = range(6)
"""Words of the seeds: each part draws from a generator of its own."""

FloatImage = NDArray[np.float32]
Recorded = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Acquisition:
    """Images of one field at one time, and what is in it.

    Attributes
    ----------
    config, seed, time_h
        What it was made from.
    source
        (Z, Y, X) uint8 or uint16 transmitted-light stack.
    targets
        For each fluorescence channel (1, Y, X) uint8 or uint16, or (Z, Y, X) where it is not
        projected; channels that are missing are not there.
    missing_planes
        Planes of the source that were not acquired; 0 in `source`.
    truth
        Labels, classes and centre lines; these are in micrometres from the field's upper left
        corner and may reach beyond the field.
    """

    config: SimulationConfig
    seed: int
    time_h: float
    source: Recorded
    targets: Mapping[str, Recorded]
    missing_planes: tuple[int, ...]
    truth: Truth

    @property
    def voxel_size(self) -> VoxelSize:
        """In micrometres."""
        grid = self.config.grid
        return VoxelSize(grid.plane_um, grid.pixel_um, grid.pixel_um)

    @property
    def channels(self) -> dict[str, Recorded]:
        """All channels, the source first."""
        return {self.config.source_name: self.source, **self.targets}

    def fov(self, name: str | None = None) -> Fov:
        """The images as a field of view; called ``"S"`` and the seed by default."""
        from isl.io.arrays import fov_from_arrays

        modalities: dict[str, Modality] = dict.fromkeys(self.targets, "fluorescence")
        modalities[self.config.source_name] = MODALITIES[self.config.light.name]
        return fov_from_arrays(
            self.channels,
            name=f"S{self.seed}" if name is None else name,
            voxel_size=self.voxel_size,
            modalities=modalities,
        )


def acquire(
    config: SimulationConfig,
    seed: int,
    *,
    time_h: float = 0.0,
    device: str = "cpu",
    progress: ProgressCallback = silent,
) -> Acquisition:
    """Image a field.

    Parameters
    ----------
    config
        Scene, microscopes, cameras and stage.
    seed
        From 0 on; the same seed gives the same field.
    time_h
        Hours since time 0; cells move, divide and die.
    device
        Torch device for transmitted light: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where
        there is one.
    progress
        Told the share that is done.

    Returns
    -------
    Acquisition
        Images and truth.

    Raises
    ------
    ConfigError
        Where the settings do not go together, such as pixels too large for the objective.

    Examples
    --------
    >>> from isl.simulate.presets import preset
    >>> taken = acquire(preset("adherent").resized((32, 48)), seed=1)    # doctest: +SKIP
    >>> taken.source.shape, sorted(taken.targets)                        # doctest: +SKIP
    ((13, 32, 48), ['CYTOPLASM', 'NUCLEI'])
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed} but must be 0 or more")
    frame = _Frame.of(config)
    volume = frame.volume(config, seed, time_h)
    progress(Progress(0.05, 1, "share", "light"))
    source = _source(config, volume, frame, seed, time_h, _resolve(device), progress)
    targets = _targets(config, volume, frame, seed, time_h, progress)
    random = np.random.default_rng([seed, _MISSING])
    kept = stage.keep_planes(list(source), config.stage, random)
    missing = tuple(i for i, plane in enumerate(kept) if plane is None)
    source[list(missing)] = 0
    return Acquisition(
        config=config,
        seed=seed,
        time_h=time_h,
        source=source,
        targets=stage.keep_channels(targets, config.stage, random),
        missing_planes=missing,
        truth=frame.truth(volume.truth),
    )


@dataclass(frozen=True)
class _Frame:
    """The field, and the larger area around it that is simulated.

    Attributes
    ----------
    size_yx
        Pixels of the field.
    before, outer
        Pixels before the field, and of the whole area.
    oversampling
        Points per side of a pixel.
    pixel_um
        Side of a pixel.
    """

    size_yx: tuple[int, int]
    before: tuple[int, int]
    outer: tuple[int, int]
    oversampling: int
    pixel_um: float

    @classmethod
    def of(cls, config: SimulationConfig) -> _Frame:
        """Area whose sides are quick to transform."""
        over, pixel_um = config.grid.oversampling, config.grid.pixel_um
        margin = int(np.ceil(config.grid.margin_um / pixel_um))
        sides = [n + 2 * margin for n in config.size_yx]
        fast = [_fast_multiple(n, over) for n in sides]
        before = [(f - n) // 2 for f, n in zip(fast, config.size_yx, strict=True)]
        return cls(config.size_yx, (before[0], before[1]), (fast[0], fast[1]), over, pixel_um)

    @property
    def point_um(self) -> float:
        """Side of a point of the optics."""
        return self.pixel_um / self.oversampling

    @property
    def pixels(self) -> tuple[float, float]:
        """Size of a pixel in y and x."""
        return self.pixel_um, self.pixel_um

    def volume(self, config: SimulationConfig, seed: int, time_h: float) -> Volume:
        """What is in the area."""
        size_um = (self.outer[0] * self.pixel_um, self.outer[1] * self.pixel_um)
        wide = config.scene.model_copy(update={"size_um": size_um})
        scene = make_scene(wide, seed, time_h=time_h)
        return scene.rasterize((config.grid.slice_um, self.point_um, self.point_um))

    def binned(self, stack: NDArray[np.floating]) -> FloatImage:
        """Means of the points of each pixel: (Z, Y, X) float32."""
        over = self.oversampling
        if over == 1:
            return stack.astype(np.float32)
        shape = (len(stack), self.outer[0], over, self.outer[1], over)
        means: FloatImage = stack.reshape(shape).mean(axis=(2, 4)).astype(np.float32)
        return means

    def cut(self, image: FloatImage) -> FloatImage:
        """The field alone, of an image or a stack of the area."""
        (y, x), (rows, columns) = self.before, self.size_yx
        return np.ascontiguousarray(image[..., y : y + rows, x : x + columns])

    def truth(self, truth: Truth) -> Truth:
        """Truth of the field alone."""
        cells, nuclei = (self._labels(labels) for labels in (truth.cells, truth.nuclei))
        shift = np.array([0.0, *self.before]) * self.pixel_um
        lines = tuple(
            replace(line, zyx_um=(line.zyx_um - shift).astype(np.float32))
            for line in truth.lines
            if self._touches(line, shift)
        )
        seen = {*np.unique(cells).tolist(), *(line.cell for line in lines)}
        classes = {label: name for label, name in truth.classes.items() if label in seen}
        return Truth(cells, nuclei, classes, lines)

    def _labels(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        over = self.oversampling
        (y, x), (rows, columns) = self.before, self.size_yx
        picked = labels[over // 2 :: over, over // 2 :: over]
        return np.ascontiguousarray(picked[y : y + rows, x : x + columns])

    def _touches(self, line: Line, shift: NDArray[np.float64]) -> bool:
        yx = (line.zyx_um - shift)[:, 1:]
        size = np.array(self.size_yx) * self.pixel_um
        return bool(((yx >= 0) & (yx < size)).all(axis=1).any())


def _fast_multiple(length: int, oversampling: int) -> int:
    """Pixels, at least ``length``, whose points are many of small prime factors."""
    while next_fast_len(length * oversampling) != length * oversampling:
        length += 1
    return length


def _source(
    config: SimulationConfig,
    volume: Volume,
    frame: _Frame,
    seed: int,
    time_h: float,
    device: str,
    progress: ProgressCallback,
) -> Recorded:
    """The transmitted-light stack as the camera records it."""
    from isl.simulate.optics.transmitted import image_stack

    focus = config.grid.focus_heights_um
    tilt = stage.tilt_um(config.stage, frame.outer, frame.pixels)
    heights = stage.heights_for_tilt(focus, tilt, config.grid.plane_um / _STEPS_PER_PLANE)
    stack = image_stack(
        volume.index,
        volume.voxel_um,
        volume.medium_index,
        heights,
        config.light,
        absorption=volume.absorption,
        device=device,
        progress=_part(progress, 0.05, _SHARE_OF_LIGHT, "transmitted light"),
    )
    images = stage.tilted(frame.binned(stack), heights, focus, tilt)
    path = stage.drift_path_um(config.stage, len(focus), np.random.default_rng([seed, _DRIFT]))
    field = frame.cut(stage.drift(images, path, frame.pixels))
    dust = np.random.default_rng([seed, _LIGHT_DUST])
    lit = field.clip(min=0.0) * shading(config.stage, frame.size_yx, frame.pixels, dust)
    return expose(lit, config.camera, _noise(seed, _SOURCE, time_h))


def _targets(
    config: SimulationConfig,
    volume: Volume,
    frame: _Frame,
    seed: int,
    time_h: float,
    progress: ProgressCallback,
) -> dict[str, Recorded]:
    """Fluorescence channels as the cameras record them."""
    alone = {}
    for number, stain in enumerate(config.stains):
        share = _SHARE_OF_LIGHT + (1 - _SHARE_OF_LIGHT) * number / len(config.stains)
        progress(Progress(share, 1, "share", stain.name))
        alone[stain.name] = _stained(stain, config, volume, frame)
    dust = np.random.default_rng([seed, _STAIN_DUST])
    uneven = shading(config.stage, frame.size_yx, frame.pixels, dust)
    seen = _mixed(alone, config)
    return {
        stain.name: expose(
            (seen[stain.name] + stain.background) * uneven,
            stain.camera,
            _noise(seed, _TARGETS + 100 * (number + 1), time_h),
        )
        for number, stain in enumerate(config.stains)
    }


def _stained(stain: Stain, config: SimulationConfig, volume: Volume, frame: _Frame) -> FloatImage:
    """Light of one stain, (Z, Y, X) with Z = 1 where it is projected."""
    focus = config.grid.focus_heights_um
    planes = 1 if stain.projection == "max" else len(focus)
    dye = np.zeros(volume.index.shape, np.float32)
    for name, strength in stain.dyes.items():
        if name in volume.fluorophores:
            dye += np.float32(strength) * volume.fluorophores[name]
    if not dye.any():
        return np.zeros((planes, *frame.size_yx), np.float32)
    tilt = stage.tilt_um(config.stage, frame.outer, frame.pixels)
    heights = stage.heights_for_tilt(focus, tilt, config.grid.plane_um / _STEPS_PER_PLANE)
    stack = fluorescence.image_stack(dye, volume.voxel_um, heights, stain.microscope)
    images = stage.tilted(frame.binned(stack), heights, focus, tilt)
    if planes == 1:
        images = fluorescence.max_projection(images)[None].astype(np.float32)
    offset = config.stage.lateral_offset_um
    return frame.cut(np.stack([stage.shift(plane, offset, frame.pixels) for plane in images]))


def _mixed(alone: Mapping[str, FloatImage], config: SimulationConfig) -> Mapping[str, FloatImage]:
    """Channels with each other's light; only between channels of as many planes."""
    if not config.bleed_through:
        return alone
    if len({image.shape for image in alone.values()}) > 1:
        raise ConfigError(
            "bleed_through is between channels of which some are projected and some are not; "
            "give all stains the same projection"
        )
    return fluorescence.bleed_through(alone, config.bleed_through)


def _noise(seed: int, part: int, time_h: float) -> np.random.Generator:
    """Noise of one part, new at each time."""
    return np.random.default_rng([seed, part, round(time_h * 3600)])


def _part(progress: ProgressCallback, first: float, last: float, message: str) -> ProgressCallback:
    """Progress of a part as progress of the whole."""

    def tell(part: Progress) -> None:
        share = part.done / part.total if part.total else 0.0
        progress(Progress(first + (last - first) * share, 1, "share", message))

    return tell


def _resolve(device: str) -> str:
    """Name of a device that is there; ``"auto"`` is a GPU or the processor."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the device '{device}' cannot be used: {str(error).splitlines()[0]}; take auto or cpu"
        ) from error
    return device
