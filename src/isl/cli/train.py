"""``isl train``: images in, a model file out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from isl.cli.console import INTERRUPTED, BadFields, progress_bar, say, stderr
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
        Image files, folders, plates or tables of files, or a YAML file that lists several data
        sets to learn from together.
    output
        Model file to write, such as model.isl; checkpoints, logs and previews go to a folder
        beside it.
    config
        YAML file with settings; flags win over it.
    resume
        Go on with an interrupted run of the same output.
    """
    from isl.api import open_data, settings_of_data

    checked = read_settings(config, settings, settings_of_data(data))
    bad = BadFields()
    with spoken_once(checked):
        fovs = open_data(data, pattern=pattern, on_bad=bad)
        from isl.training.run import train as train_model

        with resume_hint(output), progress_bar() as progress:
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
        return bad.report()


train.__annotations__["settings"] = Annotated[flags_of(TrainConfig), Parameter(name="*")]


@contextmanager
def spoken_once(settings: TrainConfig) -> Iterator[None]:
    """Where several processes train together, let the first one speak, and others where they fail.

    Lightning starts the same command again for each further device.
    """
    if settings.devices * settings.nodes == 1:
        yield
        return
    from isl.training.processes.distributed import is_first_process

    if is_first_process(settings):
        yield
        return
    heard = sys.stdout, sys.stderr
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            os._exit(INTERRUPTED)  # the first one says so
        finally:
            sys.stdout, sys.stderr = heard


@contextmanager
def resume_hint(output: Path) -> Iterator[None]:
    """Say how to go on where the run is interrupted and has a checkpoint."""
    from isl.training.run_folder import RunFolder

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if RunFolder.of(output).checkpoint.is_file():
            stderr().print("to go on where this ended, repeat the command with --resume")
        raise


def closing_lines(model: Model, output: Path, data: Path) -> str:
    """Say how good the model is, where everything is, and what to type next."""
    from isl.training.run_folder import RunFolder
    from isl.training.transfer.report import read_report

    scores = model.card.scores or {}
    held_out = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    folder = RunFolder.of(output)
    lines = [f"model: {output}", f"previews: {folder.previews}, logs: {folder.path}"]
    if held_out:
        lines.insert(0, f"Pearson r on the held-out part ({model.card.holdout}): {held_out}")
    elif model.card.holdout != "none":
        lines.insert(0, f"no scores: no target was there to compare with in {model.card.holdout}")
    if RunFolder.of(output).transfer.is_file():
        lines = [*read_report(RunFolder.of(output).transfer).lines(), *lines]
    lines.append(f"next: isl predict {output} {data} -o predictions.zarr")
    return "\n".join(lines)
