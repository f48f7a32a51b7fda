"""Stacks of any voxel size and of any planes."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inference_scene import make_fov, make_model, make_published

import isl
from isl.core.axes import Box, VoxelSize
from isl.core.errors import BlankImageError, ConfigError, DataError, VoxelSizeError
from isl.evaluation.evaluate import evaluate_model
from isl.inference.jobs import array_job
from isl.inference.memory import Sides
from isl.inference.model import Model
from isl.inference.model_file import load_model
from isl.inference.predict import predict_fovs
from isl.io.arrays import fov_from_arrays
from isl.io.open import open_fovs
from isl.models.distribution import SplitLogistic
from isl.models.labeling import LabelingNetwork
from isl.simulate.scene import simulate_scene

WEIGHTS = Path(isl.__file__).parent / "weights" / "demo-scene.isl"
BLOBS = ((7.1, 9.4, 2.2), (15.3, 20.8, 3.1), (21.7, 6.2, 2.6), (18.2, 34.0, 2.4))


class Mirror(LabelingNetwork):
    """Predicts what it is shown: the mean of the planes for every target."""

    def __init__(self, config, targets):
        super().__init__()
        self.config, self.targets = config, targets
        self.stride, self.margin_px = 8, 8

    def distribution(self, source, z_position):
        median = source.mean(1, keepdim=True).expand(-1, self.targets, -1, -1)
        return SplitLogistic(median, torch.full_like(median, 0.1), torch.full_like(median, 0.1))

    def bytes_per_pixel(self, planes):
        return 100.0


@pytest.fixture(scope="module")
def mirror():
    """Model at 0.3 um a pixel whose prediction of DAPI is the source itself, normalised."""
    model = make_model(targets=("DAPI",))
    cards = (model.card.targets[0].model_copy(update={"offset": 0.0, "scale": 1.0}),)
    card = model.card.model_copy(update={"targets": cards})
    return Model(card, Mirror(card.network, 1))


def scene(size_y, size_x, um_y, um_x):
    """Smooth blobs, known at any position in micrometres; darkest 0, brightest near 1."""
    y = (np.arange(size_y) + 0.5)[:, None] * um_y
    x = (np.arange(size_x) + 0.5)[None, :] * um_x
    return sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s**2)) for a, b, s in BLOBS)


def shift_px(found, expected):
    """Displacement in y and x of one image against another, by least squares."""
    slopes = np.stack([*(slope.ravel() for slope in np.gradient(expected))], 1)
    return np.linalg.lstsq(slopes, (expected - found).ravel(), rcond=None)[0]


class TestVoxelSize:
    """Images at another voxel size than the model's."""

    @pytest.mark.parametrize(
        ("size", "um"),
        [((47, 61), (0.65, 0.65)), ((61, 90), (0.5, 0.44)), ((151, 203), (0.19, 0.21))],
    )
    def test_a_prediction_lies_on_its_source(self, mirror, size, um):
        image = scene(*size, *um)
        found = mirror.predict(image, um)["DAPI"]
        assert found.shape == size
        found = found * image.std() + image.mean()
        assert np.abs(shift_px(found, image)).max() < 0.05
        assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.999

    @pytest.mark.parametrize("um", [(0.65, 0.65), (0.41, 0.52), (0.11, 0.3), (1.7, 1.9)])
    @pytest.mark.parametrize("tile_px", [24, 50])
    def test_tiled_equals_whole(self, model, rng, um, tile_px):
        zyx = rng.random((3, 43, 57))
        statistics = ("median", "std")
        whole = model.predict(zyx, um, statistics=statistics, tile_px=10_000).image
        tiled = model.predict(zyx, um, statistics=statistics, tile_px=tile_px).image
        assert np.isfinite(whole).all()
        for a, b in zip(tiled, whole, strict=True):
            assert np.abs(a - b).max() <= 1e-4 * np.ptp(b)

    @pytest.mark.parametrize("ending", ["zarr", "ome.tif"])
    def test_written_equals_predicted_from_the_array(self, model, rng, tmp_path, ending):
        zyx = rng.integers(0, 4000, (2, 70, 530)).astype(np.uint16)
        um = VoxelSize(1.0, 0.45, 0.65)
        fov = make_fov(zyx[None], voxel_size=um)
        path = tmp_path / f"p.{ending}"
        summary = predict_fovs(model, [fov], path, tile_px=300)
        assert summary.notes == (
            "resampled from y 0.45, x 0.65 um to y 0.3, x 0.3 um a pixel, and the predictions back",
        )
        (written,) = open_fovs(path)
        assert (written.size_y, written.size_x) == (70, 530)
        assert written.voxel_size.x == pytest.approx(0.65)
        expected = model.predict(zyx, um)
        for name in ("DAPI", "MAP2"):
            difference = np.abs(written.read(name)[0] - expected[name]).max()
            assert difference <= 1e-4 * np.ptp(expected[name])

    def test_memory_is_bounded_by_the_tile(self, model):
        zyx = np.zeros((1, 700, 600), np.uint8)
        job = array_job(zyx, (1.5, 1.2)).fitted(model.card)
        assert job.at_model.shape[-2:] == (3500, 2400)
        pieces = model.plan(job, sides=Sides(1 << 20, (256, 256)))
        covered = np.zeros((700, 600), int)
        for piece in pieces:
            covered[piece.box.slices] += 1
            assert max(piece.tile.read.shape) <= 256 + 2 * (model.network.margin_px + 16)
        assert (covered == 1).all()

    @pytest.mark.parametrize("um", [(0.305, 0.296), (0.3, None)])
    def test_two_percent_are_the_same(self, model, rng, um):
        zyx = rng.random((2, 20, 20))
        np.testing.assert_array_equal(model.predict(zyx, um).image, model.predict(zyx).image)

    def test_a_distribution_is_brought_back_too(self, model, rng):
        zyx = rng.random((2, 40, 30))
        whole = model.distribution(zyx, (0.65, 0.65))
        np.testing.assert_allclose(
            whole.median.numpy(), model.predict(zyx, (0.65, 0.65)).image, rtol=1e-4, atol=1e-3
        )
        box = Box(11, 29, 3, 30)
        part = model.distribution(zyx, (0.65, 0.65), box=box, tile_px=20)
        expected = whole.scale_left[..., *box.slices]
        torch.testing.assert_close(part.scale_left, expected, rtol=1e-4, atol=1e-3)
        with pytest.raises(VoxelSizeError):
            model.distribution(zyx, (0.65, 0.65), resample=False)

    def test_a_model_is_evaluated_at_the_pixels_of_the_truth(self, mirror):
        truth = scene(61, 64, 0.65, 0.65)
        fov = fov_from_arrays({"phase": truth, "DAPI": truth}, voxel_size=VoxelSize(1, 0.65, 0.65))
        found = evaluate_model(mirror, [fov], source="phase")
        assert found.score("DAPI", "pearson_r").value > 0.999

    def test_classes_of_the_published_network_are_brought_back(self, rng):
        model = make_published()
        model = Model(
            model.card.model_copy(update={"voxel_size": VoxelSize(None, 0.3, 0.3)}), model.network
        )
        zyx = rng.integers(0, 4000, (2, 4, 5))
        found = model.distribution(zyx, (0.6, 0.6))
        total = found.probability.sum(0)
        torch.testing.assert_close(total, torch.ones_like(total))
        fov = make_fov(zyx[None].astype(np.uint16), voxel_size=VoxelSize(None, 0.6, 0.6))
        with pytest.raises(ConfigError, match="--border valid keeps"):
            predict_fovs(model, [fov], "unused.zarr", border="valid")

    def test_full_range_images_are_divided_by_the_largest_value_of_their_file(self, rng):
        model = make_published("full-range")
        zyx = rng.integers(30000, 35000, (2, 4, 4)).astype(np.uint16)
        assert np.isfinite(model.predict(zyx, (0.6, 0.6)).image).all()


class TestPlanes:
    """Any planes, in any order."""

    @pytest.mark.parametrize("planes", [1, 2, 7, 60])
    def test_any_number(self, model, rng, planes):
        assert np.isfinite(model.predict(rng.random((planes, 16, 16))).image).all()

    def test_any_order(self, model, rng):
        zyx = rng.random((5, 20, 20))
        heights = [0.0, 1.0, 2.5, 3.0, 7.0]
        expected = model.predict(zyx, z_um=heights).image
        order = [3, 0, 4, 1, 2]
        shuffled = model.predict(zyx[order], z_um=[heights[i] for i in order]).image
        np.testing.assert_array_equal(shuffled, expected)
        assert np.abs(model.predict(zyx).image - expected).max() > 0.1

    def test_even_heights_are_the_default(self, model, rng):
        zyx = rng.random((4, 20, 20))
        found = model.predict(zyx, z_um=(9.0, 10.5, 12.0, 13.5)).image
        np.testing.assert_allclose(found, model.predict(zyx).image, rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize(
        ("z_um", "message"),
        [
            ((0, 1), "each of the 3 planes"),
            ((0, 1, np.nan), "each of the 3 planes"),
            (("a", "b", "c"), "each of the 3 planes"),
            ((0, 1, 1), "two planes have the same height"),
        ],
    )
    def test_heights_that_make_no_sense_are_refused(self, model, rng, z_um, message):
        with pytest.raises(DataError, match=message):
            model.predict(rng.random((3, 8, 8)), z_um=z_um)

    def test_missing_files_count_as_gaps(self, model, rng, tmp_path):
        zyx = rng.random((4, 20, 20))
        fov = make_fov(zyx[None])
        gap = replace(fov.channels[0], z_positions=(0.0, 1.0, 3.0, 4.0))
        fov = replace(fov, channels=(gap,))
        summary = predict_fovs(model, [fov], tmp_path / "p.zarr")
        assert "has planes 0, 1, 3, 4; those between are missing" in summary.notes[0]
        expected = model.predict(zyx, z_um=(0, 1, 3, 4))["DAPI"]
        (written,) = open_fovs(tmp_path / "p.zarr")
        np.testing.assert_allclose(written.read("DAPI")[0], expected, rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize("blank", [np.nan, 300.0])
    def test_blank_planes_are_left_out_and_named(self, model, rng, tmp_path, caplog, blank):
        zyx = rng.normal(1000, 100, (5, 24, 20)).astype(np.float32)
        zyx[[1, 4]] = blank
        with caplog.at_level(logging.WARNING):
            found = model.predict(zyx).image
        assert "the array: left out plane 1, 4 of 0 to 4" in caplog.text
        depths = array_job(zyx).stack(model.card).depths
        np.testing.assert_allclose(depths, [0.0, 0.5, 0.75])
        series = np.stack([zyx, zyx])
        summary = predict_fovs(
            model, [make_fov(series), make_fov(series, "b")], tmp_path / "p.zarr"
        )
        (note,) = summary.notes
        assert "field field, channel 'phase': left out plane 1, 4 of 0 to 4" in note
        assert note.endswith("(1 more such fields)")
        (written, _) = open_fovs(tmp_path / "p.zarr")
        np.testing.assert_allclose(written.read("DAPI", t=1)[0], found[0], rtol=1e-4, atol=1e-2)

    @pytest.mark.parametrize("step_um", [None, 2.0])
    def test_evaluation_places_planes_alike(self, model, rng, step_um):
        source = model.card.source.model_copy(update={"depth_um": 8.0})
        deep = Model(model.card.model_copy(update={"source": source}), model.network)
        zyx = rng.random((4, 32, 32)).astype(np.float32)
        um = VoxelSize(step_um, 0.3, 0.3)
        expected = deep.predict(zyx, z_um=[2.0 * z for z in (0, 1, 3, 4)])["DAPI"]
        fov = fov_from_arrays({"phase": zyx, "DAPI": expected}, voxel_size=um)
        gap = replace(fov.channels[0], z_positions=(0.0, 1.0, 3.0, 4.0))
        found = evaluate_model(deep, [replace(fov, channels=(gap, fov.channels[1]))])
        assert found.score("DAPI", "pearson_r").value > 1 - 1e-6

    def test_evaluation_leaves_blank_planes_out(self, model, rng):
        zyx = rng.random((4, 32, 32)).astype(np.float32)
        zyx[1] = np.nan
        expected = model.predict(zyx)["DAPI"]
        found = evaluate_model(model, [fov_from_arrays({"phase": zyx, "DAPI": expected})])
        assert found.score("DAPI", "pearson_r").value > 1 - 1e-6

    def test_blank_planes_alone_are_refused(self, model):
        with pytest.raises(BlankImageError, match="the array: all source pixels in each plane"):
            model.predict(np.arange(3.0)[:, None, None] * np.ones((3, 8, 8)))

    def test_micrometres_count_where_the_model_knows_its_depth(self, model, rng):
        source = model.card.source.model_copy(update={"depth_um": 8.0})
        deep = Model(model.card.model_copy(update={"source": source}), model.network)
        zyx = rng.random((5, 16, 16))
        as_trained = model.predict(zyx).image
        np.testing.assert_allclose(
            deep.predict(zyx, (2.0, 0.3, 0.3)).image, as_trained, rtol=1e-4, atol=1e-3
        )
        assert np.abs(deep.predict(zyx, (1.0, 0.3, 0.3)).image - as_trained).max() > 0.1
        np.testing.assert_array_equal(deep.predict(zyx).image, as_trained)
        ignored = deep.predict(zyx, (1.0, 0.3, 0.3), ignore_voxel_size=True).image
        np.testing.assert_array_equal(ignored, as_trained)
        depths = array_job(zyx, (1.0, 0.3, 0.3)).fitted(deep.card).stack(deep.card).depths
        np.testing.assert_allclose(depths, [0.25, 0.375, 0.5, 0.625, 0.75])


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_gain_and_offset_change_the_shipped_model_by_less_than_a_thousandth(dtype):
    model = load_model(WEIGHTS)
    field = simulate_scene(seed=3, size_yx=(128, 128), planes=5, cells=8)
    # Less than a quarter of the range of uint16, so that nothing is cut off.
    source = np.rint(field.source * (15000 / field.source.max()))
    expected = model.predict(source).image
    changed = source * 3.7 + 120
    found = model.predict((np.rint(changed) if dtype == np.uint16 else changed).astype(dtype)).image
    for name, a, b in zip(model.card.target_names, found, expected, strict=True):
        assert np.ptp(b) > 0
        assert np.abs(a - b).max() < 1e-3 * np.ptp(b), name
