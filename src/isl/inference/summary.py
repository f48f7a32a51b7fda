"""What a run of predictions did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from isl.core.axes import Box
from isl.core.errors import DataError, IslError
from isl.inference.single_pass import SinglePassDifference
from isl.io.remote_retry import Traffic

OnBad = Callable[[str, IslError], None]
"""Called with the name of a field that cannot be predicted, and the reason."""


@dataclass(frozen=True)
class BadField:
    """A field that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class PredictSummary:
    """What a run of `predict_fovs` did.

    Attributes
    ----------
    path
        Where the predictions are.
    fields
        Names of the predicted fields.
    bad
        Fields left out, with the reason.
    notes
        Which channels were guessed to be the source, and why; images that were resampled; planes
        that are missing or were left out; sources that may not be what the network expects; each
        once.
    pixels
        Pixels predicted now, time points included, targets not.
    seconds
        Wall time.
    valid
        Part of each field that was predicted with border ``"valid"``; empty with ``"reflect"``.
    single_pass
        How far a single pass is from the dense prediction, where that was asked for; measured in
        the middle of the first field.
    backend
        What ran the network, and why.
    resumed
        Tasks that an interrupted run had done.
    waited
        Share of the time, from 0 to 1, that the network waited for what is read.
    traffic
        What came from addresses; nothing where all images are on this machine.
    """

    path: Path
    fields: tuple[str, ...]
    bad: tuple[BadField, ...]
    notes: tuple[str, ...]
    pixels: int
    seconds: float
    valid: tuple[Box, ...] = ()
    single_pass: SinglePassDifference | None = None
    backend: str = ""
    resumed: int = 0
    waited: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def megapixels_per_second(self) -> float:
        """Speed, reading and writing included."""
        return self.pixels / max(self.seconds, 1e-9) / 1e6


class Reports:
    """What is said of fields while they are checked and predicted."""

    def __init__(self, on_bad: OnBad | None) -> None:
        self.bad: list[BadField] = []
        self._on_bad = on_bad

    def refuse(self, name: str, error: IslError) -> None:
        """Report a bad field, or raise where nobody listens."""
        if self._on_bad is None:
            raise error
        self.bad.append(BadField(name, str(error)))
        self._on_bad(name, error)

    def require(self, left: object) -> None:
        """Raise where no field is left."""
        if not left:
            raise DataError(f"none of {len(self.bad)} fields could be predicted, see above")
