"""``isl download``: fetch the published images and weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isl.cli.console import BadFields, print_table, progress_bar, say, stderr, table
from isl.cli.flags import Names, Switch

if TYPE_CHECKING:
    from isl.io.download import DownloadSummary
    from isl.io.download_plan import DownloadPlan


def download(
    name: str | None = None,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path(),
    include: Annotated[Names | None, Parameter(negative="")] = None,
    jobs: int = 4,
    mirror: str | None = None,
    dry_run: Switch = False,
) -> int:
    """Fetch the published images and weights of 2018; without a name, list what there is.

    Give the same command again after an interruption: it goes on where it stopped. Files that are
    there and intact are not fetched again.

    Parameters
    ----------
    name
        isl2018-sample, isl2018-checkpoint, isl2018-test or isl2018-train.
    output
        Folder that gets a folder of the set's name; the current one by default.
    include
        Fetch only files whose path fits a pattern, such as '*scott_1_0*'; repeat it for several.
        For isl2018-test and isl2018-train.
    jobs
        Files to fetch at a time.
    mirror
        Address of a copy of the bucket, in place of the public one.
    dry_run
        Only list the addresses.
    """
    if name is None:
        show_sets()
        return 0
    from isl.io.download import download as fetch
    from isl.io.download_plan import plan_download

    plan = plan_download(name, include=include or (), mirror=mirror)
    if dry_run:
        show_addresses(plan)
        return 0
    bad = BadFields()
    try:
        with progress_bar() as progress:
            summary = fetch(plan, output, jobs=jobs, progress=progress, on_bad=bad)
    except (KeyboardInterrupt, SystemExit):
        stderr().print("what has come is kept; the same command goes on from there")
        raise
    say(closing_lines(summary, plan))
    return bad.exit_code


def show_sets() -> None:
    """Print what there is to fetch."""
    from isl.io.download_sets import SETS

    shown = table("set", "holds", "size", "licence")
    for published in SETS.values():
        shown.add_row(published.name, published.holds, published.size, published.licence)
    print_table(shown)
    say("next: isl download isl2018-sample -o DATA")


def show_addresses(plan: DownloadPlan) -> None:
    """Print the address of each file, and how much they are together."""
    for address in plan.addresses:
        say(address)
    count = len(plan.files)
    size = plan.published.size if plan.size is None else amount(plan.size)
    say(f"{count} file{'s' * (count > 1)}, size: {size}; licence: {plan.published.licence}")


def closing_lines(summary: DownloadSummary, plan: DownloadPlan) -> str:
    """Say where the files are, how many and how much, and what to type next."""
    new = f"{amount(summary.fetched)} fetched now" if summary.fetched else "all there already"
    lines = [
        f"{summary.folder}: {summary.files} file{'s' * (summary.files != 1)}, "
        f"{amount(summary.size)} ({new}); licence: {plan.published.licence}"
    ]
    if summary.bad:
        count = len(summary.bad)
        lines.append(
            f"{count} file{'s' * (count > 1)} could not be fetched, see above; "
            "the same command tries again"
        )
    lines.append(f"next: {next_command(summary)}")
    return "\n".join(lines)


def next_command(summary: DownloadSummary) -> str:
    """What to do with a set: look at images, or import weights."""
    weights = sorted(summary.folder.rglob("*.index"))
    if weights:
        return f"isl import-checkpoint {weights[0].parent} -o model.isl"
    return f"isl info {summary.folder}"


def amount(size: int) -> str:
    """Bytes in the unit of the progress bar.

    Examples
    --------
    >>> amount(2_000_000_000)
    '2000.0 MB'
    """
    from isl.io.download_state import byte_unit

    unit_bytes, unit = byte_unit(size)
    return f"{size / unit_bytes:.1f} {unit}"
