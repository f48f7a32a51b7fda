"""What the measurements of inference share: fresh processes, and how tables are written."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = str(Path(__file__).parent)
FRESH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from {module} import {function}
print("\\n" + json.dumps({function}(**json.loads(sys.argv[2]))))
"""


@dataclass(frozen=True)
class Setup:
    """How much is measured.

    Attributes
    ----------
    folder
        Where models, images and predictions go; on a local disk.
    quick
        Everything tiny and mostly in this process, to try the scripts; the figures say nothing.
    full
        The largest images too.
    """

    folder: Path
    quick: bool = False
    full: bool = False

    @property
    def network(self) -> str:
        """The default network, or one small enough for a test."""
        return "tiny" if self.quick else "default"

    def run(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """Call a function of a module in a fresh process; what it takes and gives is JSON."""
        given = json.dumps(arguments, default=str)
        if self.quick:
            return function(**json.loads(given))
        code = FRESH.format(module=function.__module__, function=function.__name__)
        command = [sys.executable, "-c", code, FOLDER, given]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(ended.stdout.splitlines()[-1])


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)


def isl_command(*arguments: str | Path) -> list[str]:
    """The command line, in the Python that runs this."""
    return [sys.executable, "-m", "isl", *map(str, arguments)]


def peak_mb() -> float:
    """Most memory that this process has taken.

    Where the system tells: what is usually asked for counts that of the process that started this
    one, too.
    """
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1024**2 if sys.platform == "darwin" else 1024)


def forget_decoded(path: Path) -> None:
    """Make files look new, or what was decoded of them before would be taken from memory."""
    with suppress(OSError):
        os.utime(path)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(cells)} |" for cells in lines]
