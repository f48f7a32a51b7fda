"""A plate on machines that are not here: time from measured pieces and stated assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

READ_PASSES = 2
"""A source is decoded once for its mean and spread, and once for the network."""


@dataclass(frozen=True)
class Pieces:
    """What one core does, measured, and what one GPU does, assumed.

    Attributes
    ----------
    network_mpx_s
        Megapixels/s of one core: normalisation, network and median.
    read_mb_s, write_mb_s
        Megabytes of pixels decoded, or encoded and written, in a second of one core.
    source_ratio, output_ratio
        Bytes in files for each byte of pixels; that of the output includes its pyramid.
    worker_start_s
        Until a worker has done its first task.
    task_s
        Time of the scheduler for one task.
    gpu_mpx_s
        Megapixels/s of one GPU; an assumption.
    """

    network_mpx_s: float
    read_mb_s: float
    write_mb_s: float
    source_ratio: float
    output_ratio: float
    worker_start_s: float
    task_s: float
    gpu_mpx_s: float


@dataclass(frozen=True)
class Plate:
    """What there is to predict; the defaults are 384 wells of 9 fields, three float32 targets."""

    images: int = 384 * 9
    planes: int = 13
    side_px: int = 2048
    targets: int = 3
    tasks_per_image: int = 1

    @property
    def megapixels(self) -> float:
        """Pixels predicted."""
        return self.images * self.side_px**2 / 1e6

    @property
    def source_mb(self) -> float:
        """Pixels read, uint16."""
        return self.megapixels * self.planes * 2

    @property
    def output_mb(self) -> float:
        """Pixels written, float32."""
        return self.megapixels * self.targets * 4


@dataclass(frozen=True)
class Machine:
    """A machine, or many; all figures are assumptions.

    Attributes
    ----------
    cores, gpus
        In all.
    link_mb_s
        Between the files and all processes together: a disk, or a shared file system.
    link
        What that is.
    """

    name: str
    cores: int
    gpus: int
    link_mb_s: float
    link: str


MACHINES = (
    Machine("laptop, 2 cores", 2, 0, 500, "SATA SSD"),
    Machine("laptop, 8 cores", 8, 0, 2000, "NVMe SSD"),
    Machine("1 GPU, 16 cores", 16, 1, 2000, "NVMe SSD"),
    Machine("8 GPUs, 128 cores", 128, 8, 10000, "striped NVMe SSDs"),
    Machine("100 nodes of 32 cores", 3200, 0, 5000, "parallel file system"),
    Machine("100 nodes, slow storage", 3200, 0, 110, "file server at 1 Gbit/s"),
)


@dataclass(frozen=True)
class Estimate:
    """Seconds of each resource were it alone, and of the whole."""

    network: float
    reading: float
    writing: float
    transfer: float
    scheduler: float
    whole: float
    binds: str


def estimate(plate: Plate, machine: Machine, pieces: Pieces) -> Estimate:
    """Time of a plate on a machine.

    Cores decode, compute and encode one after the other, GPUs compute beside them; the transfer
    and the scheduler work at the same time as all others.  The slowest of these binds.
    """
    reading = READ_PASSES * plate.source_mb / pieces.read_mb_s / machine.cores
    writing = plate.output_mb / pieces.write_mb_s / machine.cores
    moved = plate.source_mb * pieces.source_ratio + plate.output_mb * pieces.output_ratio
    transfer = moved / machine.link_mb_s
    scheduler = plate.images * plate.tasks_per_image * pieces.task_s
    if machine.gpus:
        network = plate.megapixels / pieces.gpu_mpx_s / machine.gpus
        busy = {"GPU": network, "cores (decoding, encoding)": reading + writing}
    else:
        network = plate.megapixels / pieces.network_mpx_s / machine.cores
        busy = {_heaviest(network, reading, writing): network + reading + writing}
    busy |= {f"transfer ({machine.link})": transfer, "scheduler": scheduler}
    binds = max(busy, key=lambda name: busy[name])
    whole = busy[binds] + pieces.worker_start_s
    return Estimate(network, reading, writing, transfer, scheduler, whole, binds)


def _heaviest(network: float, reading: float, writing: float) -> str:
    shares = {"network": network, "decoding": reading, "encoding": writing}
    heaviest = max(shares, key=lambda name: shares[name])
    return f"cores ({heaviest} {100 * shares[heaviest] / sum(shares.values()):.0f} %)"


def pieces_table(pieces: Pieces) -> list[str]:
    """Lines of a table of the pieces."""
    says = {
        "network_mpx_s": "network, megapixels/s of one core",
        "read_mb_s": "decoding sources, MB/s of one core",
        "write_mb_s": "encoding and writing outputs, MB/s of one core",
        "source_ratio": "source: bytes in files for each byte of pixels",
        "output_ratio": "output: the same, with its pyramid",
        "worker_start_s": "worker until its first task is done, s",
        "task_s": "scheduler, s for each task",
        "gpu_mpx_s": "network, megapixels/s of one GPU (**assumed**, not measured)",
    }
    rows = [f"| {says[f.name]} | {getattr(pieces, f.name):.3g} |" for f in fields(pieces)]
    return ["| piece | value |", "|---|---|", *rows]


def plate_table(plate: Plate, pieces: Pieces, machines: Sequence[Machine] = MACHINES) -> list[str]:
    """Lines of a table of machines; times of single resources are as if each were alone."""
    lines = [
        "| machine | network | decoding | encoding | transfer | scheduler | whole | binds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for machine in machines:
        found = estimate(plate, machine, pieces)
        times = (found.network, found.reading, found.writing, found.transfer, found.scheduler)
        cells = " | ".join(map(duration, times))
        lines.append(f"| {machine.name} | {cells} | **{duration(found.whole)}** | {found.binds} |")
    return lines


def duration(seconds: float) -> str:
    """A time with two digits."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{_two_digits(seconds / divisor)} {unit}"
    return f"{_two_digits(seconds / 86400)} d"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"
