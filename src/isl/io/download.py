"""Fetch a published set into a folder: what is missing or damaged, several files at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from isl.core.errors import ConfigError
from isl.core.progress import ProgressCallback, silent
from isl.io.collect import OnBad
from isl.io.download_archive import unpack
from isl.io.download_checksums import Checksums
from isl.io.download_file import fetch_file
from isl.io.download_http import HttpClient
from isl.io.download_listing import RemoteFile
from isl.io.download_plan import DownloadPlan
from isl.io.download_state import Meter, Retries, writing
from isl.io.download_threads import run_jobs

ARCHIVES = ".archives"
"""Hidden folder for archives that are unpacked: nothing that opens images looks into it."""


@dataclass(frozen=True)
class DownloadSummary:
    """What is there after a download.

    Attributes
    ----------
    folder
        Where it is.
    files
        Files of the set that are there and intact, archives not counted.
    size
        Their bytes.
    fetched
        Bytes that came over the network; 0 where all was there already.
    bad
        Names of files that could not be fetched.
    """

    folder: Path
    files: int
    size: int
    fetched: int
    bad: tuple[str, ...]


def download(
    plan: DownloadPlan,
    output: Path,
    *,
    jobs: int = 4,
    retries: Retries | None = None,
    progress: ProgressCallback = silent,
    on_bad: OnBad | None = None,
) -> DownloadSummary:
    """Fetch what is not there yet, or is damaged, into a folder named after the set.

    Sums are recorded in ``checksums.txt`` when a file is first fetched. An interruption leaves
    ``.part`` files, with which the next call goes on.

    Parameters
    ----------
    plan
        Made by `plan_download`.
    output
        Folder that gets the folder of the set.
    jobs
        Files to fetch at a time.
    retries
        When to give up on a file.
    progress
        Told about megabytes or gigabytes, from the thread that called.
    on_bad
        Called with the name of each file that cannot be fetched, and the error; the others are
        fetched all the same. By default the first error raises, and so does the only file.

    Returns
    -------
    DownloadSummary
        Where it is and how much.

    Raises
    ------
    DownloadError
        Where a file cannot be fetched, or is no longer what it was.
    OutputError
        Where the folder cannot be written, or the disk is full.

    Examples
    --------
    >>> download(plan_download("isl2018-sample"), Path("data")).folder    # doctest: +SKIP
    PosixPath('data/isl2018-sample')
    """
    if jobs < 1:
        raise ConfigError(f"--jobs is {jobs}, but at least 1 file has to be fetched at a time")
    folder = output / plan.published.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with HttpClient(retries) as client:
        run = _Run(Checksums(folder), client, Meter(total=plan.size or 0))
        fetch = run.fetch_archive if plan.published.is_archive else run.fetch
        work: dict[str, Callable[[], None]] = {}
        for address, file in zip(plan.addresses, plan.files, strict=True):
            name = plan.published.file_name(file.key)
            work[name] = partial(fetch, address, file, name)
        bad = run_jobs(work, jobs, client, run.meter, progress, on_bad)
    archived = [n for n in run.checksums.sums if not n.startswith(f"{ARCHIVES}/")]
    names = archived if plan.published.is_archive else [n for n in work if n not in bad]
    return run.summary(names, bad)


@dataclass(frozen=True)
class _Run:
    """What the threads of one download share."""

    checksums: Checksums
    client: HttpClient
    meter: Meter

    def fetch(self, address: str, file: RemoteFile, name: str) -> None:
        recorded = self.checksums.sums.get(name)
        path = self.checksums.folder / name
        fetch_file(self.client, address, file, path, recorded, self.meter)
        if recorded is None:
            self.checksums.record(name)

    def fetch_archive(self, address: str, file: RemoteFile, name: str) -> None:
        hidden = f"{ARCHIVES}/{name}"
        recorded = self.checksums.sums.get(hidden)
        if recorded and self._is_unpacked(hidden):
            return
        path = self.checksums.folder / hidden
        fetch_file(self.client, address, file, path, recorded, self.meter)
        self.meter.doing = "unpacking"
        unpack(path, self.checksums, self.client.refuse_cancelled)
        # Recorded last: where the sum of the archive is known, so is all that was in it.
        if recorded is None:
            self.checksums.record(hidden)

    def _is_unpacked(self, archive: str) -> bool:
        self.meter.doing = "checking"
        names = [name for name in self.checksums.sums if name != archive]
        complete = all(map(self.checksums.is_intact, names))
        self.meter.doing = "fetching"
        return complete

    def summary(self, names: Iterable[str], bad: tuple[str, ...]) -> DownloadSummary:
        folder = self.checksums.folder
        sizes = [(folder / name).stat().st_size for name in names]
        return DownloadSummary(folder, len(sizes), sum(sizes), self.meter.received, bad)
