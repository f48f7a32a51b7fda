"""Repeat tests whose outcome could hang on chance, and count how often each fails.

usage: python benchmarks/repeat_tests.py [--times 50] [--busy 2] [--marked EXPRESSION] [PATH ...]

Each round is a process of its own. By default the rounds hold all tests of clusters,
interruptions, threads, watching and kills but the slow ones (``--marked "concurrent and slow"``
repeats those). ``--busy 2`` keeps two processes at work beside them that only count.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MARKED = "concurrent and not slow"
COUNT = "while True: pass"


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep some processor cores busy."""
    loops = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def holding_marked() -> list[Path]:
    """Files that hold marked tests: to collect the others takes longer than to run these."""
    tests = Path(__file__).parent.parent / "tests"
    return [path for path in sorted(tests.rglob("test_*.py")) if "concurrent" in path.read_text()]


def run_once(paths: Sequence[str], marked: str) -> tuple[list[str], str]:
    """Names of the tests that fail in one round, and the line that counts them all."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marked, *paths]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    if ended.returncode and not failed:
        failed = [f"the run itself, with exit code {ended.returncode}"]
    if failed:
        print(ended.stdout[-6000:], flush=True)
    return failed, (ended.stdout.strip().splitlines() or [""])[-1]


def main() -> int:
    """Repeat, and print what failed how often."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--marked", default=MARKED)
    asked = parser.parse_args()
    paths = asked.paths or [str(path) for path in holding_marked()]
    failures: Counter[str] = Counter()
    seconds, bad = [], 0
    with busy_loops(asked.busy):
        for number in range(1, asked.times + 1):
            started = time.perf_counter()
            failed, last = run_once(paths, asked.marked)
            seconds.append(time.perf_counter() - started)
            failures.update(failed)
            bad += bool(failed)
            print(f"round {number} of {asked.times}: {last}", flush=True)
    print(
        f"{asked.times - bad} of {asked.times} rounds passed beside {asked.busy} busy loops, "
        f"{statistics.median(seconds):.0f} s a round (median)"
    )
    for name, count in failures.most_common():
        print(f"{count:4d} x {name}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
