"""Recipes load, and those of the published system train on small stand-ins of its images."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import isl
from isl.api import open_data
from isl.cli.settings import read_settings
from isl.data.dataset_config import read_datasets

RECIPES = Path(__file__).parent.parent / "recipes"
SIDE = 256
NEURONS = ("DAPI_CONFOCAL", "MAP2_CONFOCAL", "NFH_CONFOCAL")
CONDITIONS = {
    "Rubin/scott_1_0/r0c0": ("BRIGHTFIELD", 13, ("DAPI_WIDEFIELD", "TUJ1_WIDEFIELD")),
    "Rubin/scott_1_0/r1c0": ("BRIGHTFIELD", 13, ("DAPI_WIDEFIELD", "ISLET_WIDEFIELD")),
    "Finkbeiner/kevan_0_7/A4": ("PHASE_CONTRAST", 13, NEURONS),
    "Finkbeiner/alicia_2_0/B1": ("PHASE_CONTRAST", 13, ("DAPI_CONFOCAL", "DEAD_CONFOCAL")),
    "Finkbeiner/yusha_0_1/C2": ("PHASE_CONTRAST", 13, ("DAPI_CONFOCAL", "MAP2_CONFOCAL")),
    "GLS/2015_06_26/B2": ("DIC", 26, ("DAPI_CONFOCAL", "CELLMASK_CONFOCAL")),
    "GLS/2015_06_26/B3": ("DIC", 26, ("DAPI_CONFOCAL", "CELLMASK_CONFOCAL")),
}
SMALL = {"batch_size": 2, "crop_px": None, "max_steps": 2, "validate_steps": 2}


def write_condition(folder, name, source, planes, targets):
    """Images of one well, named as the published single-channel images are.

    The well that is held out is small, as predicting it takes most of the time.
    """
    side = 64 if name.endswith("B3") else SIDE
    lab, condition, well = name.split("/")
    rng = np.random.default_rng(len(name))
    (folder / lab / condition).mkdir(parents=True, exist_ok=True)
    images = {f"z_depth-{z},channel,value-{source}": 32000 for z in range(planes)}
    images |= {f"depth_computation,value-MAXPROJECT,channel,value-{t}": 16000 for t in targets}
    for what, mean in images.items():
        texture = gaussian_filter(rng.normal(size=(side, side)), 2)
        image = np.clip(mean + 30000 * texture, 0, 65535).astype(np.uint16)
        date = "acquisition_date,year-2015,month-6,day-26"
        file = (
            f"lab-{lab},condition-{condition},{date},well-{well},{what},is_mask-false,"
            "kind,value-ORIGINAL.png"
        )
        (folder / lab / condition / file).write_bytes(imagecodecs.png_encode(image))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    for name, (source, planes, targets) in CONDITIONS.items():
        write_condition(folder, name, source, planes, targets)
    return folder


def settings(name, **changes):
    recipe = read_settings(RECIPES / f"{name}.yaml").model_dump(exclude_unset=True)
    return recipe | SMALL | changes


@pytest.fixture(scope="module")
def all_conditions(published, tmp_path_factory):
    recipe = settings("isl2018_all_conditions")
    recipe["network"] |= {"base_depth": 8, "classes": 16}
    output = tmp_path_factory.mktemp("model") / "all.isl"
    return isl.train(published, output, **recipe), output


@pytest.mark.parametrize("recipe", sorted(path.name for path in RECIPES.glob("*.yaml")))
def test_recipe_is_understood(recipe):
    if "\ndatasets:\n" in (RECIPES / recipe).read_text():
        read_settings(None, of_data=read_datasets(RECIPES / recipe).settings())
    else:
        read_settings(RECIPES / recipe)


@pytest.mark.data
def test_all_real_images_are_opened_as_the_recipe_says(data_dir):
    if data_dir != (RECIPES.parent / "../shared/data").resolve():
        pytest.skip("the recipe looks for the images in ../shared/data, not in $ISL_DATA")
    fovs = open_data(RECIPES / "real_images.yaml")
    names = {fov.dataset: set(fov.channel_names) - {"TRANSMISSION"} for fov in fovs}
    assert names == {
        "neurons": {"DNA", "MAP2", "NFH"},
        "flow": {"DNA"},
        "bacteria": {"DNA", "MEMBRANE"},
        "yeast": {"CDC"},
        "blood": {"DNA"},
    }
    bacteria = next(fov for fov in fovs if fov.dataset == "bacteria")
    missing = np.isnan(bacteria.read("DNA")[0])
    assert 0.05 < missing.mean() < 0.2


def test_published_recipes_say_what_was_published():
    recipe = read_settings(RECIPES / "isl2018_all_conditions.yaml")
    assert (recipe.network.base_depth, recipe.network.planes, recipe.network.classes) == (
        400,
        26,
        256,
    )
    assert (recipe.crop_px, recipe.patch_px, recipe.batch_size, recipe.output_px) == (
        520,
        250,
        16,
        8,
    )
    assert (recipe.learning_rate, recipe.weight_decay, recipe.second_moment_decay) == (
        1e-4,
        0,
        0.999,
    )
    assert (recipe.gain_std, recipe.offset_std, recipe.noise_std, recipe.blur_share) == (0,) * 4
    assert (recipe.final_learning_rate, recipe.gradient_clip, recipe.average_decay) == (1, 0, 0)


def test_all_conditions_train_together(all_conditions):
    model, _ = all_conditions
    assert len(model.card.target_names) == 9
    assert len(model.network.module.heads) == 35
    assert len(model.card.trained_on) == 7
    assert model.card.source.normalization == "full-range"
    neurite = next(t for t in model.card.targets if t.name == "NEURITE_CONFOCAL")
    assert (neurite.offset, neurite.scale) == (0.0, 65535.0)


def test_condition_e_is_learned_from_the_others(all_conditions, published, tmp_path):
    _, base = all_conditions
    recipe = settings("isl2018_condition_e_transfer", start_from=str(base))
    recipe["network"] |= {"base_depth": 8, "classes": 16}
    model = isl.train(published / "GLS" / "2015_06_26", tmp_path / "e.isl", **recipe)
    assert model.card.target_names == ("DAPI_CONFOCAL", "CELLMASK_CONFOCAL")
    assert model.card.holdout == "wells:B3"
    assert model.card.network.base_depth == 8
    assert "CELLMASK_CONFOCAL" in model.card.scores
    summary = isl.predict(model, published / "GLS", tmp_path / "p.zarr", stitching="single-pass")
    assert len(summary.fields) == 2
