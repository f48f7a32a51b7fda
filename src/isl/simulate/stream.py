"""Endless simulated fields and patches, made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ConfigError
from isl.io.fov import Fov
from isl.simulate.acquisition import Acquisition, acquire
from isl.simulate.settings import SimulationConfig


@dataclass(frozen=True)
class SimulatedPatch:
    """A patch of a simulated field.

    Attributes
    ----------
    source
        (Z, Y, X) as the camera recorded it.
    targets
        (C, Y, X) in the order of the stains; a channel that is missing is 0.
    presence
        (C,) whether each channel is there.
    cells, nuclei
        (Y, X) labels.
    """

    source: NDArray[np.uint8] | NDArray[np.uint16]
    targets: NDArray[np.uint16]
    presence: NDArray[np.bool_]
    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]


def acquisitions(
    config: SimulationConfig, *, seed: int = 0, device: str = "auto"
) -> Iterator[Acquisition]:
    """Simulate one field after the other, without end.

    Parameters
    ----------
    config
        What to simulate.
    seed
        The same seed gives the same fields.
    device
        See `isl.simulate.acquisition.acquire`.
    """
    for number in count():
        words = np.random.SeedSequence([seed, number])
        yield acquire(config, int(words.generate_state(1)[0]), device=device)


def fovs(config: SimulationConfig, *, seed: int = 0, device: str = "auto") -> Iterator[Fov]:
    """Simulated fields as fields of view, without end.

    Examples
    --------
    >>> from itertools import islice
    >>> from isl.simulate.presets import preset
    >>> fields = list(islice(fovs(preset("neurons")), 8))    # doctest: +SKIP
    >>> model = isl.train(fields, "model.isl")               # doctest: +SKIP
    """
    for number, taken in enumerate(acquisitions(config, seed=seed, device=device)):
        yield taken.fov(f"simulated-{number}")


def patches(
    config: SimulationConfig,
    *,
    patch_px: int,
    per_field: int = 8,
    seed: int = 0,
    device: str = "auto",
) -> Iterator[SimulatedPatch]:
    """Patches of simulated fields at random places, without end.

    Parameters
    ----------
    config
        What to simulate.
    patch_px
        Side of a patch.
    per_field
        Patches taken from each field before the next is made.
    seed
        The same seed gives the same patches.
    device
        See `isl.simulate.acquisition.acquire`.

    Raises
    ------
    ConfigError
        Where a field is smaller than a patch, or nothing is to be taken of it.
    """
    rows, columns = config.size_yx
    if not 1 <= patch_px <= min(rows, columns) or per_field < 1:
        raise ConfigError(
            f"cannot take {per_field} patches of {patch_px} pixels from fields of {rows} x "
            f"{columns}; lower patch_px or raise scene.size_um, and take at least one"
        )
    return _patches(config, patch_px, per_field, seed, device)


def _patches(
    config: SimulationConfig, patch_px: int, per_field: int, seed: int, device: str
) -> Iterator[SimulatedPatch]:
    rows, columns = config.size_yx
    for number, taken in enumerate(acquisitions(config, seed=seed, device=device)):
        rng = np.random.default_rng([seed, number, 1])
        for _ in range(per_field):
            y = int(rng.integers(0, rows - patch_px + 1))
            x = int(rng.integers(0, columns - patch_px + 1))
            yield _cut(taken, slice(y, y + patch_px), slice(x, x + patch_px))


def _cut(taken: Acquisition, y: slice, x: slice) -> SimulatedPatch:
    names = [stain.name for stain in taken.config.stains]
    side = taken.source[0, y, x]
    targets = np.zeros((len(names), *side.shape), np.uint16)
    for index, name in enumerate(names):
        if name in taken.targets:
            targets[index] = taken.targets[name].max(axis=0)[y, x]
    return SimulatedPatch(
        source=taken.source[:, y, x].copy(),
        targets=targets,
        presence=np.array([name in taken.targets for name in names]),
        cells=taken.truth.cells[y, x].copy(),
        nuclei=taken.truth.nuclei[y, x].copy(),
    )
