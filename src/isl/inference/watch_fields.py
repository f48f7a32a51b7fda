"""Fields of a watched folder as they are now: which files make them, and what they still lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isl.core.errors import ConfigError, DamagedFileError, DataError, IslError, MissingPlaneError
from isl.inference.watch_listing import (
    ZARR_METADATA,
    Listing,
    Stamp,
    Steadiness,
    signature,
)
from isl.io.collect import Candidate, with_unique_names
from isl.io.fov import Fov
from isl.io.open import find_candidates
from isl.io.plane_files import PlaneFiles
from isl.io.source_files import source_files
from isl.io.tiff import TiffPixels
from isl.io.tiff_pages import tiff_contents


@dataclass(frozen=True)
class WatchedField:
    """A field at one look.

    Attributes
    ----------
    name
        Of the field, or of what will become one.
    files
        Files that it is predicted from, as far as they are there.
    part
        Which of several fields of the same file.
    signature
        Changes with any of the files.
    since
        When they changed last, in seconds of a clock that only goes forward.
    stamps
        Of the files.
    fov
        None as long as it cannot be opened.
    source
        Channel to predict from.
    lacking
        What is not there yet, in words; empty where it is complete.
    is_begun
        Whether any of its pixels are there.
    may_stay_empty
        Whether what lacks may be empty on purpose, as chunks of an OME-Zarr image.
    may_recover
        Whether ``error`` is one that half-written files cause.
    error
        Why it does not open.
    """

    name: str
    files: tuple[Path, ...]
    signature: str
    since: float
    stamps: Mapping[Path, Stamp]
    part: int = 0
    fov: Fov | None = None
    source: str = ""
    lacking: str = ""
    is_begun: bool = True
    may_stay_empty: bool = False
    may_recover: bool = False
    error: IslError | None = None


@dataclass(frozen=True)
class _Opened:
    """What came of opening a candidate: a field with its files, or an error."""

    name: str
    fov: Fov | None = None
    source: str = ""
    files: tuple[Path, ...] = ()
    error: IslError | None = None
    absent: int = 0


class FieldFinder:
    """Finds the fields of a folder again and again, and opens only what has changed.

    Parameters
    ----------
    root
        The folder.
    choose_source
        Gives the name of the channel to predict from, or raises `ChannelError`.
    settle_s
        Files that changed more recently are not opened.
    patience_s
        For how long a damaged file is opened again, as it may be half-written.
    planes
        Planes that a stack must have; by default as many as the deepest one.
    pattern
        How files are named.
    """

    def __init__(
        self,
        root: Path,
        choose_source: Callable[[Fov], str],
        *,
        settle_s: float,
        patience_s: float,
        planes: int | None = None,
        pattern: str | None = None,
    ) -> None:
        self._root = root
        self._choose_source = choose_source
        self._settle_s = settle_s
        self._patience_s = patience_s
        self._planes = planes
        self._pattern = pattern
        self._refused: list[tuple[str, IslError]] = []
        self._opened: dict[tuple[str, Path], tuple[str, list[_Opened]]] = {}

    def find(self, listing: Listing, steady: Steadiness, now: float) -> list[WatchedField]:
        """Fields in the order of their names.

        Parameters
        ----------
        listing
            The folder now.
        steady
            Which has taken in this listing.
        now
            Seconds of the same clock.
        """
        before, self._opened = self._opened, {}
        found: list[WatchedField] = []
        for candidate in self._candidates(listing):
            found += self._fields(candidate, listing, steady, now, before)
        found = _uniquely_named(found)
        return sorted(self._compared(found), key=lambda field: (field.since, field.name))

    def _candidates(self, listing: Listing) -> list[Candidate]:
        try:
            return find_candidates(
                self._root,
                listing.files,
                listing.zarrs,
                pattern=self._pattern,
                on_bad=lambda *refused: self._refused.append(refused),
            )
        except ConfigError:
            raise
        except DataError:  # no file matches the pattern yet
            return []

    def _fields(
        self,
        candidate: Candidate,
        listing: Listing,
        steady: Steadiness,
        now: float,
        before: Mapping[tuple[str, Path], tuple[str, list[_Opened]]],
    ) -> Iterator[WatchedField]:
        """Fields of a candidate; one without a `Fov` where it is too early to open it."""
        is_zarr = candidate.files[0] in listing.metadata
        files = listing.metadata[candidate.files[0]] if is_zarr else candidate.files
        key, state = (candidate.name, min(candidate.files)), self._state(files, listing)
        since = steady.since(files, now)
        if not is_zarr and now - since < self._settle_s:
            yield WatchedField(candidate.name, files, state, since, listing.stamps)
            return
        known, opened = before.get(key, ("", []))
        may_recover = any(isinstance(o.error, DamagedFileError) for o in opened)
        if known != state or (may_recover and now - since < self._patience_s):
            opened = self._open(candidate)
        self._opened[key] = state, opened
        for part, each in enumerate(opened):
            if each.error is None:
                yield self._field(each, 0 if is_zarr else part, listing, steady, now)
            elif is_zarr:
                yield self._bad_zarr(candidate.files[0], each, listing, steady, now)
            else:
                waits = isinstance(each.error, (DamagedFileError, MissingPlaneError))
                yield WatchedField(
                    *(each.name, files, f"{state}#{part}", since, listing.stamps, part, each.fov),
                    error=each.error,
                    may_recover=waits,
                )

    def _bad_zarr(
        self, group: Path, opened: _Opened, listing: Listing, steady: Steadiness, now: float
    ) -> WatchedField:
        """A field of an OME-Zarr group that does not open, told apart by its own metadata only.

        One that is announced but not there waits as long as anything comes in the group.
        """
        folder = group / opened.name if opened.fov is None else opened.fov.path
        own = tuple(folder / n for n in ZARR_METADATA if folder / n in listing.stamps)
        return WatchedField(
            opened.name,
            own,
            f"{self._state(own, listing)}#{folder}",
            steady.since(own or listing.metadata[group], now),
            listing.stamps,
            fov=opened.fov,
            error=opened.error,
            may_recover=True,
        )

    def _open(self, candidate: Candidate) -> list[_Opened]:
        self._refused.clear()
        try:
            fovs: Sequence[Fov] = candidate.open()
        except IslError as error:
            return [_Opened(candidate.name, error=error)]
        return [
            *(self._with_source(fov) for fov in fovs),
            *(_Opened(name, error=error) for name, error in self._refused),
        ]

    def _with_source(self, fov: Fov) -> _Opened:
        try:
            source = self._choose_source(fov)
        except IslError as error:
            return _Opened(fov.name, fov, error=error)
        files, absent = source_files(fov, source), _absent_planes(fov, source)
        return _Opened(fov.name, fov, source, files, absent=absent)

    def _field(
        self, opened: _Opened, part: int, listing: Listing, steady: Steadiness, now: float
    ) -> WatchedField:
        there = tuple(file for file in opened.files if file in listing.stamps)
        chunks, count = len(there), len(opened.files)
        field = WatchedField(
            opened.name,
            there,
            f"{self._state(there, listing)}#{part}",
            steady.since(there, now),
            {file: listing.stamps[file] for file in there},
            part,
            opened.fov,
            opened.source,
        )
        if opened.absent:
            return replace(field, lacking=f"{opened.absent} planes, whose files are not there")
        if chunks == count:
            return field
        lacking = f"{count - chunks} of {count} pieces of channel {opened.source}"
        return replace(field, lacking=lacking, is_begun=chunks > 1, may_stay_empty=True)

    def _compared(self, fields: Sequence[WatchedField]) -> Iterator[WatchedField]:
        """The fields, with what the others have and they lack."""
        opened = [f for f in fields if f.fov is not None and f.source]
        usual = Counter(f.source for f in opened).most_common(1)
        most: dict[str, int] = {}
        for field in opened:
            assert field.fov is not None
            planes = field.fov.channel(field.source).planes
            most[field.source] = max(planes, most.get(field.source, 0))
        for field in fields:
            lacking = "" if field.fov is None else self._lacking(field, field.fov, usual, most)
            yield replace(field, lacking=lacking, may_stay_empty=False) if lacking else field

    def _lacking(
        self,
        field: WatchedField,
        fov: Fov,
        usual: Sequence[tuple[str, int]],
        most: Mapping[str, int],
    ) -> str:
        """What a field lacks beside others; empty where nothing is missing."""
        if usual and field.source != usual[0][0] and usual[0][0] not in fov.channel_names:
            return f"channel {usual[0][0]}, which other fields have"
        if not field.source:
            return ""
        planes, wanted = fov.channel(field.source).planes, self._planes or most[field.source]
        who = "as --planes asks" if self._planes else "as other fields have"
        missing = wanted - planes
        return f"{missing} of {wanted} planes of channel {field.source}, {who}" * (missing > 0)

    def _state(self, files: Sequence[Path], listing: Listing) -> str:
        return signature(self._root, files, listing.stamps)


def _uniquely_named(fields: Sequence[WatchedField]) -> list[WatchedField]:
    """The fields, renamed as `isl.io.open.open_fovs` would where names collide."""
    fovs = iter(with_unique_names([f.fov for f in fields if f.fov is not None]))
    named = [(field, None if field.fov is None else next(fovs)) for field in fields]
    return [f if fov is None else replace(f, fov=fov, name=fov.name) for f, fov in named]


def _absent_planes(fov: Fov, source: str) -> int:
    """Planes that an OME-TIFF announces in other files that are not there."""
    if isinstance(fov.pixels, TiffPixels):
        series = [tiff_contents(fov.pixels.path).series[fov.pixels.series]]
    elif isinstance(fov.pixels, PlaneFiles):
        refs = [ref for at, ref in fov.pixels.planes.items() if at[0] == fov.channel_index(source)]
        stacks = {ref.path for ref in refs if ref.plane > 0}
        series = [tiff_contents(path).series[0] for path in stacks]
    else:
        series = []
    return sum(plane is None for each in series for plane in each.planes)
