from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from isl.core.errors import ConfigError, DataError
from isl.io.collect import open_candidates
from isl.io.file_names import named_fields, pattern_fields


def make(root: Path, *names: str) -> list[Path]:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.zeros((4, 5), np.uint16))
    return [root / n for n in names]


def guessed(root: Path, *names: str) -> dict[str, dict[str, int]]:
    fovs = open_candidates(named_fields(root, make(root, *names)), None)
    return {f.name: {c.name: c.planes for c in f.channels} for f in fovs}


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (["test_phase.tif", "test_dna.tif"], {"test": {"dna": 1, "phase": 1}}),
        (["Ch3_CP0008.tif", "Ch4_CP0008.tif"], {"CP0008": {"Ch3": 1, "Ch4": 1}}),
        (["C1-cell.tif", "C2-cell.tif"], {"cell": {"C1": 1, "C2": 1}}),
        (
            ["im000_channel1_phase.tif", "im000_channel2_cdc.tif", "im000_mask1.tif"],
            {"im000": {"channel1_phase": 1, "channel2_cdc": 1, "mask1": 1}},
        ),
        (
            ["s1_BF_z01.tif", "s1_BF_z02.tif", "s1_DAPI_CONFOCAL.tif", "s2_BF_z01.tif"],
            {"s1": {"BF": 2, "DAPI_CONFOCAL": 1}, "s2": {"BF": 1}},
        ),
        (["exp_w1DAPI_s1.tif", "exp_w2Phase_s1.tif"], {"exp_s1": {"w1DAPI": 1, "w2Phase": 1}}),
        (["C01_488_phase.tif"], {"C01_488": {"phase": 1}}),
        (
            ["phase/a.tif", "dapi/a.tif", "dapi/b.tif", "phase/b.tif"],
            {"a": {"dapi": 1, "phase": 1}, "b": {"dapi": 1, "phase": 1}},
        ),
        (["x/dic.tif", "y/dic.tif"], {"x": {"dic": 1}, "y": {"dic": 1}}),
        (["ch1_left.tif", "ch1_right.tif"], {"left": {"ch1": 1}, "right": {"ch1": 1}}),
        (["one.tif", "two.tif"], {"one": {"image": 1}, "two": {"image": 1}}),
    ],
)  # fmt: skip
def test_guessed_fields(tmp_path, names, fields):
    assert guessed(tmp_path, *names) == fields


def test_well_and_time_by_name(tmp_path):
    files = make(tmp_path, *(f"B03_phase_t{t:03d}.tif" for t in (4, 5, 6)))
    (fov,) = open_candidates(named_fields(tmp_path, files), None)
    assert (fov.name, fov.well, fov.size_t) == ("B03", "B03", 3)


def test_pattern_fills_every_placeholder(tmp_path):
    names = [f"ctrl-B03-f{f}-red_{z}_{t}.tif" for f in (1, 2) for z in (0, 1) for t in (0, 1, 2)]
    files = make(tmp_path, *names, "other.tif")
    found = pattern_fields(tmp_path, files, "{condition}-{well}-{fov}-{channel}_{z}_{t}.tif")
    fovs = open_candidates(found, None)
    assert [(f.name, f.well, f.condition, f.shape) for f in fovs] == [
        ("f1", "B03", "ctrl", (3, 1, 2, 4, 5)), ("f2", "B03", "ctrl", (3, 1, 2, 4, 5))
    ]  # fmt: skip


def test_pattern_over_folders(tmp_path):
    files = make(tmp_path, "red/a.tif", "blue/a.tif")
    (fov,) = open_candidates(pattern_fields(tmp_path, files, "{channel}/{fov}.tif"), None)
    assert (fov.name, fov.channel_names) == ("a", ("blue", "red"))


def test_pattern_keeps_the_folder_in_the_field_name(tmp_path):
    files = make(tmp_path, "w1/a_red.tif", "w2/a_red.tif")
    fovs = open_candidates(pattern_fields(tmp_path, files, "{fov}_{channel}.tif"), None)
    assert [f.name for f in fovs] == ["w1/a", "w2/a"]


@pytest.mark.parametrize(
    "pattern", ["{fov}.tif", "{channel}_{plane}.tif", "{channel}_{channel}.tif", "plain.tif"]
)
def test_pattern_that_makes_no_sense(tmp_path, pattern):
    with pytest.raises(ConfigError, match=r"\{channel\}"):
        pattern_fields(tmp_path, [], pattern)


def test_pattern_that_nothing_matches(tmp_path):
    with pytest.raises(DataError, match="no image file matches"):
        pattern_fields(tmp_path, make(tmp_path, "a.tif"), "{fov}_{channel}.png")


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "names", "channels"),
    [
        ("imaging_flow_cytometry/Experiment_1/G1", ["CP0008"], ("Ch3", "Ch4")),
        (
            "imaging_flow_cytometry/Experiment_2",
            ["G1/CP0001", "G1/CP0002", "G1/CP0003"],
            ("Ch3", "Ch4"),
        ),
        ("saureus_phase", ["test"], ("dna", "membrane", "phase")),
        (
            "yeast_timelapse",
            [f"im00{i}" for i in range(10)],
            ("channel1_phase", "channel2_cdc", "mask1"),
        ),
    ],
)  # fmt: skip
def test_real_folders(data_dir, folder, names, channels):
    root = data_dir / folder
    fovs = open_candidates(named_fields(root, root.rglob("*.tif")), None)
    assert [f.name for f in fovs] == names
    assert {f.channel_names for f in fovs} == {channels}
