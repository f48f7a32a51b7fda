"""How a folder is watched, and what watching tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from isl.core.errors import ConfigError, IslError
from isl.inference.summary import BadField

ENDINGS = {"zarr": ".zarr", "ome.tif": ".ome.tif"}
"""Ending of an output by its format."""


@dataclass(frozen=True)
class WatchSettings:
    """How a folder is watched.

    Attributes
    ----------
    settle_s
        Seconds for which the files of a field must not have changed.
    patience_s
        Seconds without a change after which an incomplete or damaged field is reported.
    poll_s
        Seconds between two looks at the folder.
    planes
        Planes that a complete stack has; by default as many as the deepest one.
    until_idle_s
        Seconds without anything new after which watching ends; never by default.
    once
        Predict what is complete now, then end.
    pattern
        How files are named.
    format
        ``"zarr"`` or ``"ome.tif"``.
    """

    settle_s: float = 10.0
    patience_s: float = 600.0
    poll_s: float = 5.0
    planes: int | None = None
    until_idle_s: float | None = None
    once: bool = False
    pattern: str | None = None
    format: Literal["zarr", "ome.tif"] = "zarr"

    def __post_init__(self) -> None:
        for name in ("settle_s", "patience_s", "poll_s", "planes", "until_idle_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                flag = name.removesuffix("_s").replace("_", "-")
                raise ConfigError(f"{name} (--{flag}) is {value:g}; it must be above 0")
        if self.format not in ENDINGS:
            raise ConfigError(f"format '{self.format}' is unknown; use {' or '.join(ENDINGS)}")


@dataclass(frozen=True)
class Clock:
    """Where watching takes the time from.

    Attributes
    ----------
    now
        Seconds of a clock that only goes forward.
    sleep
        Lets some seconds pass.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class WatchEvent:
    """Something to tell the user.

    Attributes
    ----------
    kind
        ``predicted``; ``bad`` for a field that is left out; ``note`` for what else to know.
    text
        What happened, without the name where the event is about a bad field.
    field
        Name of the field, or "".
    error
        Why a field is bad.
    """

    kind: Literal["predicted", "bad", "note"]
    text: str
    field: str = ""
    error: IslError | None = None


OnEvent = Callable[[WatchEvent], None]


def unheard(event: WatchEvent) -> None:
    """Receiver of events that does nothing."""


@dataclass(frozen=True)
class WatchSummary:
    """What came of watching.

    Attributes
    ----------
    predicted
        Names of the predicted fields, in order; twice where a field was predicted again.
    bad
        Fields that could not be predicted, or were still incomplete when patience was over.
    waiting
        Fields that are not complete, with what they lack.
    done_before
        Fields that had their prediction already.
    """

    predicted: tuple[str, ...]
    bad: tuple[BadField, ...]
    waiting: tuple[BadField, ...]
    done_before: int
