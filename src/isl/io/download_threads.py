"""Several downloads at a time, which report to one thread and stop together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Empty, SimpleQueue

from isl.core.errors import IslError, OutputError
from isl.core.progress import Progress, ProgressCallback
from isl.io.collect import OnBad
from isl.io.download_http import HttpClient
from isl.io.download_state import Meter, UnreachableError, byte_unit

_SECONDS_BETWEEN_REPORTS = 0.1
_SECONDS_TO_STOP = 1.0


def run_jobs(
    work: Mapping[str, Callable[[], None]],
    jobs: int,
    client: HttpClient,
    meter: Meter,
    progress: ProgressCallback,
    on_bad: OnBad | None,
) -> tuple[str, ...]:
    """Do pieces of work in threads.

    Parameters
    ----------
    work
        What to do, by the name of the file it fetches.
    jobs
        How many at a time.
    client
        Cancelled when anything ends the work early, an interruption included.
    meter
        Where the threads count their bytes.
    progress
        Told about megabytes or gigabytes, from the calling thread.
    on_bad
        Called from the calling thread with each file that failed, and its error. By default the
        first error raises, and so does the only piece of work.

    Returns
    -------
    tuple of str
        Names of the files that failed.

    Raises
    ------
    OutputError, UnreachableError
        In any case: no other file would do better.
    """
    bad: list[str] = []
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="isl-download")
    names: dict[Future[None], str] = {}
    done: SimpleQueue[Future[None]] = SimpleQueue()
    try:
        for name, piece in work.items():
            names[future := pool.submit(piece)] = name
            future.add_done_callback(done.put)
        for future in _each_as_it_ends(len(names), done, meter, progress):
            error = future.exception()
            if error is None:
                continue
            if on_bad is None or len(work) == 1 or not isinstance(error, IslError):
                raise error
            if isinstance(error, (OutputError, UnreachableError)):
                raise error
            bad.append(names[future])
            on_bad(names[future], error)
    finally:
        # Threads that wait for a silent server are left behind: they only write to their parts.
        client.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        wait([f for f in names if not f.cancelled()], timeout=_SECONDS_TO_STOP)
    return tuple(bad)


def _each_as_it_ends(
    count: int, done: SimpleQueue[Future[None]], meter: Meter, progress: ProgressCallback
) -> Iterator[Future[None]]:
    while count:
        progress(_state(meter))
        with suppress(Empty):
            future = done.get(timeout=_SECONDS_BETWEEN_REPORTS)
            count -= 1
            yield future
    progress(_state(meter))


def _state(meter: Meter) -> Progress:
    total = max(meter.total, meter.done)
    unit_bytes, unit = byte_unit(total)
    return Progress(meter.done / unit_bytes, total / unit_bytes or None, unit, meter.doing)
