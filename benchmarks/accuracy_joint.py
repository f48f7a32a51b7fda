"""Joint training on all images against separate training, and data sets that were never seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import isl
from isl.api import open_data, settings_of_data
from isl.core.config import merge_settings
from isl.io.fov import Fov
from isl.simulate.plate import PlatePlan, simulate_plate
from isl.simulate.presets import preset

RECIPE = Path(__file__).parent.parent / "recipes" / "real_images.yaml"
SHARED_TARGET = "DNA"
Scores = dict[tuple[str, str], tuple[float, float]]
"""r, and r on the foreground, by data set and target."""


def all_images(folder: Path, fields: int = 4) -> Path:
    """The recipe with a data set of simulated scenes beside the real ones."""
    plate = folder / "simulated.zarr"
    if not plate.exists():
        config = preset("adherent").resized((512, 512))
        plan = PlatePlan({"adherent": config}, wells=1, fovs=fields, seed=5)
        simulate_plate(plan, plate)
    recipe = yaml.safe_load(RECIPE.read_text())
    for dataset in recipe["datasets"].values():
        dataset["data"] = str((RECIPE.parent / dataset["data"]).resolve())
    recipe["datasets"]["simulated"] = {
        "data": str(plate),
        "targets": {"NUCLEI": SHARED_TARGET, "CYTOPLASM": "CYTOPLASM"},
        "voxel_size": [None, None, None],
        "holdout": f"fovs:A/1/{fields - 1}",
    }
    path = folder / "datasets.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def scores_of(model: isl.Model, fovs: list[Fov]) -> Scores:
    """R of each data set and target on what was held out."""
    found: Scores = {}
    for name in dict.fromkeys(fov.dataset for fov in fovs):
        evaluation = isl.evaluate(model, [fov for fov in fovs if fov.dataset == name])
        for target in evaluation.targets:
            r = evaluation.score(target, "pearson_r").value
            found[name or "", target] = (
                r,
                evaluation.score(target, "pearson_r_foreground").value,
            )
    return found


def joint(folder: Path, settings: dict[str, Any], steps: int) -> None:
    """Print r of one model of all data sets, and of one model for each with its share of steps."""
    path = all_images(folder)
    fovs = open_data(path)
    names = list(dict.fromkeys(fov.dataset or "" for fov in fovs))
    together = isl.train(path, folder / "joint.isl", max_steps=steps * len(names), **settings)
    found = scores_of(together, fovs)
    given = merge_settings(settings_of_data(path), settings, {"max_steps": steps})
    rules = dict(part.rstrip("]").split("[", 1) for part in given.pop("holdout").split("; "))
    given.pop("dataset_weights", None)
    alone: Scores = {}
    for name in names:
        own = [fov for fov in fovs if fov.dataset == name]
        model = isl.train(own, folder / f"{name}.isl", holdout=rules[name], **given)
        alone |= scores_of(model, own)
    print(f"steps: {steps * len(names)} together, {steps} each")
    print("| data set | target | separate r (foreground) | joint r (foreground) |")
    print("|---|---|---|---|")
    for key, (r, inside) in found.items():
        own_r, own_inside = alone.get(key, (float("nan"),) * 2)
        print(f"| {key[0]} | {key[1]} | {own_r:.3f} ({own_inside:.3f}) | {r:.3f} ({inside:.3f}) |")


def unseen(folder: Path, settings: dict[str, Any], steps: int) -> None:
    """Print r of the shared target on each data set that a model of the others has never seen."""
    path = all_images(folder)
    fovs = [fov for fov in open_data(path) if SHARED_TARGET in fov.channel_names]
    wanted = {"max_steps": steps, "targets": (SHARED_TARGET,)}
    given = merge_settings(settings_of_data(path), settings, wanted)
    given.pop("dataset_weights", None)
    print("| data set left out | r of DNA | foreground |")
    print("|---|---|---|")
    for name in dict.fromkeys(fov.dataset or "" for fov in fovs):
        given["holdout"] = f"datasets:{name}"
        model = isl.train(fovs, folder / f"without_{name}.isl", **given)
        own = [fov for fov in fovs if fov.dataset == name]
        r, inside = scores_of(model, own)[name, SHARED_TARGET]
        print(f"| {name} | {r:.3f} | {inside:.3f} |", flush=True)
