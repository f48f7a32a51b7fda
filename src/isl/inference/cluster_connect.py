"""Connection to a Dask scheduler that runs already, and what is checked before it gets work."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from distributed import Client
from distributed.security import Security

import isl
from isl.core.errors import ClusterError
from isl.inference.cluster_plan import Scheduler

if TYPE_CHECKING:
    from distributed.client import VersionsDict

logger = logging.getLogger(__name__)

T = TypeVar("T")

DISTRIBUTION = "in-silico-labeling"
SAME = ("python", "distributed", DISTRIBUTION)
"""Packages whose versions have to agree for tasks to be understood."""
ENCRYPTED = ("tls://", "wss://")
"""Addresses that are reached with certificates alone."""
TRIES = 5
"""How often all workers are asked for something before the scheduler counts as gone."""
LOST = (
    "the connection to the scheduler was lost; start it again, and the same command goes on with "
    "the tasks that are left"
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Dask logs of workers that come and go; a run says itself what matters."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def ask_workers(ask: Callable[..., T], *arguments: object) -> T:
    """Ask all workers at once for something; again where one of them dies while it is asked.

    Parameters
    ----------
    ask
        Method of a `Client` that fails unless each worker answers.
    *arguments
        What it is called with.

    Returns
    -------
    T
        What ``ask`` gives.

    Raises
    ------
    ClusterError
        Where it fails again and again, as when the scheduler is gone.
    """
    for _ in range(TRIES - 1):
        with suppress(OSError):
            return ask(*arguments)
    try:
        return ask(*arguments)
    except OSError as error:
        raise ClusterError(f"{LOST} ({error})") from error


@contextmanager
def connected(scheduler: Scheduler, wait_s: float, connect_s: float) -> Iterator[Client]:
    """Connect, wait for the first worker and check the installations.

    Raises
    ------
    ClusterError
        Where the scheduler cannot be reached, or only with certificates that are not set, no worker
        comes within ``wait_s`` seconds, or the installations differ.
    """
    client = _connect(scheduler, connect_s)
    try:
        _wait_for_workers(client, scheduler, wait_s)
        versions = ask_workers(partial(client.get_versions, packages=[DISTRIBUTION]))
        check_versions(cast("VersionsDict", versions))
        yield client
    finally:
        client.close()


def _connect(scheduler: Scheduler, connect_s: float) -> Client:
    address = scheduler.address if scheduler.file is None else _address_in(scheduler.file)
    if address.startswith(ENCRYPTED) and _certificates() is None:
        raise ClusterError(
            f"--cluster {scheduler}: {address} wants certificates, and Dask knows of none here; "
            "name them in its settings (distributed.comm.tls.ca-file, .client.cert and "
            ".client.key), or use tcp:// where the scheduler does"
        )
    try:
        return Client(address, timeout=connect_s, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"--cluster {scheduler}: no Dask scheduler answers there ({error}); start one with "
            "'dask scheduler', check address and port, and whether a firewall is between"
        ) from error


def _certificates() -> Any:
    """What Dask's settings say that this process shows a scheduler; None where they do not."""
    return Security().get_connection_args("client").get("ssl_context")


def _address_in(path: Path) -> str:
    """Address that a scheduler wrote into its file."""
    try:
        return str(json.loads(path.read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"--cluster {path}: this is not the file of a Dask scheduler, or not all of it; delete "
            f"it and start the scheduler again with 'dask scheduler --scheduler-file {path}'"
        ) from error


def _wait_for_workers(client: Client, scheduler: Scheduler, wait_s: float) -> None:
    if client.nthreads():
        return
    logger.warning("%s has no workers yet; waiting for the first", scheduler)
    try:
        client.wait_for_workers(1, timeout=wait_s)
    except TimeoutError as error:
        raise ClusterError(
            f"--cluster {scheduler}: no worker has come for {wait_s:.0f} s; start some with "
            f"'dask worker {client.scheduler_info()['address']} --nthreads 1', or look at the "
            "queue of the cluster"
        ) from error


def check_versions(versions: VersionsDict) -> None:
    """Refuse workers that would not understand the tasks.

    Parameters
    ----------
    versions
        What `distributed.Client.get_versions` found.

    Raises
    ------
    ClusterError
        Where this package is missing on a worker, or its version, or that of Python or distributed,
        differs.
    """
    here = versions["client"]["packages"]
    parts = {"the scheduler": versions["scheduler"]}
    parts |= {f"worker {address}": found for address, found in versions["workers"].items()}
    for name, found in parts.items():
        names = SAME[:-1] if name == "the scheduler" else SAME
        _compare(name, here, found.get("packages", {}), names)


def _compare(
    name: str, here: Mapping[str, Any], there: Mapping[str, Any], names: Sequence[str]
) -> None:
    for package in names:
        wanted, found = _version(package, here), _version(package, there)
        if found is None and wanted is not None:
            raise ClusterError(
                f"{name} has no package '{package}'; install the same environment on all machines: "
                f"pip install '{DISTRIBUTION}[cluster]=={isl.__version__}'"
            )
        if found != wanted:
            raise ClusterError(
                f"{name} has {package} {found}, this process {wanted}; start the workers from the "
                "same environment"
            )


def _version(package: str, versions: Mapping[str, Any]) -> str | None:
    """Version as far as it counts: of Python, the two first numbers."""
    found = versions.get(package)
    if found is None:
        return None
    return ".".join(str(found).split(".")[:2]) if package == "python" else str(found)


def check_paths(client: Client, paths: Sequence[str]) -> None:
    """Refuse workers that do not see the files of the run.

    Parameters
    ----------
    client
        The connection.
    paths
        Files and folders that each worker has to see.

    Raises
    ------
    ClusterError
        Naming the first worker and path.
    """

    def missing(wanted: Sequence[str]) -> list[str]:
        import os

        return [path for path in wanted if not os.path.exists(path)]

    for worker, absent in ask_workers(client.run, missing, list(paths)).items():
        if absent:
            raise ClusterError(
                f"worker {worker} does not see {absent[0]}; images, model and output have to be in "
                "folders that all machines share under the same path"
            )
