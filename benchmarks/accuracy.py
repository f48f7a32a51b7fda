"""Accuracy on real images: trains from scratch and prints Pearson r on what was held out.

    python benchmarks/accuracy.py well --minutes 20     columns 0-511 -> columns 576-767 of the well
    python benchmarks/accuracy.py flow --minutes 6      Experiment_2 -> Experiment_1
    python benchmarks/accuracy.py joint --steps 150     all images together, and each by itself
    python benchmarks/accuracy.py unseen --steps 150    each data set from a model of the others
    python benchmarks/accuracy.py strips --steps 60     a new target from a strip of the well
    python benchmarks/accuracy.py planes --minutes 20   stacks of other numbers of planes

Images are looked for in $ISL_DATA or ../shared/data.  Any setting of a training run can be added as
NAME=VALUE, for example learning_rate=0.003 or network.widths=[64,128].
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

import accuracy_flow
import accuracy_joint
import accuracy_planes
import accuracy_transfer
import isl
from isl.evaluation.evaluation import Evaluation

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("ISL_DATA", ROOT.parent / "shared" / "data"))


def well(folder: Path, settings: dict[str, Any]) -> dict[str, Evaluation]:
    """Train on the left part of the well, predict it as a user would, compare the right part."""
    images = DATA / "isl2018" / "condition_B_well_A4"
    model = isl.train(images, folder / "model.isl", holdout="columns:576-767", **settings)
    predictions = folder / "predictions.zarr"
    isl.predict(model, images, predictions, statistics=("median", "mean"))
    region = "columns:576-767"
    found = {
        "median": isl.evaluate(predictions, images, region=region),
        "mean": evaluate_mean(predictions, images, region),
        "model": isl.evaluate(model, images, region=region),
    }
    if model.card.network.name == "default":  # the published network would take half an hour
        averaged = folder / "averaged.zarr"
        isl.predict(model, images, averaged, statistics=("median", "mean"), orientations=8)
        found["median of 8"] = isl.evaluate(averaged, images, region=region)
        found["mean of 8"] = evaluate_mean(averaged, images, region)
    return found


def evaluate_mean(predictions: Path, images: Path, region: str) -> Evaluation:
    """Compare the predicted means in place of the medians."""
    (fov,) = isl.open_fovs(predictions)
    names = [name for name in fov.channel_names if name.endswith(" mean")]
    means = {name.removesuffix(" mean"): fov.read(name)[0] for name in names}
    renamed = isl.fov_from_arrays(means, name=fov.name)
    return isl.evaluate(renamed, images, region=region)


def flow(folder: Path, settings: dict[str, Any]) -> dict[str, Evaluation]:
    """Train on one experiment of single cells, test on another with all cell-cycle phases."""
    images = DATA / "imaging_flow_cytometry"
    model = accuracy_flow.flow(folder, images, settings)
    return {"model": isl.evaluate(model, images / "Experiment_1")}


def planes(folder: Path, settings: dict[str, Any]) -> dict[str, Evaluation]:
    """Train with planes left out, and compare with the model that ships."""
    images = DATA / "isl2018" / "condition_B_well_A4"
    given = {"plane_dropout": 0.5} | settings
    model = isl.train(images, folder / "model.isl", holdout="columns:576-767", **given)
    shipped = isl.load_model("demo-neurons")
    accuracy_planes.planes(images, {"planes left out": model, "demo-neurons": shipped})
    return {"model": isl.evaluate(model, images, region="columns:576-767")}


def by_steps(case: str, folder: Path, settings: dict[str, Any], steps: int) -> None:
    """Run a case whose budget is in steps, so that its parts can be compared."""
    if case == "strips":
        images = DATA / "isl2018" / "condition_B_well_A4"
        accuracy_transfer.strips(folder, images, settings, steps)
    else:
        {"joint": accuracy_joint.joint, "unseen": accuracy_joint.unseen}[case](
            folder, settings, steps
        )


def show(name: str, evaluation: Evaluation) -> None:
    """Print a few lines a target."""
    for target in evaluation.targets:
        for field in (*evaluation.fields, None) if len(evaluation.fields) > 1 else (None,):
            score = evaluation.score(target, "pearson_r", field)
            foreground = evaluation.score(target, "pearson_r_foreground", field)
            where = field or "all"
            print(
                f"{name:8} {target:16} {where:24} r {score.value:.3f} "
                f"({score.low:.3f} to {score.high:.3f})  foreground r {foreground.value:.3f}"
            )
    if name == "model":
        for target in evaluation.targets:
            shares = (evaluation.score(target, f"coverage_{n}").value for n in (50, 80, 95))
            print("coverage", target, *(f"{100 * share:.1f} %" for share in shares))


BY_TIME = {"well": well, "flow": flow, "planes": planes}
BY_STEPS = ("joint", "unseen", "strips")


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=[*BY_TIME, *BY_STEPS])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--keep", type=Path, help="folder for model, logs and predictions")
    parser.add_argument("settings", nargs="*", help="NAME=VALUE")
    arguments = parser.parse_intermixed_args()
    settings: dict[str, Any] = {}
    for name, _, value in (text.partition("=") for text in arguments.settings):
        outer, _, inner = name.partition(".")
        parsed = yaml.safe_load(value)
        settings[outer] = {**settings.get(outer, {}), inner: parsed} if inner else parsed
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads,", end=" "
    )
    amount = (
        f"{arguments.minutes:g} minutes"
        if arguments.case in BY_TIME
        else f"{arguments.steps} steps"
    )
    print(f"torch {torch.__version__}, {time.strftime('%Y-%m-%d')}, {amount}", settings)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.case in BY_STEPS:
            by_steps(arguments.case, folder, settings, arguments.steps)
            return
        run = BY_TIME[arguments.case]
        if "max_steps" not in settings:
            settings["max_minutes"] = arguments.minutes
        for name, evaluation in run(folder, settings).items():
            show(name, evaluation)


if __name__ == "__main__":
    main()
