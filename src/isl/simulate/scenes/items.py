"""Things in a scene: nested parts with a refractive index and stains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.shapes import Shape

GAP_UM = 0.05
"""Parts keep at least this distance from the underside and the top of what they are in."""


@dataclass(frozen=True)
class Grain:
    """Smooth random texture: waves with random directions and lengths.

    Attributes
    ----------
    waves
        (3, N) wave numbers along y and x in rad/um, and phases.
    strength
        Standard deviation; the mean of the texture is 1.
    """

    waves: Floats
    strength: float

    def at(self, y_um: Floats, x_um: Floats) -> Floats:
        """Texture at places (N,)."""
        ky, kx, phase = self.waves[:, :, None]
        waves = np.cos(ky * y_um + kx * x_um + phase).sum(axis=0)
        texture: Floats = 1.0 + self.strength * waves * np.sqrt(2.0 / self.waves.shape[1])
        return np.clip(texture, 0.2, 1.8)


def random_grain(strength: float, random: np.random.Generator) -> Grain | None:
    """Texture of random waves of 1.5 to 6 um."""
    length = random.uniform(1.5, 6.0, 24)
    turn, phase = random.uniform(0, 2 * np.pi, (2, 24))
    number = 2 * np.pi / length
    waves = np.stack([number * np.sin(turn), number * np.cos(turn), phase])
    return Grain(waves, strength) if strength else None


@dataclass(frozen=True)
class Part:
    """One compartment.

    Attributes
    ----------
    shape
        Where it is; cut to what it is in.
    index
        Refractive index above that of the medium.
    stains
        Concentration of each fluorophore.
    inside
        Number, in the item, of the part that it is in and takes room from; None for the outermost.
    nucleus
        Whether it counts as nucleus in the truth.
    grain
        Texture of its index and stains.
    """

    shape: Shape
    index: float
    stains: Mapping[str, float] = field(default_factory=dict)
    inside: int | None = None
    nucleus: bool = False
    grain: Grain | None = None


@dataclass(frozen=True)
class Item:
    """One thing: a body, the processes of one kind of a neuron, a piece of debris.

    Attributes
    ----------
    label
        Label of its cell; 0 for what is none.
    parts
        The outermost part first, and every part after the one that it is in.
    """

    label: int
    parts: tuple[Part, ...]
