from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isl.core.errors import DuplicateImageError
from isl.io.collect import open_candidates
from isl.io.fov import Fov
from isl.io.published_names import (
    PublishedName,
    is_published_name,
    parse_published_name,
    published_fields,
    published_file_name,
)

DATE = ("2015", "10", "5", "0")
PROJECTED = "depth_computation,value-MAXPROJECT,"
PAPER = "lab-Finkbeiner,condition-kevan_0_8,acquisition_date,year-2015,month-10,day-5,well-A4,"


def image(
    folder: Path, channel: str, z: int | None, *, well: str = "A4", condition: str = "C"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = PublishedName("LAB", condition, DATE, well, z, channel)
    path = folder / published_file_name(name)
    path.write_bytes(imagecodecs.png_encode(np.full((6, 8), (z or 0) + 1, np.uint16)))
    return path


def fields(folder: Path) -> list[Fov]:
    return open_candidates(published_fields(folder.rglob("*.png")), None)


WORDS = st.text("ABCxyz019_", min_size=1, max_size=8)


@given(
    lab=WORDS, condition=WORDS, well=WORDS, channel=WORDS, z=st.none() | st.integers(0, 99),
    date=st.integers(3, 4),
)  # fmt: skip
def test_parsing_gives_back_what_was_written(lab, condition, well, channel, z, date):
    name = PublishedName(lab, condition, DATE[:date], well, z, channel)
    assert parse_published_name(published_file_name(name)) == name


def test_paper_scheme():
    plane = parse_published_name(
        PAPER + "z_depth-7,channel,value-PHASE_CONTRAST,is_mask-false,kind,value-ORIGINAL.png"
    )
    assert plane is not None
    assert (plane.channel, plane.z, plane.well, plane.condition) == (
        "PHASE_CONTRAST",
        7,
        "A4",
        "kevan_0_8",
    )
    projected = parse_published_name(
        PAPER + PROJECTED + "channel,value-DAPI_CONFOCAL,is_mask-false,kind,value-ORIGINAL.png"
    )
    assert projected is not None
    assert (projected.channel, projected.z) == ("DAPI_CONFOCAL", None)
    assert projected.field == plane.field


@pytest.mark.parametrize(
    "name",
    [
        PAPER + PROJECTED + "channel,value-DAPI,statistic,value-MEDIAN,kind,value-PREDICTED.png",
        PAPER + "z_depth-1,channel-DAPI,is_mask-true.png",
        PAPER + PROJECTED + "is_mask-false,kind,value-ORIGINAL.png",
    ],
    ids=["prediction", "mask", "composite"],
)
def test_other_published_images_are_skipped(name):
    assert is_published_name(name)
    assert parse_published_name(name) is None


def test_foreign_names_are_not_published():
    assert parse_published_name("A1_phase_z03.png") is None
    assert not is_published_name("A1_phase_z03.png")


def test_folder_of_one_well(tmp_path):
    for z in range(3):
        image(tmp_path, "PHASE_CONTRAST", z)
    image(tmp_path, "DAPI_CONFOCAL", None)
    (fov,) = fields(tmp_path)
    assert (fov.name, fov.well, fov.condition, fov.shape) == ("A4", "A4", "C", (1, 2, 3, 6, 8))
    assert {c.name: c.planes for c in fov.channels} == {"DAPI_CONFOCAL": 1, "PHASE_CONTRAST": 3}
    np.testing.assert_array_equal(fov.read("PHASE_CONTRAST")[:, 0, 0], [1, 2, 3])


def test_wells_that_repeat_are_told_apart_by_condition(tmp_path):
    image(tmp_path, "DIC", 0, well="A4", condition="C1")
    image(tmp_path, "DIC", 0, well="A4", condition="C2")
    image(tmp_path, "DIC", 0, well="B2", condition="C2")
    assert [f.name for f in fields(tmp_path)] == ["C1/A4", "C2/A4", "B2"]


def test_projection_beside_its_own_stack_is_a_channel_of_its_own(tmp_path):
    image(tmp_path, "DAPI", 0)
    image(tmp_path, "DAPI", 1)
    image(tmp_path, "DAPI", None)
    (fov,) = fields(tmp_path)
    assert {c.name: c.planes for c in fov.channels} == {"DAPI": 2, "DAPI_MAXPROJECT": 1}


def test_a_missing_plane_leaves_a_gap(tmp_path):
    for z in (0, 1, 3):
        image(tmp_path / "well", "PHASE_CONTRAST", z)
    (fov,) = fields(tmp_path)
    assert fov.channels[0].z_positions == (0.0, 1.0, 3.0)


def test_two_files_for_one_plane_are_both_named(tmp_path):
    first = image(tmp_path, "PHASE_CONTRAST", 0)
    second = tmp_path / first.name.replace("tile_computation-STITCHED,", "")
    second.write_bytes(first.read_bytes())
    with pytest.raises(DuplicateImageError) as error:
        fields(tmp_path)
    assert first.name in str(error.value)
    assert second.name in str(error.value)


@pytest.mark.data
def test_real_well(data_dir):
    (fov,) = fields(data_dir / "isl2018" / "condition_B_well_A4")
    assert (fov.name, fov.condition, fov.shape) == ("A4", "KEVAN_0_8", (1, 4, 13, 1024, 768))
    assert {c.modality for c in fov.channels} == {"phase", "fluorescence"}
    assert fov.read("PHASE_CONTRAST").mean() / 65535 == pytest.approx(0.5, abs=0.01)
