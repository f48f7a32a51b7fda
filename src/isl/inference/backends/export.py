"""Write a stage as an ONNX model, in memory."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from isl.inference.backends.eager import on_one_thread
from isl.inference.backends.simplify import simplify
from isl.models.stages import Stage

OUTPUT = "output"
_OPSET = 17


def input_names(inputs: Sequence[Tensor]) -> list[str]:
    """Names of the inputs of an exported stage, in order."""
    return [f"input{index}" for index in range(len(inputs))]


def export_onnx(stage: Stage, inputs: Sequence[Tensor]) -> bytes:
    """Write a stage as an ONNX model whose rows and columns are free.

    Parameters
    ----------
    stage
        Not changed.
    inputs
        Examples, on the processor.

    Returns
    -------
    bytes
        The model; its inputs are called as `input_names` says, and its output `OUTPUT`.
    """
    module = simplify(stage.module)
    plain = tuple(tensor.detach().contiguous() for tensor in inputs)
    with on_one_thread():
        try:
            return _by_tracing(module, plain)
        except (TypeError, RuntimeError):  # this torch no longer has that exporter, or an operator
            return _by_dynamo(module, plain)


def _by_tracing(module: nn.Module, inputs: tuple[Tensor, ...]) -> bytes:
    """Export in a fraction of a second; the newer way takes some, and a package more."""
    names = input_names(inputs)
    written: Any = io.BytesIO()  # its type is declared as a path, though a file will do
    free = {name: {2: f"{name}_rows", 3: f"{name}_columns"} for name in (*names, OUTPUT)}
    with warnings.catch_warnings(), torch.inference_mode():
        # It says that it is to go, which is taken care of.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            inputs,
            written,
            dynamo=False,
            input_names=names,
            output_names=[OUTPUT],
            dynamic_axes=free,
            opset_version=_OPSET,
        )
    model: bytes = written.getvalue()
    return model


def _by_dynamo(module: nn.Module, inputs: tuple[Tensor, ...]) -> bytes:
    """Export where tracing is gone; sizes are free wherever the module allows it."""
    written = io.BytesIO()
    exporter: Any = torch.onnx
    free: tuple[Any, ...] = tuple(
        {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO} for _ in inputs
    )
    taken = inspect.signature(module.forward).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in taken):
        free = (free,)  # all of them are one argument then
    program = exporter.export(
        module,
        inputs,
        dynamo=True,
        input_names=input_names(inputs),
        output_names=[OUTPUT],
        dynamic_shapes=free,
        verbose=False,
    )
    program.save(written, external_data=False)
    return written.getvalue()
