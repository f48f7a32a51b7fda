"""Run a network on a GPU of Apple."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.backends.backend import Run
from isl.models.stages import Stage


class MpsBackend:
    """Torch on Apple's GPUs, in float32.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says.

    Raises
    ------
    ConfigError
        Where there is none.
    """

    name = "mps"
    dtype = torch.float32

    def __init__(self) -> None:
        if lacking := lacks_mps():
            raise ConfigError(f"the backend mps cannot run here: {lacking}")
        self.device = torch.device("mps")

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage; the examples are not needed."""
        module = copy.deepcopy(stage.module).eval().requires_grad_(False).to(self.device)

        def run(*tensors: Tensor) -> Tensor:
            with torch.inference_mode():
                found: Tensor = module(*(t.to(self.device).contiguous() for t in tensors))
            return found

        return run


def lacks_mps() -> str:
    """What is missing, as a sentence; empty where nothing is."""
    return "" if torch.backends.mps.is_available() else "torch finds no GPU of Apple (MPS)"
