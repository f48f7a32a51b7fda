"""Run a network by torch as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from isl.inference.backends.backend import Run
from isl.inference.backends.simplify import simplify
from isl.models.stages import Stage


class EagerBackend:
    """Torch on the processor, in float32 unless asked otherwise.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says.
    threads
        How many torch works with.
    """

    def __init__(
        self, threads: int, name: str = "torch", dtype: torch.dtype = torch.float32
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.device = torch.device("cpu")
        self.threads = threads

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage; the examples are not needed."""
        module = simplify(stage.module).to(self.dtype)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        def run(*tensors: Tensor) -> Tensor:
            use_threads(self.threads)
            with torch.inference_mode():
                found: Tensor = module(*(channels_last(t.to(self.dtype)) for t in tensors))
            return found

        return run


def channels_last(tensor: Tensor) -> Tensor:
    """The same values, in memory pixel by pixel."""
    return tensor.contiguous(memory_format=torch.channels_last)


def use_threads(threads: int) -> None:
    """Let torch work with this many threads, from whichever thread it is called."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Let torch work with one thread: where a core is busy, several wait for it at each layer."""
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)


def lacks_matrix_units() -> str:
    """What is missing for bf16 on the processor, as a sentence; empty where nothing is.

    Without matrix units (AMX) that know bf16 it is several times slower than float32.
    """
    supported = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return "" if supported() else "this processor has no matrix units for bf16 (AMX)"
