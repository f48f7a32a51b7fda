"""``isl predictable``: whether targets can be predicted at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isl.cli.console import BadFields, progress_bar, say
from isl.cli.flags import Output, Overwrite, Pattern, Switch
from isl.cli.settings import flags_of, read_settings
from isl.cli.train import resume_hint
from isl.core.config import TrainConfig


def predictable(
    *data: Path,
    output: Output,
    config: Path | None = None,
    resume: Switch = False,
    overwrite: Overwrite = False,
    pattern: Pattern = None,
    settings: Any = None,
) -> int:
    """Find out in minutes whether targets can be predicted at all.

    Trains for a short time (--max-minutes, 5 by default), scores the model on a held-out part, and
    compares with chance and with the planes of the source as they are.

    Parameters
    ----------
    data
        Image files, folders, plates or tables of files, or a YAML file that lists several data
        sets.
    output
        Folder for answer.md, answer.csv and the model.
    config
        YAML file with settings; flags win over it.
    resume
        Go on with an interrupted run of the same output.
    """
    from isl.api import open_data, settings_of_data

    checked = read_settings(config, settings, settings_of_data(data))
    bad = BadFields()
    fovs = open_data(data, pattern=pattern, on_bad=bad)
    from isl.training.studies.predictable import predictable as find_out

    with resume_hint(output / "model.isl"), progress_bar() as progress:
        answers = find_out(
            fovs,
            checked,
            output,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            announce=lambda plan: say("\n".join(plan.lines())),
            on_bad=bad,
        )
    say("\n".join(answers.lines()))
    say(f"answer: {output / 'answer.md'}, model: {output / 'model.isl'}")
    return bad.report()


predictable.__annotations__["settings"] = Annotated[flags_of(TrainConfig), Parameter(name="*")]
