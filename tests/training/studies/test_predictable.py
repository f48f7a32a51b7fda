"""Can it be predicted at all?"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from training_scene import TINY, field

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.data.splits import split_datasets
from isl.evaluation.bootstrap import Interval
from isl.io.arrays import fov_from_arrays
from isl.io.roles import Roles
from isl.training.studies.predictable import _cautions, _settings, predictable, verdict_of

NAN = float("nan")


def test_what_is_there_is_found_and_what_is_not_is_chance(tmp_path):
    rng = np.random.default_rng(0)
    phase = gaussian_filter(rng.normal(100, 50, (3, 96, 192)), (0, 3, 3)).astype(np.float32)
    noise = gaussian_filter(rng.normal(100, 50, (96, 192)), 3).astype(np.float32)
    fov = fov_from_arrays({"phase": phase, "DAPI": 2 * phase[1], "NOISE": noise})
    settings = TINY | {"max_steps": 40, "learning_rate": 1e-2, "average_decay": 0.9}
    settings |= {"plane_dropout": 0.0}
    config = TrainConfig(**(settings | {"holdout": "columns:112-191", "loader_threads": 0}))
    found = predictable([fov], config, tmp_path / "p")
    dapi, noise = found.answers
    assert dapi.r.low > dapi.chance.high
    assert dapi.verdict == "no better than a plane"  # which shows it as it is
    assert noise.verdict == "chance"
    text = (tmp_path / "p" / "answer.md").read_text()
    assert "NOISE cannot be told apart from chance: r " in text
    assert "of the same field" in text
    assert "only 4 blocks" in text
    assert pd.read_csv(tmp_path / "p" / "answer.csv")["verdict"].tolist()[1] == "chance"


@pytest.mark.parametrize(
    ("r", "chance", "plane", "verdict"),
    [
        ((0.8, 0.7, 0.9), 0.1, 0.2, "can be predicted"),
        ((0.8, 0.7, 0.9), 0.1, NAN, "can be predicted"),
        ((0.25, 0.2, 0.3), 0.1, 0.1, "weakly"),
        ((0.5, 0.4, 0.6), 0.1, 0.55, "no better than a plane"),
        ((0.2, 0.05, 0.3), 0.1, 0.0, "chance"),
        ((0.0, -0.1, 0.1), 0.1, 0.9, "no better than a plane"),
        ((-0.5, -0.6, -0.4), -0.1, 0.0, "chance"),
        ((0.9, NAN, NAN), 0.1, 0.0, "chance"),
        ((0.05, -0.1, 0.2), NAN, 0.0, "chance"),
    ],
)
def test_figures_stand_for_an_answer(r, chance, plane, verdict):
    assert verdict_of(Interval(*r), Interval(0.0, -0.1, chance), plane) == verdict


def test_the_caution_names_how_near_the_held_out_part_is():
    same, other = field("a", well="B/01"), field("bb", well="B/02")
    plates = [replace(fov, plate="P") for fov in (same, other)]
    rules = {
        "columns:64-95": ([same], "of the same field"),
        "fovs:bb": ([same, replace(other, well="B/01")], "of the same wells"),
        "wells:B/02": (plates, "of the same plate"),
        "fovs:ccc": ([field("dd"), field("ccc")], "is not known here"),
    }
    for rule, (fovs, words) in rules.items():
        assert words in _cautions(fovs, split_datasets(fovs, rule, {}, 8))[0]


def test_the_budget_is_five_minutes_where_none_is_given():
    fovs = [field()]
    split = split_datasets(fovs, "columns:64-95", {}, 8)
    roles = Roles("phase", ("DAPI",), "")
    assert _settings(TrainConfig(), roles, split).max_minutes == 5.0
    assert _settings(TrainConfig(max_steps=3), roles, split).max_minutes is None


def test_without_a_held_out_part_there_is_no_answer(tmp_path):
    with pytest.raises(ConfigError, match="needs a held-out part"):
        predictable([field()], TrainConfig(**(TINY | {"holdout": "none"})), tmp_path / "p")
    assert not (tmp_path / "p").exists()
