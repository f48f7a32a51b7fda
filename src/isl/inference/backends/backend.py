"""What the engine asks of a way to run a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from isl.models.stages import Stage

Run = Callable[..., Tensor]
"""A compiled stage: from its inputs, (1, channels, rows, columns) each on the backend's device, to
its output on the same device; rows and columns may differ from call to call."""


class Backend(Protocol):
    """A way to run a network.

    Attributes
    ----------
    name
        As users choose it: ``"torch"``, ``"onnxruntime"``...
    device
        Where the inputs and outputs of compiled stages are.
    dtype
        Of the tensors between stages; the first is given and the last is read as float32 too.
    """

    name: str
    device: torch.device
    dtype: torch.dtype

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage.

        Parameters
        ----------
        stage
            Its module is in evaluation mode, on the processor, float32, and is not changed.
        inputs
            Examples of what it will be called with, as small as its ``align_px`` allows.
        """
        ...


@dataclass(frozen=True)
class Choice:
    """A backend, and why it was chosen.

    Attributes
    ----------
    backend
        The backend.
    reason
        In words, beginning with its name.
    measured
        Megapixels per second of each backend that was measured.
    """

    backend: Backend
    reason: str
    measured: Mapping[str, float] = field(default_factory=dict)
