"""``isl train``: images in, a model file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isl.cli.console import BadFields, progress_bar, say
from isl.cli.flags import Output, Overwrite, Pattern, Switch
from isl.cli.settings import flags_of, read_settings
from isl.core.config import TrainConfig

if TYPE_CHECKING:
    from isl.inference.model import Model


def train(
    *data: Path,
    output: Output,
    config: Path | None = None,
    resume: Switch = False,
    overwrite: Overwrite = False,
    pattern: Pattern = None,
    settings: Any = None,
) -> int:
    """Learn to predict fluorescence from pairs of images.

    Parameters
    ----------
    data
        Image files, folders, plates or tables of files.
    output
        Model file to write, such as model.isl; checkpoints, logs and previews go to a folder
        beside it.
    config
        YAML file with settings; flags win over it.
    resume
        Go on with an interrupted run of the same output.
    """
    from isl.api import open_data
    from isl.training.run import train as train_model

    checked = read_settings(config, settings)
    bad = BadFields()
    fovs = open_data(data, pattern=pattern, on_bad=bad)
    with progress_bar() as progress:
        model = train_model(
            fovs,
            checked,
            output,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            announce=lambda plan: say("\n".join(plan.lines())),
            on_bad=bad,
        )
    say(closing_lines(model, output, data[0]))
    if bad.names:
        say(bad.summary())
    return bad.exit_code


train.__annotations__["settings"] = Annotated[flags_of(TrainConfig), Parameter(name="*")]


def closing_lines(model: Model, output: Path, data: Path) -> str:
    """Say how good the model is, where everything is, and what to type next."""
    scores = model.card.scores or {}
    held_out = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    lines = [f"model: {output}"]
    if held_out:
        lines.insert(0, f"Pearson r on the held-out part ({model.card.holdout}): {held_out}")
    lines.append(f"next: isl predict {output} {data} -o predictions.zarr")
    return "\n".join(lines)
