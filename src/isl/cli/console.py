"""What a command says: results, progress, errors, and the exit code that goes with each."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from isl.core.errors import IslError, OutputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from isl.core.progress import Progress, ProgressCallback

GOOD, SOME_BAD, ERROR, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
QUIET_SECONDS = 30.0
"""Seconds between two lines of progress where the output is a file, not a terminal."""

_WIDEST_TABLE = 10_000
_SECONDS_TO_WAIT = 0.1
_MOST_SECONDS_TO_WAIT = 10.0


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM); passes through ``finally`` blocks on its way out."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


def stdout(width: int | None = None) -> Console:
    """Console for results, of the terminal's width by default."""
    from rich.console import Console

    return Console(width=width, soft_wrap=True, highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """Console for progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


def say(text: str = "") -> None:
    """Print one line of results, exactly as it is."""
    stdout().print(text)


def table(*columns: str) -> Table:
    """Plain table whose cells are text, not markup."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def print_table(shown: Table) -> None:
    """Print a table; in a file or pipe as wide as it needs, so that no name is cut in two."""
    console = stdout()
    if not console.is_terminal:
        unlimited = console.options.update(width=_WIDEST_TABLE)
        console = stdout(max(console.width, console.measure(shown, options=unlimited).maximum))
    console.print(shown)


class BadFields:
    """Reports each field that cannot be used, counts them, and knows the exit code.

    Examples
    --------
    >>> bad = BadFields()
    >>> bad.exit_code
    0
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, field: str, error: IslError) -> None:
        """Report one bad field."""
        self.names.append(field)
        stderr().print(f"skipped {field}: {error}", style="yellow")

    @property
    def exit_code(self) -> int:
        """0 where every field was good, else 1."""
        return SOME_BAD if self.names else GOOD

    def summary(self) -> str:
        """Sentence that counts the skipped fields; empty where there are none."""
        count = len(self.names)
        return f"{count} bad field{'s' * (count > 1)} skipped, see above" if count else ""

    def report(self) -> int:
        """Print the summary where there is one; returns the exit code."""
        if self.names:
            say(self.summary())
        return self.exit_code


@contextmanager
def orderly_signals() -> Iterator[list[BaseException]]:
    """Turn SIGINT and SIGTERM into exceptions, so that half-written outputs are removed.

    Yields
    ------
    list
        The exceptions that were raised so far: libraries may turn them into others.
    """
    arrived: list[BaseException] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return

    times: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        times.append(time.monotonic())
        if _is_importing(frame) and times[-1] - times[0] < _MOST_SECONDS_TO_WAIT:
            # A module that is half imported fails in odd ways, up to a crash: try again soon.
            again = threading.Timer(_SECONDS_TO_WAIT, _signal_main_thread, (number,))
            again.daemon = True
            again.start()
            return
        arrived.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
        raise arrived[-1]

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal_main_thread(number: int) -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a frame runs because of an import statement."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def report_error(error: BaseException, debug: bool = False) -> int:
    """Print an error as one message, without a traceback unless asked, and give its exit code.

    Parameters
    ----------
    error
        What ended the command.
    debug
        Print the traceback too.

    Returns
    -------
    int
        Exit code of the process.
    """
    if debug:
        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        return _leave_closed_pipe()
    message, code = _describe(error)
    stderr().print(f"error: {message}" if code == ERROR else message, style="red")
    return code


@contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """Show the progress of a long call: a bar on a terminal, now and then a line elsewhere.

    Yields
    ------
    ProgressCallback
        What to hand to the long call.
    """
    if not sys.stderr.isatty():
        yield _QuietProgress()
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=stderr()) as bar:
        task = bar.add_task("starting", total=None, count="", figures="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                description=progress.message or progress.unit,
                count=_count(progress),
                figures=_figures(progress),
            )

        yield show


class _QuietProgress:
    """Progress for log files."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < QUIET_SECONDS:
            return
        self._last = now
        parts = (progress.message, _count(progress), _figures(progress))
        stderr().print("  ".join(p for p in parts if p))


def _count(progress: Progress) -> str:
    if progress.total == 1:  # a share of a budget, not one thing to do
        return f"{progress.done:.0%}"
    total = "" if progress.total is None else f"/{_number(progress.total)}"
    return f"{_number(progress.done)}{total} {progress.unit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.4g}"


def _figures(progress: Progress) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in progress.values)


def _describe(error: BaseException) -> tuple[str, int]:
    """Message and exit code of an error."""
    left = next(iter(getattr(error, "__notes__", ())), "no half-written output is left behind")
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {left}", INTERRUPTED
    if isinstance(error, Terminated):
        return f"terminated; {left}", TERMINATED
    if isinstance(error, OutputError):
        return "; ".join((str(error), *getattr(error, "__notes__", ()))), ERROR
    if isinstance(error, IslError):
        return str(error), ERROR
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; check the path, its permissions and the disk", ERROR
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory; use fewer or smaller images, or --memory or --tile-px",
            ERROR,
        )
    hint = "this is a fault of the program: run again with --debug and report what it prints"
    return f"{type(error).__name__}: {error}\n{hint}", ERROR


def _leave_closed_pipe() -> int:
    """Let nothing more be written to a pipe that nobody reads (``isl info | head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return GOOD


def plain(value: Any) -> str:
    """Text of a value for a table: tuples without brackets, numbers with four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (tuple, list)):
        return ", ".join(plain(v) for v in value)
    return "-" if value is None else str(value)
