"""``isl demo``: the whole way from images to a report, with what ships with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isl.cli.console import progress_bar, say
from isl.cli.flags import Overwrite, Switch
from isl.core.errors import DataError

if TYPE_CHECKING:
    from isl.core.progress import ProgressCallback
    from isl.core.region import Region
    from isl.evaluation.evaluation import Evaluation
    from isl.io.fov import Fov

SEED = 20260
"""The demo's plate; plates from seed 20000 on are never trained on."""
PRESET = "adherent"
"""What is in the dish."""
SCENE = "scene.zarr"
REAL_WELL = Path("isl2018") / "condition_B_well_A4"
REAL_REGION = "columns:576-767"
"""Part of the real well that the shipped model has not seen."""


@dataclass(frozen=True)
class Case:
    """What to predict: fields, the shipped model, and the part that is compared."""

    fovs: list[Fov]
    model: str
    region: Region | None


def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("isl-demo"),
    real: Switch = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict a small scene that needs no data, and evaluate the prediction.

    Parameters
    ----------
    output
        Folder to write.
    real
        Predict the published real well instead, found in $ISL_DATA or ../shared/data.
    """
    from isl.io.staging import staged

    data = real_well() if real else None
    with staged(output, overwrite=overwrite) as folder:
        folder.mkdir()
        with progress_bar() as progress:
            case = _scene(folder, output, progress) if data is None else _real(data)
            evaluation = _run(case, folder, progress)
    for line in evaluation.headlines():
        say(line)
    if data is None:
        say(f"scene:       {output / SCENE}")
    say(f"predictions: {output / 'predictions.zarr'}   (open it in napari or Fiji)")
    say(f"report:      {output / 'report.html'}   (open it in a browser)")
    say(f"picture:     {output / 'demo.png'}")


def real_well() -> Path:
    """Folder of the published real well.

    Raises
    ------
    DataError
        Where it is absent; the message says where it was looked for.
    """
    shared = Path("..") / "shared" / "data"
    places = [Path.cwd() / shared, Path(__file__).parents[3] / shared]
    if os.environ.get("ISL_DATA"):
        places = [Path(os.environ["ISL_DATA"])]
    for place in places:
        if (place / REAL_WELL).is_dir():
            return (place / REAL_WELL).resolve()
    raise DataError(
        f"there is no folder {REAL_WELL} in {' or '.join(map(str, places))}; set the environment "
        "variable ISL_DATA to the folder that holds it, or leave out --real"
    )


def _scene(folder: Path, output: Path, progress: ProgressCallback) -> Case:
    """Simulate the scene and open it as a user would."""
    from isl.io.open import open_fovs
    from isl.simulate.plate import PlatePlan, simulate_plate
    from isl.simulate.presets import preset

    plan = PlatePlan({PRESET: preset(PRESET)}, seed=SEED)
    simulate_plate(plan, folder / SCENE, progress=progress)
    # Everything is renamed when it is complete, so the report must not name the place of today.
    fovs = [replace(fov, path=output / SCENE) for fov in open_fovs(folder / SCENE)]
    return Case(fovs, "demo-scene", None)


def _real(well: Path) -> Case:
    from isl.core.region import parse_region
    from isl.io.open import open_fovs

    return Case(open_fovs(well), "demo-neurons", parse_region(REAL_REGION))


def _run(case: Case, folder: Path, progress: ProgressCallback) -> Evaluation:
    """Predict, evaluate, and write both."""
    from isl.evaluation.evaluate import evaluate_model
    from isl.evaluation.panels import write_panel
    from isl.evaluation.report import write_report
    from isl.inference.model_file import load_model
    from isl.inference.predict import predict_fovs
    from isl.inference.registry import shipped_model

    model = load_model(shipped_model(case.model))
    predict_fovs(model, case.fovs, folder / "predictions.zarr", progress=progress)
    evaluation = evaluate_model(
        model, case.fovs, region=case.region, name=case.model, progress=progress
    )
    write_report(evaluation, folder / "report.html")
    title = f"Predicted from light alone: {case.fovs[0].name}"
    write_panel(folder / "demo.png", [picture.row for picture in evaluation.pictures], title)
    return evaluation
