"""Layout, borders, colours and values of the 16-bit panels, and the folder they lie in."""

import math

import imagecodecs
import numpy as np
import pytest
import torch

from isl.core.axes import Box
from isl.core.errors import ImageSizeError, OutputError
from isl.evaluation.error_panels import (
    COLUMNS,
    input_error_panel,
    target_error_panel,
    write_error_panel,
)
from isl.evaluation.panel_folder import PanelFolder, panels_at
from isl.models.categorical import Categorical
from isl.models.distribution import SplitLogistic

Y, X = 5, 7
CELL_Y, CELL_X = Y + 8, X + 8
PURPLE, TURQUOISE, MANGO = (102, 0, 255), (64, 224, 208), (255, 130, 67)
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)
FULL = [*[PURPLE] * 4, TURQUOISE, *[WHITE] * 3, *[BLACK] * 3]


def certain(values, classes=5):
    """Categorical of the classes with these indices, (C, Y, X), and (C, 1, 1) ends 100 and 300."""
    index = torch.as_tensor(values)
    p = torch.nn.functional.one_hot(index, classes).movedim(-1, 0).float()
    ends = torch.ones(len(index), 1, 1)
    return Categorical(p, 100 * ends, 300 * ends)


def constant(value, targets=1):
    return np.full((targets, Y, X), value, np.float32)


def cell(panel, row, column):
    """Content of one picture, within its border."""
    y, x = row * CELL_Y + 4, column * CELL_X + 4
    return panel[y : y + Y, x : x + X]


def color(panel, row, column):
    """The one colour of a picture, in 0..1."""
    found = np.unique(cell(panel, row, column).reshape(-1, 3), axis=0)
    assert len(found) == 1
    return tuple(found[0] / 65535)


@pytest.mark.parametrize(
    ("layout", "borders"),
    [
        ("simplified", [PURPLE, TURQUOISE, BLACK]),
        ("full", [*FULL, MANGO]),
        ("training", [*FULL, RED, MANGO]),
    ],
)
def test_borders_are_those_of_the_published_panels(layout, borders):
    panel = target_error_panel(
        certain(np.zeros((2, Y, X), int)), constant(100, 2), [(0, 1)] * 2, layout
    )
    assert panel.dtype == np.uint16
    assert panel.shape == (2 * CELL_Y, len(borders) * CELL_X, 3)
    for row in range(2):
        for column, border in enumerate(borders):
            y, x = row * CELL_Y, column * CELL_X
            frame = panel[y : y + CELL_Y, x : x + CELL_X].copy()
            outer = [frame[:4], frame[-4:], frame[:, :4], frame[:, -4:]]
            for part in outer:
                assert (part == np.array(border) * 257).all()


def test_columns_show_what_they_say():
    p = torch.tensor([0.1, 0.2, 0.2, 0.5]).view(4, 1, 1, 1).expand(4, 1, Y, X)
    d = Categorical(p, torch.zeros(1, 1, 1), torch.full((1, 1, 1), 3.0))
    panel = target_error_panel(d, constant(1.0), [(0, 9)], "training")
    mode, median, mean, std, truth = 1, 2 / 3, 0.7, 0.3480, 1 / 3
    for column, grey in enumerate((mode, median, mean, std, truth)):
        assert color(panel, 0, column) == pytest.approx((grey,) * 3, abs=1e-4)
    for column, statistic in enumerate((mode, median, mean)):
        additive = statistic, (statistic + truth) / 2, truth
        assert color(panel, 0, 5 + column) == pytest.approx(additive, abs=1e-4)
        above = statistic - truth
        assert color(panel, 0, 8 + column) == pytest.approx((above, above / 2, 0), abs=1e-4)
    assert color(panel, 0, 11) == (1, 1, 1), "ln 5 / ln 4 is clipped"
    assert color(panel, 0, 12) == (1, 1, 1)
    likelier = target_error_panel(d, constant(3.0), [(0, 9)], "training")
    assert color(likelier, 0, 11) == pytest.approx((0.5,) * 3, abs=1e-4)


def test_missed_light_is_blue():
    panel = target_error_panel(certain(np.zeros((1, Y, X), int)), constant(300), [(0, 1)])
    assert color(panel, 0, 2) == pytest.approx((0, 0.5, 1), abs=1e-4)


def test_missing_truth_and_prediction_have_no_error():
    truth = constant(300)
    truth[0, :, 0] = np.nan
    d = certain(np.full((1, Y, X), 2))
    d.probability[:, :, :, -1] = math.nan
    panel = target_error_panel(d, truth, [(0, 1)], "training")
    presence = cell(panel, 0, 12) == 65535
    assert not presence[:, [0, -1]].any()
    assert presence[:, 1:-1].all()
    for column in range(5, 12):
        assert not cell(panel, 0, column)[:, [0, -1]].any()
        assert column in (8, 9, 10) or cell(panel, 0, column)[:, 1:-1].any()


def test_a_density_is_shown_between_its_limits():
    one = torch.ones(2, Y, X)
    d = SplitLogistic(500 * one, 10 * one, 10 * one)
    panel = target_error_panel(d, constant(250, 2), [(0, 1000), (400, 600)], "training")
    assert color(panel, 0, 0) == pytest.approx((0.5,) * 3, abs=1e-4)
    assert color(panel, 0, 4) == pytest.approx((0.25,) * 3, abs=1e-4)
    assert color(panel, 1, 4) == (0, 0, 0)
    assert color(panel, 0, 11) == (1, 1, 1)
    assert color(panel, 1, 3)[0] == pytest.approx(5 * color(panel, 0, 3)[0], abs=1e-3)


def test_planes_of_the_source_are_rows():
    ends = torch.ones(3, 1, 1)
    p = torch.zeros(11, 3, Y, X)
    p[5] = 1
    planes = np.linspace(0, 1, 3, dtype=np.float32)[:, None, None] * np.ones((3, Y, X))
    panel = input_error_panel(Categorical(p, 0 * ends, ends), planes)
    assert [color(panel, z, 1)[0] for z in range(3)] == pytest.approx([0, 0.5, 1], abs=1e-4)
    assert [color(panel, z, 2)[0] for z in range(3)] == pytest.approx([0.5, 0, 0], abs=1e-4)
    assert [color(panel, z, 2)[2] for z in range(3)] == pytest.approx([0, 0, 0.5], abs=1e-4)


def test_another_size_is_refused():
    with pytest.raises(ImageSizeError, match=r"\(1, 5, 7\).*\(1, 5, 6\)"):
        target_error_panel(certain(np.zeros((1, Y, X), int)), constant(1)[..., :-1], [(0, 1)])


def test_file_holds_16_bits(tmp_path):
    panel = target_error_panel(certain(np.full((1, Y, X), 1)), constant(177), [(0, 1)])
    path = tmp_path / "new" / "panel.png"
    write_error_panel(path, panel)
    write_error_panel(path, panel)
    np.testing.assert_array_equal(imagecodecs.png_decode(path.read_bytes()), panel)
    assert len(np.unique(panel)) > 4
    assert [p.name for p in path.parent.iterdir()] == ["panel.png"]


def test_folder_shows_the_upper_left_of_large_fields(tmp_path):
    folder = PanelFolder(tmp_path, side_px=4)
    assert folder.shown(Box(10, 12, 20, 90)) == Box(10, 12, 20, 24)
    index = np.zeros((1, Y, X), int)
    index[0, 3, 3] = 4
    folder.write_targets("B/03/0", certain(index), constant(100), [(0, 1)])
    file = tmp_path / "B" / "03" / "0" / "target_error_panel.png"
    panel = imagecodecs.png_decode(file.read_bytes())
    assert panel.shape == (12, 3 * 12, 3)
    assert tuple(panel[7, 7]) == (65535,) * 3
    assert tuple(panel[6, 7]) == (0,) * 3


@pytest.mark.parametrize("field", ["../../out", "/etc/x", "..", "C:\\a:b", "~"])
def test_no_name_of_a_field_leads_out_of_the_folder(field, tmp_path):
    d = certain(np.zeros((1, Y, X), int))
    PanelFolder(tmp_path / "in" / "panels").write_targets(field, d, constant(100), [(0, 1)])
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 1
    assert files[0].is_relative_to(tmp_path / "in" / "panels")
    assert ":" not in str(files[0].relative_to(tmp_path))


def test_folder_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "panels"

    def stop_between_fields():
        with panels_at(target) as panels:
            panels.write_inputs("A", certain(np.zeros((1, Y, X), int)), constant(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_between_fields()
    assert not list(tmp_path.iterdir())
    with panels_at(target, "full") as panels:
        panels.write_inputs("A", certain(np.zeros((1, Y, X), int)), constant(0))
        assert not target.exists()
    panel = imagecodecs.png_decode((target / "A" / "input_error_panel.png").read_bytes())
    assert panel.shape[1] == len(COLUMNS["full"]) * CELL_X
    with pytest.raises(OutputError, match="--overwrite"), panels_at(target):
        pytest.fail("began to write")
    with panels_at(target, overwrite=True):
        pass
    assert not (target / "A").exists()
