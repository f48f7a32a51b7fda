"""The price of a single pass is measured where a user sees it."""

import logging

import numpy as np
import pytest
from inference_scene import make_fov, make_model, make_published

from isl.core.axes import Box
from isl.core.errors import ConfigError
from isl.data.normalization import measure_source_array
from isl.inference.predict import predict_fovs
from isl.inference.single_pass import measure_single_pass, middle
from isl.inference.source_stack import SourceStack


@pytest.fixture(scope="module")
def published():
    return make_published("published")


@pytest.fixture(scope="module")
def zyx():
    return np.random.default_rng(0).integers(0, 4000, (2, 31, 40)).astype(np.uint16)


def measure(model, zyx):
    normalizer = measure_source_array(zyx, "x", "published")
    stack = SourceStack(zyx.shape[1:], lambda box: zyx[:, *box.slices], normalizer)
    return measure_single_pass(model, stack)


def test_the_figures_are_those_of_the_images(published, zyx):
    found = measure(published, zyx)
    dense = published.stitched("dense").predict(zyx).image
    once = published.stitched("single-pass").predict(zyx).image
    ranges = np.ptp(dense, axis=(1, 2), keepdims=True)
    assert (ranges > 0).all()
    percent = 100 * np.abs(once - dense) / ranges
    assert found.sample == Box(0, 31, 0, 40)
    assert found.mean_percent == pytest.approx(percent.mean(), rel=1e-3)
    assert found.largest_percent == pytest.approx(percent.max(), rel=1e-3)
    assert found.largest_percent > found.mean_percent > 0


def test_within_one_block_there_is_no_difference(published, zyx):
    found = measure(published, zyx[:, :8, :8])
    assert found.largest_percent < 0.1


def test_the_sample_lies_in_the_middle():
    assert middle((1000, 130)) == Box(436, 564, 1, 129)
    assert middle((5, 7)) == Box(0, 5, 0, 7)


def test_other_networks_are_refused(zyx):
    with pytest.raises(ConfigError, match="one way"):
        measure(make_model(), zyx)


@pytest.mark.parametrize("stitching", [None, "dense", "single-pass"])
def test_a_summary_has_it_for_a_single_pass(published, zyx, tmp_path, stitching):
    fov = make_fov(zyx[None, :, :20, :24])
    summary = predict_fovs(published, [fov], tmp_path / "p.zarr", stitching=stitching)
    assert (summary.single_pass is not None) == (stitching == "single-pass")
    assert summary.valid == ()
    assert summary.pixels == 480


def test_doubtful_images_are_noted_once(tmp_path, caplog):
    model = make_published("full-range")
    dark = np.random.default_rng(0).integers(0, 4000, (2, 2, 8, 8)).astype(np.uint16)
    fovs = [make_fov(dark, "a"), make_fov(dark[:1], "b")]
    summary = predict_fovs(model, fovs, tmp_path / "p.zarr")
    (note,) = summary.notes
    assert "field a" in note
    assert "mean 0.03" in note
    assert "--normalization published" in note
    assert "2 more such images" in note
    with caplog.at_level(logging.WARNING):
        model.predict(dark[0])
    assert "mean 0.03" in caplog.text
    bright = (dark + 30000).astype(np.uint16)
    assert predict_fovs(model, [make_fov(bright)], tmp_path / "q.zarr").notes == ()
