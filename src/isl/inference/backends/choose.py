"""Which backends there are, and which of them is fastest here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.util import find_spec

import torch

from isl.core.errors import ConfigError, MissingExtraError
from isl.inference.backends.backend import Backend, Choice
from isl.inference.backends.compiled import CompiledBackend, lacks_compiler
from isl.inference.backends.cuda import CudaBackend, lacks_cuda
from isl.inference.backends.eager import EagerBackend, lacks_matrix_units
from isl.inference.backends.measure import measure_backends
from isl.inference.backends.mps import MpsBackend, lacks_mps
from isl.inference.backends.onnx import OnnxBackend
from isl.inference.backends.openvino import OpenvinoBackend
from isl.inference.backends.remembered import Measurement, cache_file, recall, remember
from isl.models.stages import Stage

_CANDIDATES = ("onnxruntime", "torch", "openvino", "cuda", "mps")
_USUAL = "onnxruntime"
_CLEARLY_FASTER = 1.05


@dataclass(frozen=True)
class _Offer:
    """A backend that can be asked for.

    Attributes
    ----------
    make
        From a number of threads and a device.
    lacks
        What this computer lacks for it, as a sentence; empty where it can run.
    package, extra
        What has to be installed for it, if anything, and the extra of this package that does so.
    """

    make: Callable[[int, torch.device | None], Backend]
    lacks: Callable[[], str] = str
    package: str = ""
    extra: str = ""


_OFFERS: Mapping[str, _Offer] = {
    "onnxruntime": _Offer(lambda threads, _: OnnxBackend(threads), package="onnxruntime"),
    "openvino": _Offer(
        lambda threads, _: OpenvinoBackend(threads), package="openvino", extra="openvino"
    ),
    "torch": _Offer(lambda threads, _: EagerBackend(threads)),
    "torch-bf16": _Offer(
        lambda threads, _: EagerBackend(threads, "torch-bf16", torch.bfloat16), lacks_matrix_units
    ),
    "compile": _Offer(lambda threads, _: CompiledBackend(threads), lacks_compiler),
    "cuda": _Offer(lambda _, device: CudaBackend("cuda", torch.float32, device), lacks_cuda),
    "cuda-bf16": _Offer(
        lambda _, device: CudaBackend("cuda-bf16", torch.bfloat16, device), lacks_cuda
    ),
    "cuda-fp16": _Offer(
        lambda _, device: CudaBackend("cuda-fp16", torch.float16, device), lacks_cuda
    ),
    "mps": _Offer(lambda _threads, _device: MpsBackend(), lacks_mps),
}


def available_backends() -> tuple[str, ...]:
    """Names of the backends that can run here.

    Examples
    --------
    >>> "torch" in available_backends()
    True
    """
    return tuple(
        name
        for name, offer in _OFFERS.items()
        if not offer.lacks() and (not offer.package or find_spec(offer.package))
    )


def make_backend(
    name: str, threads: int | None = None, device: torch.device | str | None = None
) -> Backend:
    """Make a backend by its name.

    Parameters
    ----------
    name
        One of `available_backends`.
    threads
        How many processor threads it works with; all that this process may use by default.
    device
        Which GPU, for those that run on one; the first by default.

    Raises
    ------
    ConfigError
        Where there is no such backend, or this computer lacks what it needs.
    MissingExtraError
        Where its package is not installed.
    """
    threads = _checked(threads)
    offer = _OFFERS.get(name)
    if offer is None:
        raise ConfigError(f"there is no backend {name!r}; available here: {_listed()}")
    if offer.package and not find_spec(offer.package):
        install = f"'in-silico-labeling[{offer.extra}]'" if offer.extra else offer.package
        raise MissingExtraError(
            f"the backend {name} needs the package '{offer.package}', which is not installed; "
            f"run: pip install {install}, or choose one of {_listed()}"
        )
    if lacking := offer.lacks():
        raise ConfigError(f"the backend {name} cannot run here: {lacking}; available: {_listed()}")
    return offer.make(threads, None if device is None else torch.device(device))


def choose_backend(
    stages: Sequence[Stage], source_channels: int, threads: int | None = None
) -> Choice:
    """Choose the fastest backend for a network by a short measurement, which is kept.

    Backends in 16 bits and torch.compile, whose compilation takes longer than most predictions,
    take no part: ask for them by name. ONNX Runtime stays unless another is clearly faster.

    Parameters
    ----------
    stages
        Of the network, in evaluation mode on the processor.
    source_channels
        Planes that the first stages see.
    threads
        As for `make_backend`, and refused as there.
    """
    threads = _checked(threads)
    names = [name for name in _CANDIDATES if name in available_backends()]
    if len(names) == 1:
        return Choice(make_backend(names[0], threads), f"{names[0]}, the only one here")
    path = cache_file(stages, threads)
    found = recall(path)
    if found is None or set(found.megapixels_per_second) - set(names):
        make = {name: partial(make_backend, name, threads) for name in names}
        found = Measurement(
            day=date.today(),
            megapixels_per_second=measure_backends(make, stages, source_channels),
        )
        remember(path, found)
    return _choice(found, threads)


def _choice(found: Measurement, threads: int) -> Choice:
    """The fastest that was measured; the usual one where that is nearly as fast."""
    speeds = found.megapixels_per_second
    if not speeds:
        return Choice(make_backend("torch", threads), "torch, as no other backend works here")
    name = fastest = max(speeds, key=lambda one: speeds[one])
    if speeds[fastest] <= _CLEARLY_FASTER * speeds.get(_USUAL, 0):
        name = _USUAL
    others = ", ".join(f"{one} {speed:.2f}" for one, speed in speeds.items() if one != name)
    rank = "the fastest" if name == fastest else "about as fast as the fastest"
    reason = (
        f"{name}, {rank} of {len(speeds)} here ({speeds[name]:.2f} megapixels/s"
        f"{others and '; '}{others}), measured on {found.day}"
    )
    return Choice(make_backend(name, threads), reason, speeds)


def _checked(threads: int | None) -> int:
    if threads is not None and threads < 1:
        raise ConfigError(f"a backend needs at least 1 thread, not {threads}")
    return threads or default_threads()


def default_threads() -> int:
    """Processor threads that this process may use: $OMP_NUM_THREADS, its cores, its affinity."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(torch.get_num_threads(), usable or 1))


def _listed() -> str:
    return ", ".join(available_backends())
