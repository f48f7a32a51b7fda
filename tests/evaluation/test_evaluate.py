"""The whole path from fields to scores, and every bad input on it."""

import logging

import imagecodecs
import numpy as np
import pytest
import torch

from isl.core.axes import Box, VoxelSize
from isl.core.errors import (
    BlankImageError,
    ChannelError,
    DamagedFileError,
    DataError,
    ImageSizeError,
    OutputError,
    VoxelSizeError,
)
from isl.core.region import parse_region
from isl.evaluation.evaluate import evaluate_model, evaluate_prediction
from isl.evaluation.panel_folder import PanelFolder
from isl.evaluation.panels import bordered_images
from isl.evaluation.scores import otsu_foreground, pearson_r
from isl.evaluation.tables import ALL_FIELDS
from isl.io.open import open_fovs
from isl.io.output import OutputChannel, OutputField, resumable_output
from isl.models.categorical import Categorical
from isl.models.distribution import SplitLogistic


def evaluate_one(scene, truth=None, prediction=None, **options):
    truth = scene.truth() if truth is None else truth
    prediction = scene.prediction(truth) if prediction is None else prediction
    fovs = [scene.fov("predicted", prediction)], [scene.fov("A4", truth)]
    return evaluate_prediction(*fovs, **options)


def test_figures_are_those_of_the_pure_functions(scene):
    truth = scene.truth()
    prediction = scene.prediction(truth)
    evaluation = evaluate_one(scene, truth, prediction)
    dapi = truth["DAPI"][0].astype(np.float32)
    row = evaluation.score("DAPI", "pearson_r")
    assert row.field == "A4"
    assert row.value == pytest.approx(pearson_r(prediction["DAPI"][0], dapi).value)
    assert row.low < row.value < row.high
    assert row.pixels == dapi.size
    foreground, threshold = otsu_foreground(dapi)
    expected = pearson_r(prediction["DAPI"][0], dapi, foreground)
    assert evaluation.score("DAPI", "pearson_r_foreground").value == pytest.approx(expected.value)
    assert evaluation.score("DAPI", "pearson_r_foreground").pixels == foreground.sum()
    assert f"DAPI {threshold:.4g}" in dict(evaluation.facts)["Foreground"]


def test_coverage_where_the_file_has_quantiles(scene):
    evaluation = evaluate_one(scene)
    for level in (50, 80, 95):
        observed = evaluation.score("DAPI", f"coverage_{level}").value
        assert observed == pytest.approx(level / 100, abs=0.02)
        missing = evaluation.score("MAP2", f"coverage_{level}")
        assert np.isnan(missing.value)
        assert missing.note.startswith("not computed: the prediction lacks the statistics q0.")
    assert "evaluate the model" in evaluation.score("DAPI", "log_score").note


def test_controls_find_the_plane(scene):
    evaluation = evaluate_one(scene)
    best = evaluation.score("DAPI", "best_plane_r")
    mean = evaluation.score("DAPI", "mean_image_r")
    assert best.note == "plane 2 of 3, negative correlation"
    assert 0.3 < mean.value < best.value < 1
    assert "best single source plane reaches" in evaluation.headlines()[0]


def test_without_a_source_there_are_no_controls(scene, caplog):
    truth = scene.truth()
    prediction = scene.prediction(truth)
    del truth["phase"]
    with caplog.at_level(logging.INFO):
        evaluation = evaluate_one(scene, truth, prediction)
    assert np.isfinite(evaluation.score("DAPI", "pearson_r").value)
    assert "there is no source image" in evaluation.score("DAPI", "best_plane_r").note
    assert any("no controls" in note for note in evaluation.notes)


def test_region_is_scored_alone(scene):
    truth = scene.truth()
    prediction = scene.prediction(truth)
    prediction["DAPI"][:, :, :64] = 7
    evaluation = evaluate_one(scene, truth, prediction, region=parse_region("columns:64-127"))
    row = evaluation.score("DAPI", "pearson_r")
    assert row.pixels == 96 * 64
    assert row.value > 0.9
    assert dict(evaluation.facts)["Region"] == "columns:64-127"
    assert evaluation.pictures[0].crop.x0 >= 64


def test_region_outside_of_the_field(scene):
    with pytest.raises(DataError, match=r"128 columns.*columns:500-600"):
        evaluate_one(scene, region=parse_region("columns:500-600"))


def test_targets_are_those_in_common_or_asked_for(scene):
    assert evaluate_one(scene).targets == ("DAPI", "MAP2")
    assert evaluate_one(scene, targets=["MAP2"]).targets == ("MAP2",)
    with pytest.raises(ChannelError, match=r"cannot compare 'NFH'.*predictions have DAPI, MAP2"):
        evaluate_one(scene, targets=["NFH"])
    with pytest.raises(ChannelError, match="no target is on both sides"):
        evaluate_one(scene, prediction={"GFP": np.ones((1, 96, 128), np.float32)})
    with pytest.raises(ChannelError, match="no channel 'dic'"):
        evaluate_one(scene, source="dic")


def test_mean_stands_in_for_a_missing_median(scene):
    truth = scene.truth()
    prediction = {"DAPI mean": scene.prediction(truth)["DAPI"]}
    evaluation = evaluate_one(scene, truth, prediction)
    assert evaluation.targets == ("DAPI",)
    assert evaluation.score("DAPI", "pearson_r").value > 0.9


def test_prediction_of_another_size(scene):
    small = {n: i[:, :90] for n, i in scene.prediction(scene.truth()).items()}
    with pytest.raises(ImageSizeError, match=r"predicted.*90, 128.*96, 128"):
        evaluate_one(scene, prediction=small)


def test_nan_truth_does_not_count_and_is_reported(scene):
    truth = {n: i.astype(np.float32) for n, i in scene.truth().items()}
    prediction = scene.prediction(truth)
    truth["DAPI"][:, :10] = np.nan
    prediction["DAPI"][:, 20, 20] = np.nan
    evaluation = evaluate_one(scene, truth, prediction)
    assert evaluation.score("DAPI", "pearson_r").pixels == 86 * 128 - 1
    assert any("1280 pixels without truth" in note for note in evaluation.notes)
    assert any("1 pixels not predicted" in note for note in evaluation.notes)


def test_a_border_that_was_not_predicted_does_not_count(scene):
    truth = scene.truth()
    prediction = scene.prediction(truth)
    for image in prediction.values():
        image[:, :16] = image[:, 80:] = image[:, :, :20] = image[:, :, 120:] = np.nan
    evaluation = evaluate_one(scene, truth, prediction)
    inner = (slice(16, 80), slice(20, 120))
    expected = pearson_r(prediction["DAPI"][0][inner], truth["DAPI"][0][inner].astype(np.float32))
    row = evaluation.score("DAPI", "pearson_r")
    assert row.value == pytest.approx(expected.value)
    assert row.pixels == 64 * 100
    assert evaluation.score("DAPI", "ssim").pixels == 58 * 94
    assert evaluation.score("DAPI", "best_plane_r").pixels == 64 * 100
    assert evaluation.score("DAPI", "coverage_95").value == pytest.approx(0.95, abs=0.02)
    lost = 96 * 128 - 64 * 100
    assert f"field A4, DAPI: {lost} pixels not predicted (NaN)" in evaluation.notes
    assert all(np.isfinite(i).all() for p in evaluation.pictures for i in bordered_images(p.row))


def test_zeros_of_a_border_that_the_output_notes_do_not_count(scene, tmp_path):
    truth = scene.truth()
    image = truth["DAPI"].copy()
    image[:, :16] = image[:, :, 120:] = 0
    layout = OutputField("A4", (OutputChannel("DAPI"),), 1, 96, 128, VoxelSize())
    notes = {"model": {}, "predicted": {"A4": [16, 96, 0, 120]}}
    with resumable_output(
        tmp_path / "p.zarr", [layout], dtype="uint16", overwrite=False, attributes=notes
    ) as output:
        output.field("A4").write(0, Box(0, 96, 0, 128), image.astype(np.float32))
    fovs = open_fovs(tmp_path / "p.zarr"), [scene.fov("A4", truth)]
    row = evaluate_prediction(*fovs).score("DAPI", "pearson_r")
    assert row.value == pytest.approx(1.0)
    assert row.pixels == 80 * 120


@pytest.mark.parametrize("value", [np.nan, 5.0])
def test_blank_truth_is_reported_where_others_have_content(scene, value):
    truth = {n: i.astype(np.float32) for n, i in scene.truth().items()}
    prediction = scene.prediction(truth)
    truth["MAP2"][:] = value
    evaluation = evaluate_one(scene, truth, prediction)
    row = evaluation.score("MAP2", "pearson_r")
    assert np.isnan(row.value)
    assert row.note.startswith("not computed: ")
    assert any("MAP2" in note for note in evaluation.notes)
    assert "MAP2: not computed" in " ".join(evaluation.headlines())
    truth["DAPI"][:] = value
    with pytest.raises(BlankImageError, match="nothing to compare with in field A4"):
        evaluate_one(scene, truth, prediction)


def test_constant_prediction_has_no_r_but_an_error(scene):
    truth = scene.truth()
    prediction = scene.prediction(truth)
    prediction["DAPI"][:] = 800
    evaluation = evaluate_one(scene, truth, prediction)
    assert evaluation.score("DAPI", "pearson_r").note == "not computed: the prediction is constant"
    assert evaluation.score("DAPI", "nrmse").value > 0


def several(scene, count=5):
    truths = [scene.truth(seed) for seed in range(count)]
    predictions = [
        scene.fov(f"w{i}", scene.prediction(t, noise=200.0 * (i + 1))) for i, t in enumerate(truths)
    ]
    return predictions, [scene.fov(f"w{i}", t) for i, t in enumerate(truths)]


def test_several_fields_are_pooled_and_ranked(scene):
    evaluation = evaluate_prediction(*several(scene))
    assert evaluation.fields == ("w0", "w1", "w2", "w3", "w4")
    pooled = evaluation.score("DAPI", "pearson_r")
    assert pooled.field == ALL_FIELDS
    assert pooled.pixels == 5 * 96 * 128
    figures = [evaluation.score("DAPI", "pearson_r", f).value for f in evaluation.fields]
    assert min(figures) < pooled.value < max(figures)
    ranks = {p.rank: p.field for p in evaluation.pictures}
    assert ranks == {"best": "w0", "median": "w2", "worst": "w4"}


def test_pictures_of_many_fields_are_made_again(scene, monkeypatch):
    before = evaluate_prediction(*several(scene))
    monkeypatch.setattr("isl.evaluation.evaluate._MOST_FIELDS_IN_MEMORY", 2)
    after = evaluate_prediction(*several(scene))
    assert after.table().equals(before.table())
    for a, b in zip(after.pictures, before.pictures, strict=True):
        assert (a.field, a.target, a.rank) == (b.field, b.target, b.rank)
        np.testing.assert_array_equal(a.row.prediction, b.row.prediction)


def test_fields_without_partner_are_reported(scene):
    predictions, truths = several(scene, 3)
    evaluation = evaluate_prediction(predictions[:2], truths[1:])
    assert evaluation.fields == ("w1",)
    assert sum("w0" in n or "w2" in n for n in evaluation.notes) == 2
    with pytest.raises(DataError, match="no field has both"):
        evaluate_prediction(predictions[:2], truths[2:])


def test_a_bad_field_among_many_is_reported_and_skipped(scene):
    predictions, truths = several(scene, 3)
    predictions[1] = scene.fov("w1", {"DAPI": np.ones((1, 5, 5), np.float32)})
    bad = []
    steps = []
    evaluation = evaluate_prediction(
        predictions,
        truths,
        on_bad=lambda name, error: bad.append((name, type(error))),
        progress=steps.append,
    )
    assert bad == [("w1", ImageSizeError)]
    assert evaluation.fields == ("w0", "w2")
    assert [s.done for s in steps] == [1, 2, 3]
    assert [text[:22] for text in evaluation.left_out] == ["field w1 was left out:"]
    with pytest.raises(ImageSizeError):
        evaluate_prediction(predictions, truths)


def test_nothing_left_is_an_error(scene):
    predictions, truths = several(scene, 2)
    small = [scene.fov(p.name, {"DAPI": np.ones((1, 5, 5), np.float32)}) for p in predictions]
    with pytest.raises(DataError, match="none of 2 fields"):
        evaluate_prediction(small, truths, on_bad=lambda name, error: None)


def test_damaged_file_is_passed_on(scene):
    class Damaged:
        def read(self, channel, t, z, box):
            raise DamagedFileError("w.tif is truncated")

    truth = scene.truth()
    fov = scene.fov("A4", truth)
    object.__setattr__(fov, "pixels", Damaged())
    with pytest.raises(DamagedFileError, match="truncated"):
        evaluate_prediction([scene.fov("A4", scene.prediction(truth))], [fov])


def test_every_time_point_counts(scene):
    parts = [scene.truth(seed) for seed in range(3)]
    truth = {n: np.stack([p[n] for p in parts]) for n in parts[0]}
    evaluation = evaluate_one(scene, truth)
    assert evaluation.score("DAPI", "pearson_r").pixels == 3 * 96 * 128
    assert "3 time points" in dict(evaluation.facts)["Truth"]


def test_truth_with_several_planes_is_projected(scene):
    truth = scene.truth()
    prediction = scene.prediction(truth, noise=0)
    truth["DAPI"] = np.concatenate([truth["DAPI"], truth["DAPI"] // 2])
    evaluation = evaluate_one(scene, truth, prediction)
    assert evaluation.score("DAPI", "nrmse").value == pytest.approx(0, abs=1e-6)


def test_model_has_all_scores(scene):
    truth = scene.truth()
    evaluation = evaluate_model(scene.model(truth), [scene.fov("A4", truth)], name="m.isl")
    assert evaluation.targets == ("MAP2", "DAPI")
    rows = [r for r in evaluation.rows if r.target == "DAPI"]
    assert all(np.isfinite(r.value) for r in rows)
    # logistic of scale 165 has the spread of the noise: standard deviation 300
    assert evaluation.score("DAPI", "coverage_95").value == pytest.approx(0.95, abs=0.02)
    assert evaluation.score("DAPI", "log_score").value == pytest.approx(
        1.419 + np.log(0.3), abs=0.05
    )
    assert evaluation.score("DAPI", "crps").value == pytest.approx(0.56 * 0.3, rel=0.1)
    assert "m.isl, trained 2026-01-01 for 7 steps" in dict(evaluation.facts)["Model"]


def test_an_imported_model_says_so(scene):
    truth = scene.truth()
    model = scene.model(truth)
    model.card.provenance.imported_from = "checkpoints/model.ckpt-7"
    model.card.source.normalization = "full-range"
    evaluation = evaluate_model(model, [scene.fov("A4", truth)], name="m.isl")
    facts = dict(evaluation.facts)
    assert "imported 2026-01-01 from checkpoints/model.ckpt-7 (after 7 steps)" in facts["Model"]
    assert "largest value" in facts["Source normalisation"]
    assert facts["Unit of log score and CRPS"].startswith("range of image values")


def test_model_is_scored_on_what_was_held_out(scene):
    truth = scene.truth()
    fovs = [scene.fov("A4", truth), scene.fov("B1", truth)]
    model = scene.model(truth, holdout="columns:96-127", trained_on=["A4"])
    evaluation = evaluate_model(model, fovs)
    assert evaluation.score("DAPI", "pearson_r", "A4").pixels == 96 * 32
    assert evaluation.score("DAPI", "pearson_r", "B1").pixels == 96 * 128
    assert any("only the held-out part, columns:96-127" in n for n in evaluation.notes)


def test_model_errors_name_field_and_file(scene):
    truth = scene.truth()
    fov = scene.fov("A4", truth, path="folder")
    object.__setattr__(fov, "voxel_size", type(fov.voxel_size)(1.0, 0.9, 0.9))
    model = scene.model(truth)
    with pytest.raises(VoxelSizeError, match="folder: field A4, channel 'phase'"):
        evaluate_model(model, [fov])
    assert evaluate_model(model, [fov], ignore_voxel_size=True).fields == ("A4",)


def test_model_targets_must_be_known(scene):
    truth = scene.truth()
    model = scene.model(truth)
    with pytest.raises(ChannelError, match="cannot evaluate 'NFH'"):
        evaluate_model(model, [scene.fov("A4", truth)], targets=["NFH"])
    with pytest.raises(ChannelError, match="nothing to compare with"):
        evaluate_model(model, [scene.fov("A4", {"phase": truth["phase"]})])


def test_fields_may_lack_targets(scene):
    truth = scene.truth()
    partial = {n: truth[n] for n in ("phase", "DAPI")}
    none = {"phase": truth["phase"]}
    bad = []
    evaluation = evaluate_model(
        scene.model(truth),
        [scene.fov(n, t) for n, t in (("a", truth), ("b", partial), ("c", none))],
        on_bad=lambda name, error: bad.append((name, type(error))),
    )
    assert "has no image 'MAP2'" in evaluation.score("MAP2", "ssim", "b").note
    assert evaluation.score("MAP2", "pearson_r").pixels == 96 * 128
    assert bad == [("c", ChannelError)]


def test_truth_without_source_cannot_be_predicted(scene):
    truth = scene.truth()
    dapi = scene.fov("a", {"DAPI": truth["DAPI"]})
    with pytest.raises(ChannelError):
        evaluate_model(scene.model(truth), [dapi])


def test_a_field_without_the_source_does_not_stop_the_rest(scene):
    truth = scene.truth()
    bad = []
    evaluation = evaluate_model(
        scene.model(truth),
        [scene.fov("a", truth), scene.fov("b", {"DAPI": truth["DAPI"]})],
        source="phase",
        on_bad=lambda name, error: bad.append((name, type(error))),
    )
    assert evaluation.fields == ("a",)
    assert bad == [("b", ChannelError)]


@pytest.mark.data
def test_truth_of_the_real_well_agrees_with_itself(data_dir):
    from isl.io.open import open_fovs

    fovs = open_fovs(data_dir / "isl2018" / "condition_B_well_A4")
    evaluation = evaluate_prediction(
        fovs, fovs, targets=["DAPI_CONFOCAL"], region=parse_region("columns:576-767")
    )
    assert evaluation.score("DAPI_CONFOCAL", "pearson_r").value == pytest.approx(1)
    assert evaluation.score("DAPI_CONFOCAL", "ssim").value == pytest.approx(1)
    assert evaluation.score("DAPI_CONFOCAL", "nrmse").value == pytest.approx(0, abs=1e-6)
    assert evaluation.score("DAPI_CONFOCAL", "best_plane_r").value < 0.3
    assert evaluation.score("DAPI_CONFOCAL", "pearson_r").pixels == 1024 * 192


@pytest.fixture
def model_with_windows(scene):
    truth = scene.truth()
    model = scene.model(truth)
    windows = {"window": (0.0, 5000.0), "offset": 0.0}
    for card in model.card.targets:
        vars(card).update(windows)
    return model, truth


def test_error_panels_of_a_model_show_the_evaluated_region(model_with_windows, scene, tmp_path):
    model, truth = model_with_windows
    fovs = [scene.fov("B/03/0", truth), scene.fov("B/03/1", truth)]
    options = {"region": parse_region("columns:64-127"), "targets": ["DAPI"]}
    evaluate_model(model, fovs, panels=PanelFolder(tmp_path), **options)
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    assert files == [f"B/03/{i}/target_error_panel.png" for i in range(2)]
    panel = imagecodecs.png_decode((tmp_path / files[0]).read_bytes())
    assert panel.shape == (96 + 8, 3 * (64 + 8), 3)
    shown = panel[4:-4, 72 + 4 : 144 - 4, 0] / 65535 * 5000
    np.testing.assert_allclose(shown, truth["DAPI"][0, :, 64:].astype(float), atol=0.1)


def test_planes_that_a_model_reconstructs_have_a_panel(model_with_windows, scene, tmp_path):
    model, truth = model_with_windows
    boxes = []

    class Reconstructs(type(model)):
        def source_distribution(self, zyx, *, box=None):
            boxes.append(box)
            values = torch.full((5, *box.shape), 0.5)
            return SplitLogistic(values, values / 5, values / 5)

    model = Reconstructs(model.card, model.medians)
    model.card.source.normalization = "published"
    folder = PanelFolder(tmp_path, "full", side_px=32)
    fov = scene.fov("A4", truth)
    evaluate_model(model, [fov], region=parse_region("columns:64-127"), panels=folder)
    assert boxes == [Box(0, 32, 64, 96)]
    panel = imagecodecs.png_decode((tmp_path / "A4" / "input_error_panel.png").read_bytes())
    assert panel.shape == (5 * 40, 12 * 40, 3)
    shown = panel[:, 4 * 40 + 4 : 5 * 40 - 4, 0].reshape(5, 40, 32)[:, 4:-4] / 65535
    phase = truth["phase"].astype(float)
    normalized = 0.5 + 0.125 * (phase - phase.mean()) / phase.std()
    nearest = normalized[[0, 0, 1, 2, 2], :32, 64:96].clip(0, 1)
    np.testing.assert_allclose(shown, nearest, atol=1e-3)


def test_panels_that_cannot_be_written_are_no_bad_field(model_with_windows, scene, tmp_path):
    model, truth = model_with_windows
    (tmp_path / "A4").write_text("in the way")
    fovs = [scene.fov("A4", truth), scene.fov("A5", truth)]
    with pytest.raises(OutputError, match="A4"):
        evaluate_model(
            model, fovs, panels=PanelFolder(tmp_path), on_bad=lambda *_: pytest.fail("bad field")
        )


def test_a_categorical_prediction_is_scored(scene):
    truth = scene.truth()
    model = scene.model(truth)
    edges = torch.linspace(-3000, 7000, 201).view(-1, 1, 1, 1)
    mass = torch.sigmoid((edges - torch.from_numpy(model.medians)) / model.scale).diff(dim=0)
    ends = torch.full((3, 1, 1), -2975.0), torch.full((3, 1, 1), 6975.0)
    categorical = Categorical(mass / mass.sum(0), *ends)

    class Predicts:
        card = model.card

        def tile_px(self, shape_yx, planes):
            return max(shape_yx)

        def distribution(self, *_, box, **__):
            assert box == Box(0, 96, 0, 128)
            return categorical

    exact = evaluate_model(model, [scene.fov("A4", truth)])
    evaluation = evaluate_model(Predicts(), [scene.fov("A4", truth)])
    for metric in ("pearson_r", "crps", "log_score"):
        expected = exact.score("DAPI", metric).value
        assert evaluation.score("DAPI", metric).value == pytest.approx(expected, abs=0.005)
