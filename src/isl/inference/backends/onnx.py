"""Run a network by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from isl.inference.backends.backend import Run
from isl.inference.backends.export import OUTPUT, export_onnx, input_names
from isl.models.stages import Stage


class OnnxBackend:
    """ONNX Runtime on the processor, in float32.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says.
    threads
        How many each stage works with.
    """

    name = "onnxruntime"
    dtype = torch.float32

    def __init__(self, threads: int) -> None:
        self.device = torch.device("cpu")
        self.threads = threads

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage: tens of milliseconds."""
        session = self._session(export_onnx(stage, inputs))
        return _Session(session, input_names(inputs))

    def _session(self, model: bytes) -> Any:
        onnxruntime: Any = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # All stages share one pool of memory: a quarter of what one each takes, and no slower.
        options.enable_mem_pattern = False
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Idle threads sleep: others read, write and run the other stages meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class _Session:
    """A stage as ONNX Runtime runs it."""

    def __init__(self, session: Any, names: Sequence[str]) -> None:
        self._session = session
        self._names = names
        self._columns = 0

    def __call__(self, *tensors: Tensor) -> Tensor:
        # Neither inputs nor outputs are copied: both are views of the same memory.
        arrays = (tensor.detach().contiguous().numpy() for tensor in tensors)
        given = dict(zip(self._names, arrays, strict=True))
        columns, self._columns = self._columns, tensors[0].shape[-1]
        options = _giving_back() if columns not in (0, self._columns) else None
        found = self._session.run([OUTPUT], given, options)
        return torch.from_numpy(found[0])


def _giving_back() -> Any:
    """For a run after which free memory is given back, as tensors of another width come now.

    They would not fit where the last ones were, so that the pool would grow with each width.
    """
    onnxruntime: Any = import_module("onnxruntime")
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@cache
def _share_memory() -> None:
    """Make the pool that sessions share; it grows by what is asked for, not in powers of two."""
    onnxruntime: Any = import_module("onnxruntime")
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1})
    # It fails where another part of the program has made one already, which will do.
    with suppress(RuntimeError):
        onnxruntime.create_and_register_allocator(memory, as_requested)
