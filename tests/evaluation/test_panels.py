"""Published colours, one grey scale for truth and prediction, and the file."""

import numpy as np
import pytest
from skimage.io import imread

from isl.core.errors import ImageSizeError
from isl.evaluation.panel_colors import BORDER_PX
from isl.evaluation.panels import (
    PanelRow,
    additive_error,
    bordered_images,
    compose_panel,
    row_images,
    subtractive_error,
    write_panel,
)


@pytest.fixture
def row():
    rng = np.random.default_rng(0)
    truth = rng.gamma(2, 100, (20, 30))
    return PanelRow("DAPI", rng.normal(size=truth.shape), truth * 0.5, truth)


@pytest.mark.parametrize(
    ("prediction", "truth", "additive", "subtractive"),
    [
        (1, 1, (255, 255, 255), (0, 0, 0)),
        (0, 0, (0, 0, 0), (0, 0, 0)),
        (1, 0, (255, 128, 0), (255, 128, 0)),
        (0, 1, (0, 128, 255), (0, 128, 255)),
        (0.5, 1, (128, 191, 255), (0, 64, 128)),
    ],
)
def test_colours_of_the_published_panels(prediction, truth, additive, subtractive):
    p, t = np.full((2, 2), float(prediction)), np.full((2, 2), float(truth))
    assert tuple(additive_error(p, t)[0, 0]) == additive
    assert tuple(subtractive_error(p, t)[0, 0]) == subtractive


def test_a_dim_prediction_looks_dim(row):
    _, prediction, truth, *_ = row_images(row)
    assert prediction.mean() == pytest.approx(truth.mean() / 2, rel=0.05)


def test_borders_tell_what_an_image_is(row):
    source, prediction, truth, additive, subtractive = bordered_images(row)
    assert tuple(prediction[0, 0]) == (102, 0, 255)
    assert tuple(truth[BORDER_PX - 1, 5]) == (64, 224, 208)
    assert tuple(additive[-1, -1]) == (255, 255, 255)
    assert tuple(subtractive[-BORDER_PX, 9]) == (0, 0, 0)
    assert source.shape == (20 + 2 * BORDER_PX, 30 + 2 * BORDER_PX, 3)
    np.testing.assert_array_equal(
        truth[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX], row_images(row)[2]
    )


def test_panel_has_a_row_per_target(row):
    unknown = PanelRow("NFH", row.source, row.prediction)
    panel = compose_panel([row, unknown])
    assert panel.shape == (2 * 28, 5 * 38, 3)
    assert panel.dtype == np.uint8
    assert tuple(panel[28, 38]) == (102, 0, 255)
    assert tuple(panel[40, 100]) == (128, 128, 128)


def test_nan_and_constant_images_are_black(row):
    truth = row.truth.copy()
    truth[3, 3] = np.nan
    assert row_images(PanelRow("x", row.source, row.prediction, truth))[2][3, 3].max() == 0
    flat = np.ones_like(truth)
    assert all(image.max() == 0 for image in row_images(PanelRow("x", flat, flat, flat)))


def test_images_of_different_size_are_refused(row):
    with pytest.raises(ImageSizeError, match="DAPI"):
        compose_panel([PanelRow("DAPI", row.source[:5], row.prediction, row.truth)])


def test_written_panel_holds_every_pixel(row, tmp_path):
    path = tmp_path / "panel.png"
    write_panel(path, [row, row], "step 100")
    write_panel(path, [row], "step 200")
    image = imread(path)[..., :3]
    panel = compose_panel([row])
    y, x = 56, 70
    np.testing.assert_array_equal(image[y : y + panel.shape[0], x : x + panel.shape[1]], panel)
    assert (image[:50] < 100).any(), "no text above the panel"
    assert [p.name for p in tmp_path.iterdir()] == ["panel.png"]
