"""Run a network by OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from isl.core.extras import require
from isl.inference.backends.backend import Run
from isl.inference.backends.export import export_onnx
from isl.models.stages import Stage


class OpenvinoBackend:
    """OpenVINO on the processor, in float32 throughout.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says.
    threads
        How many it works with.

    Raises
    ------
    MissingExtraError
        Where OpenVINO is not installed.
    """

    name = "openvino"
    dtype = torch.float32

    def __init__(self, threads: int) -> None:
        self.device = torch.device("cpu")
        self.threads = threads
        self._openvino: Any = require("openvino", "openvino", "the backend openvino")
        self._core = self._openvino.Core()

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage: tens of milliseconds."""
        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else it takes 16 bits where the processor can
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # its cores are not its own
        }
        model = self._core.read_model(export_onnx(stage, inputs))
        request = self._core.compile_model(model, "CPU", settings).create_infer_request()

        def run(*tensors: Tensor) -> Tensor:
            given = [tensor.detach().contiguous().numpy() for tensor in tensors]
            for index, array in enumerate(given):
                request.set_input_tensor(index, self._openvino.Tensor(array, shared_memory=True))
            request.infer()
            # A copy: the next call writes to the same memory.
            return torch.from_numpy(request.get_output_tensor(0).data.copy())

        return run
