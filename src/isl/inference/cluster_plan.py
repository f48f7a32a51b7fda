"""What ``--cluster`` asks for, and how the machine is divided among processes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from isl.core.errors import ConfigError

SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")
CORES_PER_PROCESS = 4
"""Cores of each process where their number is not given: one network uses several cores well."""


@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine; ``count`` is None where the machine decides."""

    count: int | None


@dataclass(frozen=True)
class Scheduler:
    """A Dask scheduler that runs already, by its address or by the file that it wrote."""

    address: str = ""
    file: Path | None = None

    def __str__(self) -> str:
        return self.address or str(self.file)


@dataclass(frozen=True)
class WorkerPlan:
    """What one process of this machine gets.

    Attributes
    ----------
    threads
        Threads for arithmetic, at least 1.
    memory_bytes
        Above 95 % of it, the process is ended and its task starts anew.
    device
        Value of ``CUDA_VISIBLE_DEVICES``; None leaves it alone.
    """

    threads: int
    memory_bytes: int
    device: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that numerical libraries read when they are loaded."""
        names = ("ISL_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        devices = {} if self.device is None else {"CUDA_VISIBLE_DEVICES": self.device}
        return dict.fromkeys(names, str(self.threads)) | devices


def parse_cluster(text: str) -> LocalProcesses | Scheduler:
    """Read ``local``, ``local:4``, ``tcp://host:8786`` or the path of a scheduler's JSON file.

    Parameters
    ----------
    text
        What the user typed.

    Returns
    -------
    LocalProcesses or Scheduler
        Where tasks are to run.

    Raises
    ------
    ConfigError
        Where it is none of these, or the file does not exist.

    Examples
    --------
    >>> parse_cluster("local:4")
    LocalProcesses(count=4)
    """
    if text == "local":
        return LocalProcesses(None)
    if re.fullmatch(r"local:[1-9]\d{0,3}", text):
        return LocalProcesses(int(text.removeprefix("local:")))
    if text.startswith(SCHEMES) and re.search(r":\d+/?$", text):
        return Scheduler(address=text.rstrip("/"))
    if text.endswith(".json"):
        return Scheduler(file=_existing(Path(text)))
    if text.startswith(SCHEMES):
        raise ConfigError(
            f"--cluster {text}: the port is missing; {text.rstrip('/')}:8786 is usual"
        )
    if re.fullmatch(r"[\w.-]+:\d{2,}", text) and not text.startswith("local:"):
        raise ConfigError(f"--cluster {text}: for a Dask scheduler write tcp://{text}")
    raise ConfigError(
        f"--cluster {text or repr(text)}: this is neither 'local', 'local:4' (4 processes of this "
        "machine), 'tcp://host:8786' (a Dask scheduler) nor the .json file that a scheduler wrote"
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(
            f"--cluster {path}: there is no such file; start the scheduler with "
            f"'dask scheduler --scheduler-file {path}' in a folder that this machine sees"
        )
    return path


def plan_workers(
    count: int | None, cores: int, memory_bytes: int, devices: tuple[str, ...] = ()
) -> tuple[WorkerPlan, ...]:
    """Divide a machine among processes.

    Parameters
    ----------
    count
        Processes; by default one for each GPU, else one for each four cores.
    cores
        Processor cores that this process may use.
    memory_bytes
        Memory for all processes together.
    devices
        CUDA devices that this process sees.

    Returns
    -------
    tuple of WorkerPlan
        One for each process; GPUs are dealt out in turn.

    Examples
    --------
    >>> [plan.threads for plan in plan_workers(2, cores=8, memory_bytes=16 << 30)]
    [4, 4]
    """
    workers = count or len(devices) or max(1, cores // CORES_PER_PROCESS)
    threads = max(1, cores // workers)
    return tuple(
        WorkerPlan(threads, memory_bytes // workers, devices[i % len(devices)] if devices else None)
        for i in range(workers)
    )


def cuda_devices() -> tuple[str, ...]:
    """CUDA devices that this process sees, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    if not torch.cuda.is_available():
        return ()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return tuple(named.split(",")) if named else tuple(map(str, range(torch.cuda.device_count())))
