"""The main job on the real images, with the models that ship."""

import numpy as np
import pytest

import isl
from isl.core.networks import NetworkConfig
from isl.inference.registry import shipped_model

pytestmark = pytest.mark.data


def test_shipped_model_predicts_the_unseen_part_of_the_real_well(data_dir):
    fov = isl.open_fovs(data_dir / "isl2018" / "condition_B_well_A4")[0]
    model = isl.load_model(shipped_model("demo-neurons"))
    prediction = model.predict(fov.read("PHASE_CONTRAST"))
    # What docs/benchmarks.md reports, less what rounding to half precision may cost.
    least = {"DAPI_CONFOCAL": 0.77, "MAP2_CONFOCAL": 0.87, "NFH_CONFOCAL": 0.60}
    for name, r_least in least.items():
        truth = fov.read(name)[0, :, 576:768]
        r = np.corrcoef(prediction[name][:, 576:768].ravel(), truth.ravel())[0, 1]
        assert r >= r_least, name


def test_single_planes_of_flow_cytometry_train_and_predict(data_dir, tmp_path):
    images = data_dir / "imaging_flow_cytometry" / "Experiment_1" / "G1"
    settings = {"network": NetworkConfig(widths=(8, 8), blocks=(1, 1)), "batch_size": 1}
    roles = {"source": "Ch3", "targets": ("Ch4",), "holdout": "columns:900-1199"}
    model = isl.train(images, tmp_path / "m.isl", max_steps=2, patch_px=64, **roles, **settings)
    assert model.card.source.planes == 1
    assert model.card.target_names == ("Ch4",)
    summary = isl.predict(model, images, tmp_path / "p.ome.tif")
    assert summary.pixels == 1200 * 1200
    assert isl.open_fovs(tmp_path / "p.ome.tif")[0].channel_names == ("Ch4",)


def test_shipped_model_finds_the_dna_of_another_experiment(data_dir):
    (fov,) = isl.open_fovs(data_dir / "imaging_flow_cytometry" / "Experiment_1" / "G1")
    prediction = isl.load_model("demo-flow").predict(fov.read("Ch3")[..., :400, :400])
    truth = fov.read("Ch4")[0, :400, :400]
    assert np.corrcoef(prediction["DNA"].ravel(), truth.ravel())[0, 1] > 0.96


def test_shipped_model_predicts_the_unseen_end_of_the_field_of_bacteria(data_dir):
    (fov,) = isl.open_fovs(data_dir / "saureus_phase")
    prediction = isl.load_model("demo-bacteria").predict(fov.read("phase"))
    for target, channel, shift in (("DNA", "dna", (2, 6)), ("MEMBRANE", "membrane", (1, 5))):
        moved = np.roll(fov.read(channel)[0], shift, (0, 1)).astype(float)
        unseen = (slice(8, None), slice(1032, None))
        known = moved[unseen] > 0
        r = np.corrcoef(prediction[target][unseen][known], moved[unseen][known])[0, 1]
        assert r > 0.93, target
