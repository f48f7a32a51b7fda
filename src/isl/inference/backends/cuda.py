"""Run a network on a GPU of NVIDIA."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from isl.core.errors import ConfigError
from isl.inference.backends.backend import Run
from isl.inference.backends.eager import channels_last
from isl.models.stages import Stage

_GRAPHS = 4  # input shapes for which the calls are recorded; each holds memory of the GPU
_WARM_UP = 3

_log = logging.getLogger(__name__)


class CudaBackend:
    """Torch on a GPU; the calls of a stage are recorded once for each shape and then replayed.

    Attributes
    ----------
    name, device, dtype
        As `Backend` says. In float32, TF32 is not used, as it would round to 10 bits.

    Raises
    ------
    ConfigError
        Where there is no such GPU.
    """

    def __init__(self, name: str, dtype: torch.dtype, device: torch.device | None = None) -> None:
        if lacking := lacks_cuda():
            raise ConfigError(f"the backend {name} cannot run here: {lacking}")
        self.name = name
        self.dtype = dtype
        self.device = device or torch.device("cuda", torch.cuda.current_device())

    def compile(self, stage: Stage, inputs: Sequence[Tensor]) -> Run:
        """Prepare a stage; the examples are not needed."""
        module = copy.deepcopy(stage.module).eval().requires_grad_(False)
        module.to(self.device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        call = GraphedCall(module)

        def run(*tensors: Tensor) -> Tensor:
            exact = torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=False
            )
            with torch.inference_mode(), torch.cuda.device(self.device), exact:
                return call(*(channels_last(t.to(self.device, self.dtype)) for t in tensors))

        return run


def lacks_cuda() -> str:
    """What is missing for CUDA, as a sentence; empty where nothing is."""
    return "" if torch.cuda.is_available() else "torch finds no GPU with CUDA"


class GraphedCall:
    """Call a module; from the second call with the same shapes on, replay a CUDA graph of it.

    Attributes
    ----------
    module
        On the GPU.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._seen: dict[tuple[torch.Size, ...], Callable[..., Tensor]] = {}

    def __call__(self, *tensors: Tensor) -> Tensor:
        """Call it; the output belongs to the caller."""
        shapes = tuple(tensor.shape for tensor in tensors)
        if shapes not in self._seen:
            if len(self._seen) < _GRAPHS:
                self._seen[shapes] = self._first_replay
            found: Tensor = self.module(*tensors)
            return found
        return self._seen[shapes](*tensors)

    def _first_replay(self, *tensors: Tensor) -> Tensor:
        """Record a graph for these shapes and use it; plain calls where that fails."""
        shapes = tuple(tensor.shape for tensor in tensors)
        try:
            self._seen[shapes] = _record(self.module, tensors)
        except RuntimeError as error:  # memory too: the graph holds its own
            _log.info("no CUDA graph for %s: %s", shapes, error)
            torch.cuda.empty_cache()
            self._seen[shapes] = self.module
        return self._seen[shapes](*tensors)


def _record(module: nn.Module, tensors: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    """Record the calls of a module for inputs of these shapes."""
    places = tuple(torch.empty_like(tensor).copy_(tensor) for tensor in tensors)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            module(*places)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the GPU meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output: Tensor = module(*places)

    def replay(*given: Tensor) -> Tensor:
        for place, tensor in zip(places, given, strict=True):
            place.copy_(tensor)
        graph.replay()
        return output.clone()

    return replay
