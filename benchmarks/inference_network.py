"""One network in one process: the whole prediction and the bare network take turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import isl
from inference_runs import forget_decoded, peak_mb
from isl.inference.backends.choose import default_threads
from isl.inference.backends.eager import use_threads
from isl.inference.compiled import Compiled
from isl.inference.engine import Engine
from isl.inference.predict import PredictSummary, predict_fovs
from isl.models.density import DensityNetwork
from isl.models.stages import run_stages

MATRIX_ROWS = 2048
COUNTED_PX = 256
BARE_PX = 1024


def measure_network(
    model: str, source: str, output: str, backend: str, turns: int, matrix_rows: int = MATRIX_ROWS
) -> dict[str, Any]:
    """Predict an image and run the bare network in turns.

    Parameters
    ----------
    model, source, output
        Paths; the output is overwritten.
    backend
        What runs the network.
    turns
        How many of each.
    matrix_rows
        Side of the matrices whose products are the measure of the machine.

    Returns
    -------
    dict
        ``first_s``, from the first call to its return, ``again_s``, that of further calls, which
        find the network compiled, ``bare_s``, ``matrix_s`` (medians), ``peak_mb`` after the first
        call, ``flops`` of the image, ``waited`` and ``pixels``.
    """
    loaded = isl.load_model(model).on(backend)
    whole: list[float] = []
    bare: list[float] = []
    products: list[float] = []
    summary = predict(loaded, source, output, whole)
    found: dict[str, Any] = {"peak_mb": peak_mb(), "waited": summary.waited}
    run, flops_per_pixel = bare_network(loaded, summary.pixels)
    for turn in range(turns):
        if turn:
            predict(loaded, source, output, whole)
        bare.append(seconds_of(run))
        products.append(seconds_of(product(loaded.median_engine, matrix_rows)))
    return found | {
        "first_s": whole[0],
        "again_s": median(whole[1:]) if turns > 1 else None,
        "bare_s": median(bare),
        "matrix_rate": 2 * matrix_rows**3 / median(products),
        "flops": flops_per_pixel * summary.pixels,
        "pixels": summary.pixels,
        "resolved": loaded.choice.backend.name,
    }


def predict(model: isl.Model, source: str, output: str, seconds: list[float]) -> PredictSummary:
    """Predict an image; process, imports and opening do not count."""
    forget_decoded(Path(source))
    fovs = isl.open_fovs(source)
    start = time.perf_counter()
    summary = predict_fovs(model, fovs, output, overwrite=True, backend=model.backend)
    seconds.append(time.perf_counter() - start)
    return summary


def bare_network(model: isl.Model, pixels: int) -> tuple[Callable[[], None], float]:
    """What runs the stages on as many pixels in memory, and operations for each pixel.

    One image up to 1024 x 1024 pixels, else pieces of that size.
    """
    engine = model.median_engine
    compiled, network = engine.compiled, engine.network
    assert compiled is not None
    assert isinstance(network, DensityNetwork)
    side = min(BARE_PX, int(pixels**0.5))
    source = torch.randn(1, network.depth.slots, side, side)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run_stages(compiled.stages, source[..., :COUNTED_PX, :COUNTED_PX])
    operations = counter.get_total_flops() / min(side, COUNTED_PX) ** 2

    def run() -> None:
        for _ in range(round(pixels / side**2)):
            run_image(compiled, source)

    run_image(compiled, source)  # so that memory is there, and shapes are known
    return run, operations


@torch.inference_mode()
def run_image(compiled: Compiled, source: torch.Tensor) -> torch.Tensor:
    """Run the stages, and wait for them."""
    found = compiled.image(source)
    wait_for(found.device)
    return found


def product(engine: Engine, rows: int) -> Callable[[], None]:
    """A product of square matrices where the network runs, with as many threads."""
    assert engine.compiled is not None
    device = engine.compiled.backend.device
    matrix = torch.randn(rows, rows, device=device)
    use_threads(default_threads())

    def run() -> None:
        matrix @ matrix
        wait_for(device)

    run()
    return run


def wait_for(device: torch.device) -> None:
    """Let a GPU come to an end."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(step: Callable[[], Any]) -> float:
    """Time that passes while something runs."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
