"""Where the time of a prediction goes: its pieces one by one, and the statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

import isl
from inference_network import run_image, seconds_of
from inference_runs import Setup, forget_decoded, say, table
from inference_scenes import write_model, write_tiff
from inference_start import start_lines
from isl.core.axes import Box
from isl.inference.jobs import Job, find_source, output_field
from isl.inference.source_stack import SourceStack
from isl.inference.statistics import compute_statistics, parse_statistics
from isl.inference.tiles import plan_boxes
from isl.io.output import resumable_output
from isl.models.distribution import PARAMETERS, SplitLogistic

PLANES, SIDE = 13, 1024
READ_ROWS = 256
REPEATS = 4
STATISTICS = {
    "median": ("median",),
    "median, mean, std, q0.05, q0.95": ("median", "mean", "std", "q0.05", "q0.95"),
    "entropy": ("entropy",),
}


def piece_lines(setup: Setup) -> list[str]:
    """Measure all; three tables."""
    side = 64 if setup.quick else SIDE
    model = write_model(setup.folder / "pieces.isl", setup.network, PLANES)
    source = write_tiff(setup.folder / "pieces.tif", side, PLANES)
    given = {"model": model, "repeats": 1 if setup.quick else REPEATS}
    say("pieces of a prediction")
    pieces = setup.run(measure_pieces, **given, source=source, output=setup.folder / "pieces.zarr")
    cells = [[name, *(f"{1e3 * value:.0f}" for value in got)] for name, got in pieces.items()]
    head = (f"{side} x {side} x {PLANES}", "ms", "ms of the processor", "the same, first time")
    say("statistics")
    shares = setup.run(measure_statistics, **given, side=side)
    shared = [
        [name, f"{1e3 * s:.0f}", f"{100 * share:.1f} %"] for name, (s, share) in shares.items()
    ]
    return [
        *table(head, cells),
        "",
        f"{bottleneck(pieces)} takes longest of reading, network and writing, which overlap.",
        "",
        *table(("statistics of three targets", "ms", "share of the network's time"), shared),
        "",
        *start_lines(setup),
    ]


def bottleneck(pieces: Mapping[str, Sequence[float]]) -> str:
    """What the others wait for."""
    wall = {name: seconds for name, (seconds, *_) in pieces.items()}
    sums = {
        "Reading": wall["measuring the source"] + wall["reading and normalising"],
        "The network": wall["network"],
        "Writing": wall["writing"],
    }
    return max(sums, key=lambda name: sums[name])


def measure_pieces(
    model: str, source: str, output: str, repeats: int
) -> dict[str, tuple[float, float, float]]:
    """Seconds, and those of the processor, of each piece; medians of all but the first time.

    The third number is the processor's time of the first, with what is imported for it.
    """
    found: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        wall, busy = time.perf_counter(), time.process_time()
        result = step()
        spent = (time.perf_counter() - wall, time.process_time() - busy)
        found.setdefault(name, []).append(spent)
        return result

    loaded = timed("loading the model", lambda: isl.load_model(model)).on("auto")
    timed("choosing the backend", lambda: loaded.choice)
    engine = timed("compiling the network", lambda: loaded.median_engine)
    wanted = parse_statistics(["median"])
    for _ in range(1 + repeats):
        forget_decoded(Path(source))
        (fov,) = timed("opening the source", lambda: isl.open_fovs(source))
        job = find_source(loaded.card, fov, None).fitted(loaded.card)
        stack = timed("measuring the source", lambda job=job: job.stack(loaded.card))
        tensor = timed("reading and normalising", lambda stack=stack: read_all(stack))
        raw = timed("network", lambda tensor=tensor: run_image(engine.compiled, tensor).cpu())
        cyx = timed(
            "median",
            lambda raw=raw: compute_statistics(
                engine.offset + engine.scale * raw[0], wanted, loaded.card.targets
            ).numpy(),
        )
        timed("writing", lambda job=job, cyx=cyx: write_all(loaded, job, output, cyx))
    return {
        name: (*map(median, zip(*(spent[1:] or spent), strict=True)), spent[0][1])
        for name, spent in found.items()
    }


def read_all(stack: SourceStack) -> torch.Tensor:
    """The whole source, normalised."""
    size_y, size_x = stack.shape_yx
    rows = [Box(y, min(y + READ_ROWS, size_y), 0, size_x) for y in range(0, size_y, READ_ROWS)]
    bands = [torch.from_numpy(stack.normalizer.apply(stack.read(box))) for box in rows]
    return torch.cat(bands, 1)[None]


def write_all(model: isl.Model, job: Job, output: str, cyx: Any) -> None:
    """Write a prediction."""
    field = output_field(job.fov, model.card.targets, parse_statistics(["median"]))
    with resumable_output(output, [field], overwrite=True) as result:
        writer = result.field(field.name)
        for box in plan_boxes(job.fov.box, writer.block_yx, writer.block_yx):
            result.mark_done(str(box), writer.write(0, box, cyx[:, *box.slices]))


@torch.inference_mode()
def measure_statistics(model: str, side: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds that statistics take beside the network for the median, and their share of it."""
    loaded = isl.load_model(model).on("auto")
    medians, whole = loaded.median_engine, loaded.engine
    source = torch.randn(1, PLANES, side, side)
    taken: dict[str, list[float]] = {name: [] for name in ("network", "larger", *STATISTICS)}
    for _ in range(repeats + 1):
        for name, engine in (("network", medians), ("larger", whole)):
            taken[name].append(seconds_of(lambda engine=engine: run_image(engine.compiled, source)))
        raw, more = (run_image(engine.compiled, source).cpu() for engine in (medians, whole))
        for name, wanted in STATISTICS.items():
            summed = partial(summarise, loaded, raw, more, wanted)
            taken[name].append(seconds_of(summed))
    seconds = {name: median(values[1:]) for name, values in taken.items()}
    larger = max(
        seconds["larger"] - seconds["network"], 0.0
    )  # for the parameters beside the median
    sums = {
        name: seconds[name] + (0.0 if wanted == ("median",) else larger)
        for name, wanted in STATISTICS.items()
    }
    return {name: (value, value / seconds["network"]) for name, value in sums.items()}


def summarise(
    model: isl.Model, medians: torch.Tensor, raw: torch.Tensor, names: tuple[str, ...]
) -> torch.Tensor:
    """From the output of the network to images, as the engine does it."""
    wanted, engine = parse_statistics(names), model.engine
    if all(statistic.of_median for statistic in wanted):
        return compute_statistics(
            engine.offset + engine.scale * medians[0], wanted, model.card.targets
        )
    found = SplitLogistic.from_raw(raw, targets=raw.shape[1] // PARAMETERS)
    scaled = found.map(lambda parameter: parameter[0]).affine(engine.offset, engine.scale)
    return compute_statistics(scaled, wanted, model.card.targets)
