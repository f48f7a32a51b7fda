"""How fast backends run a network here, and whether they are right."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from isl.inference.backends.backend import Backend
from isl.inference.backends.eager import on_one_thread
from isl.models.network import round_up
from isl.models.stages import Stage, run_stages, stage_outputs

TOLERANCE = 1e-4
"""By how much a float32 backend may differ from eager torch, in the standard deviation of a target
(or of what the network gives, where that is more)."""
HALF_TOLERANCE = 3e-2
"""The same for backends that compute in 16 bits."""
_ROWS = 64
_COLUMNS = (64, 1024)
_RUN_SECONDS = 0.04
_ROUNDS = 3
_FAR_BEHIND = 2
_ENOUGH_SECONDS = 0.3

_log = logging.getLogger(__name__)


def measure_backends(
    make: Mapping[str, Callable[[], Backend]], stages: Sequence[Stage], source_channels: int
) -> dict[str, float]:
    """Measure backends side by side on a strip of noise.

    Parameters
    ----------
    make
        Makes each backend, by name.
    stages
        Of the network, on the processor.
    source_channels
        Planes that the first stages see.

    Returns
    -------
    dict
        Megapixels of the image per second, for each backend that runs and is right. One that fails
        or differs from eager torch by more than its tolerance is left out, with a warning.
    """
    with torch.inference_mode(), on_one_thread():
        source = _strip(stages, source_channels)
        examples = stage_outputs(stages, source[..., : _COLUMNS[0]])
        expected = run_stages(tuple(stages), source)
        runs: dict[str, Callable[[], Tensor]] = {}
        for name, maker in make.items():
            try:
                runs[name] = _prepared(maker(), stages, examples, source, expected)
            except Exception as error:  # whatever a library raises, the others remain
                _log.warning("the backend %s is left out: %s", name, error)
        return _speeds(runs, source.shape[2] * source.shape[3] / 1e6)


def _strip(stages: Sequence[Stage], channels: int) -> Tensor:
    """Noise of as many columns as eager torch does in the time that a run may take."""
    align = max(stage.align_px for stage in stages)
    noise = torch.Generator().manual_seed(0)
    rows, least, most = (round_up(side, align) for side in (_ROWS, *_COLUMNS))
    small = torch.randn(1, channels, rows, least, generator=noise)
    seconds = min(_timed(lambda: run_stages(tuple(stages), small)) for _ in range(2))
    columns = round_up(int(least * _RUN_SECONDS / seconds), align)
    return torch.randn(1, channels, rows, min(max(columns, least), most), generator=noise)


def _prepared(
    backend: Backend,
    stages: Sequence[Stage],
    examples: Mapping[str, Tensor],
    source: Tensor,
    expected: Tensor,
) -> Callable[[], Tensor]:
    """Compile all stages; a function that runs the strip and brings the result back."""
    inputs = {stage.name: [examples[name] for name in stage.inputs] for stage in stages}
    steps = {stage.name: backend.compile(stage, inputs[stage.name]) for stage in stages}

    def run() -> Tensor:
        found = stage_outputs(stages, source.to(backend.device, backend.dtype), steps)
        return found[stages[-1].name].float().cpu()

    check_agreement(run(), expected, backend.dtype)
    return run


def check_agreement(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """Compare what a backend gave with eager torch.

    Raises
    ------
    ArithmeticError
        Where it differs by more than the tolerance of its precision, or in shape.
    """
    tolerance = TOLERANCE if dtype == torch.float32 else HALF_TOLERANCE
    if found.shape != expected.shape:
        raise ArithmeticError(f"it gives {tuple(found.shape)}, torch {tuple(expected.shape)}")
    unit = max(1.0, expected.std().item())
    differs = (found - expected).abs().max().item() / unit
    if not differs <= tolerance:  # neither does NaN
        raise ArithmeticError(f"it differs from torch by {differs:.1e}, more than {tolerance:.0e}")


def _speeds(runs: Mapping[str, Callable[[], Tensor]], megapixels: float) -> dict[str, float]:
    """Megapixels per second; in turns, so that a busy moment of the machine hits all alike."""
    seconds = {name: _timed(run) for name, run in runs.items()}
    start = time.perf_counter()
    for _ in range(_ROUNDS - 1):
        for name, run in runs.items():
            # Who is far behind need not be known exactly.
            if seconds[name] < _FAR_BEHIND * min(seconds.values()):
                seconds[name] = min(seconds[name], _timed(run))
        if time.perf_counter() - start > _ENOUGH_SECONDS:
            break
    return {name: megapixels / best for name, best in seconds.items()}


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
