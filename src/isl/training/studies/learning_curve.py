"""Learning curves: models trained on more and more of the data, scored on the same part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError, OutputError
from isl.core.progress import Progress, ProgressCallback, silent
from isl.data.samples import OnBad
from isl.data.splits import Split, split_datasets
from isl.evaluation.amount import AmountFit, fit_amount, in_words
from isl.evaluation.amount_picture import Line, draw_curve
from isl.evaluation.bootstrap import Interval
from isl.evaluation.evaluate import evaluate_model
from isl.evaluation.evaluation import Evaluation
from isl.inference.model import Model
from isl.inference.model_file import load_model
from isl.io.fov import Fov
from isl.io.roles import Roles
from isl.io.staging import staged
from isl.training.fields import choose_fields
from isl.training.processes.distributed import check_one_device
from isl.training.run import train
from isl.training.run_folder import RunFolder
from isl.training.studies.portions import (
    Portion,
    choose_amounts,
    heldout_fields,
    make_portion,
    train_fields,
)

logger = logging.getLogger(__name__)

SCRATCH, MODEL = "scratch", "model"
"""Starts of a curve: random weights, or those of the model that `start_from` names."""


@dataclass(frozen=True)
class CurvePoint:
    """One target, learned from one amount of data.

    Attributes
    ----------
    start
        ``"scratch"`` or ``"model"``.
    target
        Its name.
    amount
        Number of fields, or share of the training part of the only field.
    train_pixels
        Pixels trained on.
    r, low, high
        Pearson r on the held-out part with its 95 % interval.
    """

    start: str
    target: str
    amount: float
    train_pixels: int
    r: float
    low: float
    high: float

    @property
    def figure(self) -> Interval:
        """Pearson r with its interval."""
        return Interval(self.r, self.low, self.high)


@dataclass(frozen=True)
class LearningCurve:
    """r by amount of data.

    Attributes
    ----------
    points
        In the order in which they were learned.
    unit
        Unit of the amounts.
    heldout
        What all models were scored on.
    """

    points: tuple[CurvePoint, ...]
    unit: str
    heldout: str

    def series(self) -> dict[tuple[str, str], tuple[CurvePoint, ...]]:
        """Points of each start and target, by rising amount."""
        keys = dict.fromkeys((p.start, p.target) for p in self.points)
        ordered = sorted(self.points, key=lambda p: p.amount)
        return {key: tuple(p for p in ordered if (p.start, p.target) == key) for key in keys}

    def fits(self) -> dict[tuple[str, str], AmountFit | None]:
        """Law of each start and target; None where there are too few amounts."""
        return {
            key: fit_amount([p.amount for p in points], [p.figure for p in points])
            for key, points in self.series().items()
        }

    def lines(self) -> tuple[str, ...]:
        """What more data would bring, one sentence per start and target."""
        fits, several = self.fits(), len({p.start for p in self.points}) > 1
        return tuple(
            in_words(_label(*key, several), fits[key], points[-1].figure)
            for key, points in self.series().items()
        )

    def write(self, folder: Path) -> None:
        """Write curve.csv, curve.png and report.md; existing ones are replaced.

        Raises
        ------
        OutputError
            Where they cannot be written.
        """
        table = pd.DataFrame([asdict(point) for point in self.points])
        with staged(folder / "curve.csv", overwrite=True) as path:
            table.to_csv(path, index=False)
        draw_curve(folder / "curve.png", self._drawn(), self.unit)
        with staged(folder / "report.md", overwrite=True) as path:
            path.write_text(self._report(), "utf-8")

    def _drawn(self) -> list[Line]:
        fits, series = self.fits(), self.series()
        several = len({p.start for p in self.points}) > 1
        targets = list(dict.fromkeys(p.target for p in self.points))
        return [
            Line(
                _label(start, target, several),
                tuple(p.amount for p in points),
                tuple(p.figure for p in points),
                fits[start, target],
                several and start == SCRATCH,
                targets.index(target),
            )
            for (start, target), points in series.items()
        ]

    def _report(self) -> str:
        """Page in Markdown."""
        head = (
            f"| start | target | {self.unit} | megapixels | r | 95 % |\n|---|---|---|---|---|---|"
        )
        rows = [
            f"| {p.start} | {p.target} | {p.amount:g} | {p.train_pixels / 1e6:.3g} | {p.r:.3f} | "
            f"{p.low:.3f} to {p.high:.3f} |"
            for points in self.series().values()
            for p in points
        ]
        return "\n\n".join(
            [
                "# How r grows with the amount of training data",
                f"All models are scored on the same held-out part: {self.heldout}. Each amount "
                "holds the smaller ones.",
                "![r against the amount of data](curve.png)",
                "\n".join(f"- {line}" for line in self.lines()),
                "\n".join([head, *rows]),
                "The law fitted is r(n) = limit - loss * n^-power. Its intervals come from those "
                "of r, which say how r varies over the held-out part, and from the distance of the "
                "points from the law; they do not know other cells, other microscopes or a longer "
                "training. They count the same part for all amounts as if each had its own, which "
                "makes them rather too wide. Each amount was trained once.\n",
            ]
        )


def _label(start: str, target: str, several: bool) -> str:
    if not several:
        return target
    return f"{target} ({'from the model' if start == MODEL else 'from scratch'})"


def learning_curve(
    fovs: Sequence[Fov],
    config: TrainConfig,
    folder: Path | str,
    *,
    amounts: Sequence[int] | None = None,
    fractions: Sequence[float] | None = None,
    also_scratch: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    announce: Callable[[str], None] | None = None,
    on_bad: OnBad | None = None,
) -> LearningCurve:
    """Train one model per amount of data, score each on the same held-out part, and write all.

    Amounts that are finished are not learned again, and an interrupted one is resumed, where the
    call is repeated with the same folder, fields and settings.

    Parameters
    ----------
    fovs
        Fields of view with source and targets.
    config
        Settings of each of the runs, the budget among them.
    folder
        Where models, curve.csv, curve.png and report.md go.
    amounts
        Numbers of fields.
    fractions
        Shares of the fields, or of the training part of a single field, up to 1.
    also_scratch
        Where ``start_from`` names a model: learn from random weights too, to compare.
    overwrite
        Replace what was learned with other settings.
    progress, on_bad
        As for `isl.training.run.train`.
    announce
        Called with a line before and after each run.

    Raises
    ------
    ConfigError
        Where amounts cannot be reached, or nothing is held out.
    OutputError
        Where the folder was made with other settings, or cannot be written.
    """
    check_one_device(config, "a learning curve")
    old = None if config.start_from is None else load_model(config.start_from)
    usable, roles = choose_fields(fovs, config, on_bad, old)
    if also_scratch and config.start_from is None:
        raise ConfigError(
            "--also-scratch compares with a model to start from; give one with --from"
        )
    split = split_datasets(usable, config.holdout, {}, config.holdout_margin_px)
    if not heldout_fields(usable, split):
        raise ConfigError("a learning curve needs a held-out part; leave out --holdout none")
    count = len(train_fields(usable, split))
    chosen = choose_amounts(count, amounts, fractions)
    plan = _Plan(usable, roles, split, Path(folder), progress, announce or _note)
    plan.prepare(config, overwrite)
    starts = _starts(config, old, also_scratch)
    points: list[CurvePoint] = []
    for amount in chosen:
        portion = make_portion(usable, split, roles, amount, config.seed)
        for start, settings in starts.items():
            points += plan.learn(start, portion, settings)
    unit = "share of the field" if count == 1 else "fields"
    curve = LearningCurve(tuple(points), unit, f"{split.holdout} ({split.reason})")
    curve.write(plan.folder)
    return curve


def _note(line: str) -> None:
    logger.info("%s", line)


def _starts(config: TrainConfig, old: Model | None, also_scratch: bool) -> dict[str, TrainConfig]:
    """Settings by start; from scratch the network is that of the model."""
    if old is None:
        return {SCRATCH: config}
    starts = {MODEL: config}
    if also_scratch:
        given = config.model_dump(exclude_unset=True)
        given |= {"start_from": None, "freeze": (), "shared_learning_rate": 1.0}
        if "network" not in config.model_fields_set:
            given["network"] = old.card.network.model_dump()
        starts[SCRATCH] = TrainConfig.model_validate(given)
    return starts


@dataclass(frozen=True)
class _Plan:
    """What all runs of a curve have in common."""

    fovs: tuple[Fov, ...]
    roles: Roles
    split: Split
    folder: Path
    progress: ProgressCallback
    announce: Callable[[str], None]

    def prepare(self, config: TrainConfig, overwrite: bool) -> None:
        """Make the folder, or check that it was made for the same fields and settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "settings.yaml"
        settings = {
            "training": config.model_dump(mode="json"),
            "fields": sorted(fov.name for fov in self.fovs),
            "held_out": self.split.holdout,
        }
        if path.is_file() and yaml.safe_load(path.read_text("utf-8")) != settings:
            if not overwrite:
                raise OutputError(
                    f"{self.folder} holds a learning curve of other fields or settings, see "
                    f"{path}; choose another folder, or pass --overwrite"
                )
            for model in self.folder.glob("*.isl"):
                model.unlink()
                RunFolder.of(model).checkpoint.unlink(missing_ok=True)
        elif not path.is_file() and any(self.folder.iterdir()):
            raise OutputError(f"{self.folder} holds other files; choose an empty or new folder")
        path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")

    def learn(self, start: str, portion: Portion, config: TrainConfig) -> list[CurvePoint]:
        """Train on one amount, or take the model that is there, and score it."""
        path = self.folder / f"{start}_{portion.amount:g}.isl"
        name = f"{start}, {portion.amount:g}"
        if path.is_file():
            self.announce(f"{name}: is there already")
            model = load_model(path)
        else:
            self.announce(f"{name}: {portion.pixels / 1e6:.3g} megapixels to train on")
            model = self._trained(path, portion, config)
        evaluation = evaluate_model(
            model,
            heldout_fields(self.fovs, self.split),
            source=self.roles.source,
            targets=self.roles.targets,
            progress=self.progress,
        )
        points = [self._point(start, portion, t, evaluation) for t in self.roles.targets]
        self.announce(f"{name}: r {', '.join(f'{p.target} {p.r:.3f}' for p in points)}")
        return points

    def _trained(self, path: Path, portion: Portion, config: TrainConfig) -> Model:
        chosen: dict[str, Any] = {
            "source": self.roles.source,
            "targets": self.roles.targets,
            "mean_targets": (),
            "holdout": portion.holdout,
        }
        resume = RunFolder.of(path).checkpoint.is_file()

        def report(done: Progress) -> None:
            message = f"{path.stem}: {done.message}"
            self.progress(Progress(done.done, done.total, done.unit, message, done.values))

        return train(
            portion.fovs,
            config.model_copy(update=chosen),
            path,
            resume=resume,
            overwrite=not resume,
            progress=report,
        )

    def _point(
        self, start: str, portion: Portion, target: str, evaluation: Evaluation
    ) -> CurvePoint:
        row = evaluation.find(target, "pearson_r")
        nan = float("nan")
        r, low, high = (nan, nan, nan) if row is None else (row.value, row.low, row.high)
        return CurvePoint(start, target, portion.amount, portion.pixels, r, low, high)
