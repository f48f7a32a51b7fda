"""What ``isl predict --dry-run`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isl.inference.run_plan import RunPlan
    from isl.io.output_place import Place

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def plan_lines(plan: RunPlan, place: Place) -> tuple[str, ...]:
    """Say what a run would do, and what may keep it from doing so.

    Parameters
    ----------
    plan
        Of the run.
    place
        Where it would write.
    """
    runner = plan.runner
    speed = plan.measure_speed()
    seconds = plan.computed_pixels * (1.0 - plan.done_share) / 1e6 / speed
    again = 100.0 * (plan.computed_pixels / plan.pixels - 1.0)
    return (
        f"{_counted(len(runner.jobs), 'field')}, {plan.pixels / 1e6:.1f} megapixels, in "
        f"{_counted(len(plan.tasks), 'part')} and {_counted(sum(plan.parts.values()), 'tile')}",
        f"run by {plan.run_by}",
        *_unfinished_lines(plan),
        f"time: about {_duration(seconds)} at {speed:.2f} megapixels/s"
        + (f", {again:.0f} % of which where parts overlap" if again >= 1 else ""),
        f"memory: up to {plan.memory_bytes / 1e9:.1f} GB, of {runner.memory_bytes / 1e9:.1f} GB "
        "that may be taken",
        f"disk: {size_text(plan.source_bytes)} are read, up to {size_text(plan.output_bytes)} "
        f"written, of {size_text(place.free_bytes)} that are free",
        *_place_warnings(plan, place),
        "nothing was done, as this was a dry run",
    )


def _unfinished_lines(plan: RunPlan) -> tuple[str, ...]:
    """Say what happens to what an interrupted run has left."""
    begun = plan.begun
    if begun is None:
        return ()
    if begun.reason:
        left = _counted(len(begun.tasks), "finished shard")
        return (f"discards {left} of an unfinished run ({begun.reason})",)
    return (
        f"goes on with an unfinished run, of which {plan.done_tasks} of "
        f"{_counted(len(plan.tasks), 'part')} are done ({100 * plan.done_share:.0f} % of the "
        "pixels)",
    )


def _place_warnings(plan: RunPlan, place: Place) -> tuple[str, ...]:
    """Say what would keep the run from writing its output."""
    lines = []
    if not place.is_writable:
        lines.append(
            f"warning: nothing can be written to {place.folder}; change its permissions or choose "
            "another folder"
        )
    needed = int(plan.output_bytes * (1.0 - plan.done_share))
    if place.free_bytes < needed:
        lines.append(
            f"warning: the disk of {place.folder} has {size_text(place.free_bytes)} free, but up "
            f"to {size_text(needed)} are written; make room or choose another disk"
        )
    return tuple(lines)


def size_text(nbytes: float) -> str:
    """A number of bytes in the unit that suits it.

    Examples
    --------
    >>> size_text(1_230_000)
    '1.2 MB'
    """
    for unit, size in _UNITS:
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes:.0f} bytes"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
