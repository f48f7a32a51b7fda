"""The command line: which commands there are; each lives in a file that is read when it is used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from cyclopts import App, Group

from isl import __version__
from isl.cli.console import orderly_signals, report_error

JOB = Group("The job", sort_key=1)
LOOK = Group("Look and try", sort_key=2)

app = App(
    name="isl",
    version=__version__,
    help="Predict fluorescence from transmitted-light z-stacks, pixel by pixel.",
    help_format="markdown",
    help_epilogue=(
        "Three commands for your own images: isl info FOLDER, isl train FOLDER -o model.isl, "
        "isl predict model.isl FOLDER -o predictions.zarr. "
        "Add --debug to any command to see where an error comes from."
    ),
    suppress_keyboard_interrupt=False,
    result_action="return_int_as_exit_code_else_zero",
)
app["--help"].group = app["--version"].group = Group("Options", sort_key=3)
_COMMANDS = (
    ("train", JOB, "Learn to predict fluorescence from pairs of images."),
    ("predict", JOB, "Predict the fluorescence of new z-stacks with a trained model."),
    ("watch", JOB, "Predict fields as the microscope finishes writing them."),
    ("evaluate", JOB, "Say in a report how good predictions are."),
    ("cross-validate", LOOK, "Train and score a model for each part held out in turn."),
    ("learning-curve", LOOK, "Estimate what more training data would bring."),
    ("predictable", LOOK, "Find out in minutes whether targets can be predicted at all."),
    ("tune", JOB, "Search the settings that give the best held-out scores."),
    ("info", LOOK, "Show what images, or a model file, hold."),
    ("models", LOOK, "List the models that ship, or show all that is known of one."),
    ("demo", LOOK, "Predict a small scene that needs no data, and evaluate the prediction."),
    ("simulate", LOOK, "Simulate a plate of images whose truth is known."),
    ("download", LOOK, "Fetch the published images and weights of 2018."),
    ("import-checkpoint", LOOK, "Make a model file of the weights published in 2018."),
)
for _order, (_name, _group, _help) in enumerate(_COMMANDS):
    _module = _name.replace("-", "_")
    app.command(
        f"isl.cli.{_module}:{_module}", name=_name, group=_group, help=_help, sort_key=_order
    )


def run(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    words
        Command line without the program's name; that of the process by default.

    Returns
    -------
    int
        Exit code: 0 all good, 1 some field was bad and skipped, 2 error, 130 or 143 interrupted.

    Examples
    --------
    >>> run(["--version"])
    0.1.0
    0
    """
    words = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in words
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(message)s")
    arrived: list[BaseException] = []
    try:
        with orderly_signals() as arrived:
            return int(app([word for word in words if word != "--debug"]))
    except BaseException as error:
        if type(error) is SystemExit and not arrived:  # usage errors, which are printed already
            return int(error.code or 0)
        return report_error(arrived[0] if arrived else error, debug)
