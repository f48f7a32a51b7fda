"""The unit of work of a run, of resuming it, and of sharing it among processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isl.core.axes import Box


@dataclass(frozen=True)
class Task:
    """A part of one image that is predicted and written at once.

    Its pixels do not depend on how an image is cut into tasks, so that a run that was interrupted,
    or is shared by several processes, may cut it in another way. What a journal notes is one shard
    of the output, a task too, as small as they get.

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


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds others, of which there is at least one."""
    return Box(
        min(box.y0 for box in boxes),
        max(box.y1 for box in boxes),
        min(box.x0 for box in boxes),
        max(box.x1 for box in boxes),
    )
