"""``isl learning-curve``: what more data would bring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isl.cli.console import BadFields, progress_bar, say, stderr
from isl.cli.flags import Names, Output, Overwrite, Pattern, Switch, split_names
from isl.cli.settings import flags_of, read_settings
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError


def learning_curve(
    *data: Path,
    output: Output,
    amounts: Names | None = None,
    fractions: Names | None = None,
    also_scratch: Switch = False,
    config: Path | None = None,
    overwrite: Overwrite = False,
    pattern: Pattern = None,
    settings: Any = None,
) -> int:
    """Train on more and more of the data, and estimate what more would bring.

    Each amount has the whole budget (--max-minutes, ...). To go on after an interruption, repeat
    the command: amounts that are finished are not learned again.

    Parameters
    ----------
    data
        Image files, folders, plates or tables of files, or a YAML file that lists several data
        sets.
    output
        Folder for curve.png, curve.csv, report.md and the models.
    amounts
        Numbers of fields, such as 1,2,4; by default 1, 2, 4, ... and all.
    fractions
        Shares of the fields, or of the training part of a single field, such as 0.25,0.5,1.
    also_scratch
        With --from: learn from random weights too, and draw both.
    config
        YAML file with settings; flags win over it.
    """
    from isl.api import open_data, settings_of_data

    checked = read_settings(config, settings, settings_of_data(data))
    wanted = {"amounts": numbers("amounts", amounts), "fractions": numbers("fractions", fractions)}
    whole = [f"{number:g}" for number in wanted["amounts"] or () if number % 1]
    if whole:
        raise ConfigError(f"--amounts {', '.join(whole)}: give whole numbers of fields")
    bad = BadFields()
    fovs = open_data(data, pattern=pattern, on_bad=bad)
    from isl.training.studies.learning_curve import learning_curve as learn

    try:
        with progress_bar() as progress:
            curve = learn(
                fovs,
                checked,
                output,
                amounts=None if amounts is None else [int(n) for n in wanted["amounts"] or ()],
                fractions=wanted["fractions"],
                also_scratch=also_scratch,
                overwrite=overwrite,
                progress=progress,
                announce=say,
                on_bad=bad,
            )
    except (KeyboardInterrupt, SystemExit):
        stderr().print("to go on where this ended, repeat the command")
        raise
    say("\n".join(curve.lines()))
    say(f"curve: {output / 'curve.png'}, report: {output / 'report.md'}")
    return bad.report()


learning_curve.__annotations__["settings"] = Annotated[flags_of(TrainConfig), Parameter(name="*")]


def numbers(flag: str, words: list[str] | None) -> list[float] | None:
    """Numbers given as ``1,2,4`` or as several words; None where none are given.

    Raises
    ------
    ConfigError
        Where a word is no number.

    Examples
    --------
    >>> numbers("amounts", ["1,2", "4"])
    [1.0, 2.0, 4.0]
    """
    found = split_names(words)
    if found is None:
        return None
    try:
        return [float(word) for word in found]
    except ValueError:
        raise ConfigError(
            f"--{flag} {','.join(found)}: give numbers separated by commas, such as 1,2,4"
        ) from None
