"""How long calls report their progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """State of a long call.

    Attributes
    ----------
    done, total
        Units of work finished and planned; ``total`` is None where it is not known.
    unit
        What is counted: ``"tile"``, ``"step"``, ``"field"``.
    message
        What happens now, in a few words.
    values
        Figures worth showing, such as the loss.
    """

    done: float
    total: float | None
    unit: str
    message: str = ""
    values: tuple[tuple[str, float], ...] = ()


ProgressCallback = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Progress callback that does nothing; the default of every long call."""
