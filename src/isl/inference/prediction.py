"""Predicted images, with the names of their channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isl.core.errors import ChannelError


@dataclass(frozen=True)
class Prediction:
    """Predicted images.

    Attributes
    ----------
    image
        (C, Y, X), float32, in the unit of the target images.
    channel_names
        ``"DAPI"`` for a median, ``"DAPI mean"``, ``"DAPI q0.05"`` for other statistics.
    """

    image: NDArray[np.float32]
    channel_names: tuple[str, ...]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Image (Y, X) of one channel; raises ChannelError where there is none."""
        if name not in self.channel_names:
            raise ChannelError(
                f"the prediction has no channel '{name}'; it has: {', '.join(self.channel_names)}"
            )
        image: NDArray[np.float32] = self.image[self.channel_names.index(name)]
        return image
