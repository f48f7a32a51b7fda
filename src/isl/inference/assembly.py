"""Put the predictions of tiles together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from isl.core.axes import Box
from isl.models.distribution import Distribution


@dataclass
class Assembly:
    """The distribution of a box of pixels, filled tile by tile.

    Attributes
    ----------
    box
        The pixels wanted.
    """

    box: Box
    _first: Any = None
    _parameters: dict[str, Tensor] = field(default_factory=dict)

    def add(self, place: Box, part: Distribution) -> None:
        """Put in the distribution of the pixels of ``place``, which lie in the box."""
        self._first = part if self._first is None else self._first
        for name in part.per_pixel:
            found: Tensor = getattr(part, name)
            if name not in self._parameters:
                self._parameters[name] = found.new_empty(*found.shape[:-2], *self.box.shape)
            self._parameters[name][(..., *place.relative_to(self.box).slices)] = found

    def whole(self) -> Distribution:
        """The distribution of all pixels of the box."""
        distribution: Distribution = replace(self._first, **self._parameters)
        return distribution
