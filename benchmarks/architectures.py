"""Speed of networks on a CPU: prints a markdown table of their costs, without training them.

    python benchmarks/architectures.py
    python benchmarks/architectures.py 96,160,256/2,2,2/4 64,128,192/1,2,2/4 unet convnext

A candidate is WIDTHS/BLOCKS/STEM_STRIDE of the default network, or the name of another network.
Candidates take turns, so that a busy machine slows all of them alike; the table holds the fastest
run of each, and the share of the measured rate of matrix products that ONNX Runtime reaches.
"""

from __future__ import annotations

import argparse
import io
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from timeit import timeit

import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from isl.core.networks import AnyNetwork, ConvNeXtConfig, NetworkConfig, UNetConfig
from isl.inference.folding import fold_batch_norm
from isl.models.build import build_labeling_network
from isl.models.density import DensityNetwork

CANDIDATES = (
    "96,160,256/2,2,2/4",
    "96,160,256/1,1,2/4",
    "64,128,192/2,2,2/4",
    "64,128,192/1,2,2/4",
    "64,96,128,256/1,1,1,2/4",
    "160,256/2,2/8",
    "128,192/2,2/8",
    "32,64,128,192/1,1,2,2/2",
    "32,64,128,256/1,1,1,2/2",
    "16,32,64,128,192/1,1,1,1,2/1",
    "unet",
    "convnext",
)
OTHERS = {"unet": UNetConfig(), "convnext": ConvNeXtConfig()}
TARGETS = ("DAPI", "MAP2", "NFH")
PLANES = 13
MATRIX_ROWS = 1024
HEADER = (
    "| network | kFLOP/px | parameters | margin px | eager Mpx/s | ONNX Mpx/s | share |\n"
    "|---|---|---|---|---|---|---|"
)


class Body(nn.Module):
    """A network without its sampling in depth, which no backend but PyTorch runs."""

    def __init__(self, network: DensityNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, sampled: Tensor) -> Tensor:
        """From a sampled stack to the raw output."""
        return self.network.body(sampled)


@dataclass
class Candidate:
    """A network, what it costs, and the seconds that it took."""

    name: str
    network: DensityNetwork
    flops: int
    run: dict[str, Callable[[], object]]
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"eager": [], "onnx": []})

    def row(self, pixels: int, matrix_rate: float) -> str:
        """A line of the table."""
        taken = {backend: min(found) for backend, found in self.seconds.items()}
        speeds = [pixels / 1e6 / taken[backend] for backend in ("eager", "onnx")]
        parameters = sum(p.numel() for p in self.network.parameters()) / 1e6
        costs = f"{self.flops / pixels / 1e3:.0f} | {parameters:.1f} M | {self.network.margin_px}"
        share = f"{100 * self.flops / taken['onnx'] / matrix_rate:.0f} %"
        return f"| {self.name} | {costs} | {speeds[0]:.2f} | {speeds[1]:.2f} | {share} |"


def config_of(name: str) -> AnyNetwork:
    """Configuration of a candidate."""
    if name in OTHERS:
        return OTHERS[name]
    widths, blocks, stride = (part.split(",") for part in name.split("/"))
    return NetworkConfig.model_validate(
        {"widths": widths, "blocks": blocks, "stem_stride": int(stride[0])}
    )


def candidate(name: str, size_px: int, threads: int) -> Candidate:
    """Build a network, count its operations and export it."""
    network = fold_batch_norm(build_labeling_network(config_of(name), TARGETS))
    assert isinstance(network, DensityNetwork)
    body = Body(network).eval()
    source = torch.randn(1, PLANES, size_px, size_px)
    with FlopCounterMode(display=False) as counter:
        body(source)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    exported = io.BytesIO()
    torch.onnx.export(body, (source,), exported, dynamo=False, input_names=["source"])
    session = onnxruntime.InferenceSession(
        exported.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    array, last = source.numpy(), source.contiguous(memory_format=torch.channels_last)
    fast = body.to(memory_format=torch.channels_last)
    run = {"eager": lambda: fast(last), "onnx": lambda: session.run(None, {"source": array})}
    return Candidate(name, network, counter.get_total_flops(), run)


@torch.inference_mode()
def main() -> None:
    """Measure all candidates in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("candidates", nargs="*", default=CANDIDATES, metavar="CANDIDATE")
    parser.add_argument("--size", type=int, default=512, help="side of the image in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter, which dynamo replaces
    torch.set_num_threads(arguments.threads)
    candidates = [
        candidate(name, arguments.size, arguments.threads) for name in arguments.candidates
    ]
    matrix = torch.randn(MATRIX_ROWS, MATRIX_ROWS)
    products: list[float] = []
    for turn in range(arguments.runs + 1):
        times = [timeit(lambda: matrix @ matrix, number=1) for _ in range(len(candidates))]
        products += times if turn else []  # the first turn warms up
        for each in candidates:
            for backend, run in each.run.items():
                each.seconds[backend] += [timeit(run, number=1)][: turn > 0]
    rate = 2 * MATRIX_ROWS**3 / min(products)
    print(f"{platform.processor() or platform.machine()}, {arguments.threads} threads,", end=" ")
    print(f"{arguments.size} px, matrix products {rate / 1e9:.0f} GFLOP/s\n")
    print(HEADER)
    for each in candidates:
        print(each.row(arguments.size**2, rate))


if __name__ == "__main__":
    main()
