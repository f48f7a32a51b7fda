"""Run a network by torch.compile on the processor."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import torch
from torch import Tensor

from isl.core.errors import ConfigError
from isl.inference.backends.backend import Run
from isl.inference.backends.eager import channels_last, use_threads
from isl.inference.backends.simplify import simplify
from isl.models.stages import Stage


class CompiledBackend:
    """Torch's own compiler, in float32; the first call of each stage takes many seconds.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says.
    threads
        How many torch works with.

    Raises
    ------
    ConfigError
        Where there is no C++ compiler, which torch.compile needs.
    """

    name = "compile"
    dtype = torch.float32

    def __init__(self, threads: int) -> None:
        if lacking := lacks_compiler():
            raise ConfigError(f"the backend compile cannot run here: {lacking}")
        self.device = torch.device("cpu")
        self.threads = threads

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage; rows and columns are free, so that it is compiled once or twice."""
        module = simplify(stage.module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        compiled = torch.compile(module, dynamic=True)

        def run(*tensors: Tensor) -> Tensor:
            use_threads(self.threads)
            with torch.inference_mode():
                found: Tensor = compiled(*map(channels_last, tensors))  # type: ignore[no-untyped-call]
            return found

        return run


def lacks_compiler() -> str:
    """What is missing for torch.compile, as a sentence; empty where nothing is."""
    compilers = (os.environ.get("CXX"), "g++", "clang++", "cl")
    if any(name and shutil.which(name.split()[0]) for name in compilers):
        return ""
    return "torch.compile needs a C++ compiler; install g++ or clang++, or name one in $CXX"
