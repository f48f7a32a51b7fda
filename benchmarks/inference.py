"""Speed, memory and sturdiness of prediction; writes the section of docs/benchmarks.md on it.

    python benchmarks/inference.py all --write docs/benchmarks.md       what `make bench` runs
    python benchmarks/inference.py table                                print one part
    python benchmarks/inference.py all --quick                          try the scripts

Parts: ``table`` (networks and backends against the bare network), ``pieces`` (where the time goes,
statistics, start), ``lines`` (time and memory against size), ``kills``, ``small`` (thousands of
small images) and ``cluster`` (processes).  With --write each part replaces its older self.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from inference_kills import kill_lines
from inference_lines import line_lines
from inference_page import dated, update
from inference_pieces import piece_lines
from inference_runs import Setup, say
from inference_small import small_lines
from inference_table import table_lines


def cluster_lines(setup: Setup) -> list[str]:
    """One process without a cluster, and clusters of one and two."""
    from scaling import compare_processes

    side, images = (64, 2) if setup.quick else (1024, 8)
    say("clusters of 1 and 2 processes")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        compare_processes(setup.folder, [1] if setup.quick else [1, 2], side, images)
    return said.getvalue().strip().splitlines()


PARTS: Mapping[str, tuple[str, Callable[[Setup], list[str]]]] = {
    "table": ("Speed against the bare network and the machine", table_lines),
    "pieces": ("Where the time goes", piece_lines),
    "lines": ("Time and memory against the size of the image", line_lines),
    "kills": ("Killed and taken up again", kill_lines),
    "small": ("Thousands of small images", small_lines),
    "cluster": ("Processes", cluster_lines),
}


def chosen(part: str, quick: bool) -> list[str]:
    """Names of the parts to measure; the cluster is never quick."""
    if part != "all":
        return [part]
    return [name for name in PARTS if not quick or name != "cluster"]


def main(arguments: list[str] | None = None) -> int:
    """Measure parts, print them, and write them to the page where there is one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="?", default="all", choices=(*PARTS, "all"))
    parser.add_argument("--quick", action="store_true", help="tiny; the figures say nothing")
    parser.add_argument("--full", action="store_true", help="16384 x 16384 pixels too")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="Markdown file to update")
    parser.add_argument("--folder", type=Path, help="for images and predictions, some 10 GB")
    given = parser.parse_args(arguments)
    for part in chosen(given.part, given.quick):
        title, measure = PARTS[part]
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            text = dated(title, measure(Setup(Path(folder), given.quick, given.full)))
        print(text, end="\n\n", flush=True)
        if given.write is not None:
            update(given.write, {title: text})  # at once, so that nothing measured is lost
    return 0


if __name__ == "__main__":
    sys.exit(main())
