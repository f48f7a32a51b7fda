"""Put the predictions of tiles together."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
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

    def add(self, place: Box, part: Distribution | None) -> None:
        """Put in the distribution of the pixels of ``place``, as far as they are wanted."""
        if part is None:
            raise TypeError("there is no distribution to put in")
        common = place.intersect(self.box)
        rows, columns = common.relative_to(place).slices
        cropped: Any = part.map(lambda parameter: parameter[..., rows, columns])
        self._first = cropped if self._first is None else self._first
        target = common.relative_to(self.box).slices
        for each in fields(cropped):
            found: Tensor = getattr(cropped, each.name)
            if each.name in cropped.per_pixel:
                if each.name not in self._parameters:
                    shape = (*found.shape[:-2], *self.box.shape)
                    self._parameters[each.name] = found.new_empty(shape)
                self._parameters[each.name][(..., *target)] = found

    def whole(self) -> Distribution:
        """The distribution of all pixels of the box."""
        distribution: Distribution = replace(self._first, **self._parameters)
        return distribution
