"""Watch a folder, and predict each field once the microscope has finished writing it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isl.core.errors import ChannelError, DamagedFileError, DataError, IslError, OutputError
from isl.inference.jobs import find_source, provenance
from isl.inference.model import Model
from isl.inference.predict import predict_fovs
from isl.inference.statistics import parse_statistics
from isl.inference.summary import BadField
from isl.inference.watch_fields import FieldFinder, WatchedField
from isl.inference.watch_listing import Listing, Steadiness, list_folder, stamps_of
from isl.inference.watch_settings import (
    ENDINGS,
    Clock,
    OnEvent,
    WatchEvent,
    WatchSettings,
    WatchSummary,
    unheard,
)
from isl.inference.watch_state import WatchState, only_watcher

_MOST_OF_THE_TIME = 4.0  # a folder that is slow to list is listed more seldom

_ASKED = (
    *("source", "statistics", "dtype", "stitching", "border", "orientations", "resample"),
    "ignore_voxel_size",
)
"""Settings of `predict_fovs` that change what is written, not how fast."""

State = Literal["done", "writing", "waits", "ready", "bad"]


@dataclass
class _Retry:
    """A field that turned out damaged while it was predicted, and when to try it again."""

    error: IslError
    wait_s: float
    at: float


@dataclass
class _Watch:
    """State of one call."""

    model: Model
    root: Path
    output: Path
    settings: WatchSettings
    options: Mapping[str, Any]
    on_event: OnEvent
    state: WatchState
    finder: FieldFinder
    clock: Clock
    steady: Steadiness = field(default_factory=Steadiness)
    predicted: list[str] = field(default_factory=list)
    bad: dict[str, BadField] = field(default_factory=dict)
    waiting: tuple[BadField, ...] = ()
    retries: dict[str, _Retry] = field(default_factory=dict)
    now: float = 0.0
    first_look: float | None = None
    news: float = 0.0
    fresh: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)
    is_away: bool = False
    said: str = ""

    def run(self) -> WatchSummary:
        """Look and predict until a condition to stop is met."""
        self.news = self.clock.now()
        while True:
            started = self.clock.now()
            listing = self.look()
            fields = [] if listing is None else self.finder.find(listing, self.steady, self.now)
            found = [(each, self.judge(each)) for each in fields]
            self.tell_bad(found)
            ready = [each for each, state in found if state == "ready"]
            self.note_waiting(found, ready)
            if ready and not (self.settings.once and self.is_early()):
                self.predict_some(ready)
                if self.settings.once:
                    return self.summary()
            elif self.is_over():
                return self.summary()
            else:
                self.sleep(self.clock.now() - started)

    def look(self) -> Listing | None:
        """List the folder; None while it cannot be listed, as when a share is gone."""
        try:
            listing = list_folder(self.root, skip=self.output)
        except OSError as error:
            if self.settings.once:
                raise
            self.now = self.clock.now()
            if not self.is_away:
                self.say(f"{self.root} cannot be listed ({error}); going on trying")
            self.is_away = True
            return None
        if self.is_away:
            self.say(f"{self.root} is back")
        self.is_away = False
        self.now = self.clock.now()
        self.first_look = self.now if self.first_look is None else self.first_look
        if self.steady.update(listing.stamps, self.now):
            self.news = self.now
        return listing

    def judge(self, each: WatchedField) -> State:
        """What is to be done about a field."""
        age = self.now - each.since
        if self.state.is_done(each):
            return "done"
        if age < self.settings.settle_s:
            return "writing"
        if each.signature in self.bad:
            return "bad"
        patient = age < self.settings.patience_s
        if each.lacking and (patient or not each.is_begun):
            return "waits"
        if each.error is not None and not each.lacking:
            return "waits" if each.may_recover and patient else "bad"
        retry = self.retries.get(each.signature)
        if retry is not None:
            return "bad" if not patient else "ready" if self.now >= retry.at else "waits"
        return "bad" if each.lacking and not each.may_stay_empty else "ready"

    def tell_bad(self, found: list[tuple[WatchedField, State]]) -> None:
        """Report each bad field once; forget those that have changed since."""
        now = {each.signature for each, _ in found}
        self.bad = {key: bad for key, bad in self.bad.items() if key in now or not found}
        for each, state in found:
            if state == "bad" and each.signature not in self.bad:
                retry = self.retries.get(each.signature)
                error = each.error if retry is None else retry.error
                self.refuse(each, self.incomplete(each) if each.lacking or not error else error)

    def incomplete(self, each: WatchedField) -> DataError:
        """Error that says what a field lacks."""
        return DataError(
            f"{each.fov.path if each.fov else self.root}: field {each.name} lacks {each.lacking}, "
            f"and nothing came for {self.settings.patience_s / 60:.4g} min; it is predicted as "
            "soon as the rest arrives"
        )

    def refuse(self, each: WatchedField, error: IslError) -> None:
        """Count a bad field and report it."""
        self.bad[each.signature] = BadField(each.name, str(error))
        self.on_event(WatchEvent("bad", str(error), each.name, error))

    def note_waiting(
        self, found: list[tuple[WatchedField, State]], ready: list[WatchedField]
    ) -> None:
        """Remember what is not complete, and say so where nothing else is to do."""
        done = {each.signature for each, state in found if state == "done"}
        self.before |= done - self.fresh
        writing = [each for each, state in found if state == "writing"]
        waits = [each for each, state in found if state == "waits"]
        self.waiting = (
            *(BadField(each.name, "its files have just changed") for each in writing),
            *(BadField(each.name, _reason(each)) for each in waits),
        )
        if ready or self.is_away or self.is_early():
            return
        incomplete = [f"{each.name}: {_reason(each)}" for each in waits]
        shown = f"; incomplete: {'; '.join(incomplete[:3])}" if incomplete else ""
        more = f" and {len(incomplete) - 3} more" if len(incomplete) > 3 else ""
        key = f"{len(done)}{shown}{more}"
        if key != self.said:
            self.said = key
            self.say(
                f"waiting for images in {self.root}; done: {len(done)}, being written: "
                f"{len(writing)}{shown}{more}"
            )

    def predict_some(self, ready: list[WatchedField]) -> None:
        """Predict what is ready, until it is time to look at the folder again."""
        for number, each in enumerate(ready, 1):
            self.predict(each, len(ready) - number)
            self.news = self.clock.now()
            if not self.settings.once and self.news - self.now > self.settings.poll_s:
                return

    def predict(self, each: WatchedField, waiting: int) -> None:
        """Predict one field, unless its files change under the hands."""
        assert each.fov is not None
        if self.has_changed(each):
            return
        path, replaces = self.state.output_of(each)
        if replaces and self.state.adopt(each, path):
            self.say(f"{each.name} has its prediction already: {path}")
            return
        if replaces:
            self.say(f"{each.name} has changed since {path.name} was predicted: predicting again")
        started = self.clock.now()
        try:
            # What was half predicted from other pixels must not become part of this output.
            settings = {**self.options, "restart": self.state.begin(each, path)}
            predict_fovs(self.model, [each.fov], path, overwrite=replaces, **settings)
            self.state.ended(path)
        except (DataError, DamagedFileError, ChannelError) as error:
            self.failed(each, error)
            return
        if self.has_changed(each):
            self.say(f"{each.name} changed while it was predicted: predicting again when it rests")
            return
        self.state.record(each, path)
        self.fresh.add(each.signature)
        self.retries.pop(each.signature, None)
        self.predicted.append(each.name)
        lacks = f", without {each.lacking}, taken as empty" if each.lacking else ""
        text = f"predicted {each.name} in {self.clock.now() - started:.1f} s: {path}{lacks}"
        self.on_event(WatchEvent("predicted", f"{text} ({waiting} waiting)", each.name))

    def failed(self, each: WatchedField, error: IslError) -> None:
        """Try a damaged field again, as it may be half-written; give up others as they are."""
        if self.has_changed(each):
            return
        if not isinstance(error, DamagedFileError):
            self.refuse(each, error)
            return
        before = self.retries.get(each.signature)
        wait_s = self.settings.settle_s if before is None else 2 * before.wait_s
        self.retries[each.signature] = _Retry(error, wait_s, self.clock.now() + wait_s)

    def has_changed(self, each: WatchedField) -> bool:
        """Whether the files are others than when the folder was listed."""
        try:
            return stamps_of(each.files) != {f: each.stamps[f] for f in each.files}
        except OSError:
            return True

    def is_early(self) -> bool:
        """Whether files that were there at the first look have not been seen for long enough."""
        return self.first_look is None or self.now - self.first_look < self.settings.settle_s

    def is_over(self) -> bool:
        """Whether to stop, as nothing is to be done.

        The time is that of the look: what would have been due since then is seen by the next one.
        """
        if self.settings.once:
            return not self.is_early()
        idle = self.settings.until_idle_s
        return idle is not None and self.now - self.news >= idle

    def sleep(self, took: float) -> None:
        """Wait until the next look; longer where a look takes long."""
        self.clock.sleep(max(self.settings.poll_s, _MOST_OF_THE_TIME * took))

    def say(self, text: str) -> None:
        """Tell what is neither a prediction nor a bad field."""
        self.on_event(WatchEvent("note", text))

    def summary(self) -> WatchSummary:
        """What came of it so far."""
        return WatchSummary(
            tuple(self.predicted), tuple(self.bad.values()), self.waiting, len(self.before)
        )


def watch_folder(
    model: Model,
    folder: str | Path,
    output: str | Path,
    settings: WatchSettings | None = None,
    *,
    source: str | None = None,
    on_event: OnEvent = unheard,
    clock: Clock | None = None,
    **options: Any,
) -> WatchSummary:
    """Predict each field of a folder as soon as all of its files are written.

    Parameters
    ----------
    model
        The model.
    folder
        Folder that a microscope writes to, or an OME-Zarr group that grows.
    output
        Folder that gets one output for each field, and a small file of what is done; calling again
        goes on.
    settings
        When a field is complete, and when to stop.
    source
        Channel to predict from, as for `predict_fovs`.
    on_event
        Told about each prediction, each bad field and what else to know.
    clock
        Where the time comes from; that of the machine by default.
    **options
        Further settings of `predict_fovs`, such as ``statistics``.

    Returns
    -------
    WatchSummary
        Once a condition of the settings to stop is met.

    Raises
    ------
    DataError
        Where the folder does not exist.
    ConfigError
        Where settings make no sense, or the output holds predictions asked for differently.
    OutputError
        Where another process watches for this output, it cannot be written, or the disk is full.

    Examples
    --------
    >>> watch_folder(model, "/microscope/run7", "run7_predicted",
    ...              WatchSettings(once=True)).predicted                # doctest: +SKIP
    ('B_03_0', 'B_03_1')
    """
    settings = settings or WatchSettings()
    root, target = Path(folder).resolve(), Path(output).resolve()
    _check_folders(root, target)
    wanted = parse_statistics(options.get("statistics", ("median",)))
    finder = FieldFinder(
        root,
        lambda fov: find_source(model.card, fov, source).source,
        settle_s=settings.settle_s,
        patience_s=settings.patience_s,
        planes=settings.planes,
        pattern=settings.pattern,
    )
    options = {**options, "source": source}
    with only_watcher(target):
        asked = _asked(model, root, settings, options)
        made = provenance(model.card, wanted)
        state = WatchState(target, root, ENDINGS[settings.format], asked, made)
        watch = _Watch(
            model, root, target, settings, options, on_event, state, finder, clock or Clock()
        )
        return watch.run()


def _check_folders(root: Path, target: Path) -> None:
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder to watch; check the path, or make it")
    if root == target:
        raise OutputError(f"{target} is the watched folder; choose another output folder")
    if any(part.suffix == ".zarr" for part in (target, *target.parents)):
        raise OutputError(f"{target} lies inside an OME-Zarr folder; choose another output folder")


def _asked(
    model: Model, root: Path, settings: WatchSettings, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the predictions depend on, and must not change within one output folder."""
    shown = {name: str(options[name]) for name in _ASKED if name in options}
    card = hashlib.sha256(model.card.model_dump_json().encode()).hexdigest()[:32]
    return {"model": card, "folder": str(root), "format": settings.format, **shown}


def _reason(each: WatchedField) -> str:
    """Why a field waits."""
    if each.lacking:
        return f"lacks {each.lacking}"
    return str(each.error) if each.error is not None else "one of its files cannot be read yet"
