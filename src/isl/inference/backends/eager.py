"""Run a network by torch as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isl.inference.backends.backend import Run
from isl.inference.backends.simplify import simplify
from isl.models.stages import Stage


class EagerBackend:
    """Torch on the processor, in float32.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says.
    threads
        How many torch works with.
    """

    name = "torch"
    dtype = torch.float32

    def __init__(self, threads: int) -> None:
        self.device = torch.device("cpu")
        self.threads = threads

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage; the examples are not needed."""
        module = simplify(stage.module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        def run(*tensors: Tensor) -> Tensor:
            use_threads(self.threads)
            with torch.inference_mode():
                found: Tensor = module(*map(channels_last, tensors))
            return found

        return run


def channels_last(tensor: Tensor) -> Tensor:
    """The same values, in memory pixel by pixel."""
    return tensor.contiguous(memory_format=torch.channels_last)


def use_threads(threads: int) -> None:
    """Let torch work with this many threads, from whichever thread it is called."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
