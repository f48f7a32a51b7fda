"""Memory that is used again and again, as the operating system takes its time to hand out more."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod

import torch
from torch import Tensor


class Scratch:
    """Rooms for tensors, each of which holds one at a time.

    Examples
    --------
    >>> scratch = Scratch()
    >>> first = scratch.take("a room", (2, 3), torch.zeros(1))
    >>> scratch.take("a room", (3, 1), torch.zeros(1)).data_ptr() == first.data_ptr()
    True
    """

    def __init__(self) -> None:
        self._rooms: dict[Hashable, Tensor] = {}

    def take(self, room: Hashable, shape: Sequence[int], like: Tensor) -> Tensor:
        """Take a room; what was in it is lost.

        Parameters
        ----------
        room
            Which one.
        shape
            Of the tensor.
        like
            A tensor of the same dtype, on the same device.

        Returns
        -------
        Tensor
            Contiguous, not initialised.
        """
        size, held = prod(shape), self._rooms.get(room)
        fits = held is not None and (held.dtype, held.device) == (like.dtype, like.device)
        if held is None or not fits or held.numel() < size:
            self._rooms.pop(room, None)
            held = self._rooms[room] = torch.empty(size, dtype=like.dtype, device=like.device)
        return held[:size].view(*shape)
