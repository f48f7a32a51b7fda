"""Can a target be predicted at all? A short run, its score, and what chance would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isl.core.axes import Box
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.progress import ProgressCallback, silent
from isl.data.normalization import project
from isl.data.samples import OnBad
from isl.data.splits import Split, split_datasets
from isl.evaluation.bootstrap import BLOCK_PX, Interval
from isl.evaluation.chance import SHIFTS, chance_level
from isl.evaluation.evaluate import evaluate_model
from isl.evaluation.evaluation import Evaluation
from isl.inference.model import Model
from isl.inference.model_file import load_model
from isl.io.fov import Fov
from isl.io.roles import Roles
from isl.io.staging import staged
from isl.training.fields import choose_fields
from isl.training.plan import TrainingPlan
from isl.training.processes.distributed import check_one_device
from isl.training.run import train
from isl.training.studies.portions import heldout_fields, train_fields

MINUTES = 5.0
"""Budget where none is given."""
WEAK_R = 0.3
"""Below this r a prediction is called weak."""
_FEW_BLOCKS = 30

Verdict = Literal["can be predicted", "weakly", "no better than a plane", "chance", "unknown"]


@dataclass(frozen=True)
class Answer:
    """Whether one target can be predicted.

    Attributes
    ----------
    target
        Its name.
    verdict
        The answer in one of five words.
    r
        Pearson r on the held-out part with its 95 % interval.
    chance
        r of the prediction moved elsewhere: mean, and where 95 % of such figures lie.
    best_plane
        Absolute r of the best single plane of the source; NaN where there is none.
    reason
        Why there is no answer; empty where there is one.
    """

    target: str
    verdict: Verdict
    r: Interval
    chance: Interval
    best_plane: float
    reason: str = ""

    def __str__(self) -> str:
        """In words."""
        if self.verdict == "unknown":
            return f"{self.target}: cannot be answered: {self.reason}"
        figures = (
            f"r {_text(self.r)}, chance gives {self.chance.value:.2f} "
            f"({self.chance.low:.2f} to {self.chance.high:.2f})"
        )
        if not np.isnan(self.best_plane):
            figures += f", the best single plane {self.best_plane:.2f}"
        return f"{self.target} {_SENTENCES[self.verdict]}: {figures}"


_SENTENCES: dict[Verdict, str] = {
    "can be predicted": "can be predicted",
    "weakly": "can be predicted weakly",
    "no better than a plane": "is predicted no better than a plane of the source shows it as it is",
    "chance": "cannot be told apart from chance",
}


@dataclass(frozen=True)
class Answers:
    """Answers for all targets, and how far they reach.

    Attributes
    ----------
    answers
        One per target.
    cautions
        What the held-out part cannot tell.
    """

    answers: tuple[Answer, ...]
    cautions: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """All in words, one sentence a line."""
        return (*map(str, self.answers), *(f"caution: {caution}" for caution in self.cautions))

    def write(self, folder: Path) -> None:
        """Write answer.md and answer.csv; existing ones are replaced.

        Raises
        ------
        OutputError
            Where they cannot be written.
        """
        table = pd.json_normalize([asdict(answer) for answer in self.answers], sep="_")
        with staged(folder / "answer.csv", overwrite=True) as path:
            table.to_csv(path, index=False)
        listed = (f"- {line}" for line in (*map(str, self.answers), "", *self.cautions) if line)
        text = "\n".join(["# Can it be predicted?", "", *listed, "", _METHOD, ""])
        with staged(folder / "answer.md", overwrite=True) as path:
            path.write_text(text, "utf-8")


_METHOD = (
    "A network was trained for a short time and scored on the held-out part. The interval of r is "
    f"a 95 % bootstrap over blocks of {BLOCK_PX} x {BLOCK_PX} pixels and over fields. Chance is "
    f"the r of the same prediction moved elsewhere in the image, {SHIFTS} times. A target that "
    "was not predicted may still be with more data or a longer budget (isl learning-curve tells)."
)


def predictable(
    fovs: Sequence[Fov],
    config: TrainConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    announce: Callable[[TrainingPlan], None] | None = None,
    on_bad: OnBad | None = None,
) -> Answers:
    """Train for a short time, and say of each target whether it can be predicted.

    Parameters
    ----------
    fovs
        Fields of view with source and targets.
    config
        Settings; the budget is five minutes where none is given.
    folder
        Where model.isl, answer.md and answer.csv go.
    resume, overwrite, progress, announce, on_bad
        As for `isl.training.run.train`.

    Raises
    ------
    ConfigError
        Where nothing is held out.
    OutputError
        Where the output exists or cannot be written.
    """
    check_one_device(config, "this question")
    old = None if config.start_from is None else load_model(config.start_from)
    usable, roles = choose_fields(fovs, config, on_bad, old)
    split = split_datasets(usable, config.holdout, {}, config.holdout_margin_px)
    heldout = heldout_fields(usable, split)
    if not heldout:
        raise ConfigError("the answer needs a held-out part; leave out --holdout none")
    Path(folder).mkdir(parents=True, exist_ok=True)
    model = train(
        usable,
        _settings(config, roles, split),
        Path(folder) / "model.isl",
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        announce=announce,
    )
    evaluation = evaluate_model(
        model, heldout, source=roles.source, targets=roles.targets, progress=progress
    )
    pairs = _pairs(model, heldout, split, roles)
    answers = tuple(
        _answer(target, evaluation, chance_level(pairs[target])) for target in roles.targets
    )
    found = Answers(answers, _cautions(usable, split))
    found.write(Path(folder))
    return found


def _settings(config: TrainConfig, roles: Roles, split: Split) -> TrainConfig:
    chosen: dict[str, Any] = {
        "source": roles.source,
        "targets": roles.targets,
        "mean_targets": (),
        "holdout": split.holdout,
    }
    if not (config.max_minutes or config.max_steps or config.max_epochs):
        chosen["max_minutes"] = MINUTES
    return config.model_copy(update=chosen)


_Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def _pairs(model: Model, fovs: Sequence[Fov], split: Split, roles: Roles) -> dict[str, list[_Pair]]:
    """Prediction and truth of each target in each held-out box, at the first time point."""
    pairs: dict[str, list[_Pair]] = {name: [] for name in roles.targets}
    for fov in fovs:
        zyx = fov.read(roles.source)
        for box in split.fields[fov.name].heldout:
            median = model.distribution(zyx, fov.voxel_size, box=box).median.cpu().numpy()
            for name in roles.targets:
                if name in fov.channel_names:
                    card = model.card.targets[model.card.target_names.index(name)]
                    truth = project(fov.read(name, box=box), card.projection).astype(np.float32)
                    pairs[name].append((median[model.card.target_names.index(name)], truth))
    return pairs


def _answer(target: str, evaluation: Evaluation, chance: Interval) -> Answer:
    row = evaluation.find(target, "pearson_r")
    plane = evaluation.find(target, "best_plane_r")
    best = float("nan") if plane is None else plane.value
    if row is None or np.isnan(row.value):
        reason = "no held-out field has it" if row is None else row.note
        nothing = Interval(np.nan, np.nan, np.nan)
        return Answer(target, "unknown", nothing, chance, best, reason)
    r = Interval(row.value, row.low, row.high)
    return Answer(target, verdict_of(r, chance, best), r, chance, best)


def verdict_of(r: Interval, chance: Interval, best_plane: float) -> Verdict:
    """Answer that figures stand for.

    Parameters
    ----------
    r
        Of the prediction; where it has no interval, nothing can be told apart from chance.
    chance
        Of the prediction moved elsewhere.
    best_plane
        Of the source itself, in absolute terms; NaN where unknown.
    """
    luck = 0.0 if np.isnan(chance.high) else max(chance.high, 0.0)
    if not r.low > luck:
        # A run too short to learn what a plane shows already says nothing against the target.
        return "no better than a plane" if best_plane >= WEAK_R else "chance"
    if r.value <= best_plane:
        return "no better than a plane"
    return "weakly" if r.value < WEAK_R else "can be predicted"


def _cautions(fovs: Sequence[Fov], split: Split) -> tuple[str, ...]:
    """What the held-out part cannot tell: by its kind, and by its size."""
    heldout, trained = heldout_fields(fovs, split), train_fields(fovs, split)
    boxes = [box for fov in heldout for box in split.fields[fov.name].heldout]
    pixels = sum(box.size for box in boxes)
    size = f"{len(heldout)} field{'s' * (len(heldout) > 1)}, {pixels / 1e6:.3g} megapixels"
    cautions = [f"the held-out part ({split.holdout}; {size}) is {_kind(heldout, trained)}"]
    blocks = sum(_blocks(box) for box in boxes)
    if blocks < _FEW_BLOCKS:
        cautions.append(
            f"the held-out part has only {blocks} blocks of {BLOCK_PX} x {BLOCK_PX} pixels: the "
            "interval of r is rough and rather too narrow"
        )
    return tuple(cautions)


def _blocks(box: Box) -> int:
    rows, columns = (-(-length // BLOCK_PX) for length in box.shape)
    return rows * columns


def _kind(heldout: Sequence[Fov], trained: Sequence[Fov]) -> str:
    """How near the held-out part is to what was trained on, and what it says nothing of."""
    if {fov.name for fov in heldout} & {fov.name for fov in trained}:
        return "of the same field as the training: it says nothing of other fields, wells or days"
    if {fov.well for fov in heldout} & {fov.well for fov in trained} - {None}:
        return "of the same wells as the training: it says nothing of other wells or days"
    if {fov.plate for fov in heldout} & {fov.plate for fov in trained} - {None}:
        return "of the same plate as the training: it says nothing of other plates, days or cells"
    return "of other fields; whether of another well, plate or day is not known here"


def _text(figure: Interval) -> str:
    text = f"{figure.value:.2f}"
    return text if np.isnan(figure.low) else f"{text} ({figure.low:.2f} to {figure.high:.2f})"
