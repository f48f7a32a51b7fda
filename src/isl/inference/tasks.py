"""The unit of work of a run, of resuming it, and of sharing it among processes."""

from __future__ import annotations

from dataclasses import dataclass

from isl.core.axes import Box


@dataclass(frozen=True)
class Task:
    """A part of one image that is predicted and written at once.

    Tasks are planned once for a run and depend on its settings alone, so that a run that was
    interrupted, or is shared by several processes, computes the same numbers.

    Attributes
    ----------
    field
        Name of the field of view.
    t
        Time point.
    write
        Pixels that are written; whole shards of the output, so that no two tasks share one.
    """

    field: str
    t: int
    write: Box

    @property
    def key(self) -> str:
        """Name of the task in a journal.

        Examples
        --------
        >>> Task("B/03/0", 0, Box(0, 1024, 0, 2048)).key
        'B/03/0@t0:0-1024,0-2048'
        """
        box = self.write
        return f"{self.field}@t{self.t}:{box.y0}-{box.y1},{box.x0}-{box.x1}"
