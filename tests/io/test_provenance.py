"""What outputs say of themselves, and how it is found again."""

import numpy as np
import pytest
import tifffile
from output_images import field, plate_field, write

from isl.core.axes import Box
from isl.io.open import open_fovs
from isl.io.provenance import is_prediction, read_provenance, written_part

NOTES = {"model": {"holdout": "columns:0-3", "trained_on": []}, "statistics": ["median"]}
PLATE = [plate_field("B/03", 0), plate_field("B/03", 1)]
FIELDS = [field("left"), field("right")]


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif"])
@pytest.mark.parametrize("items", [PLATE, FIELDS, PLATE[:1], FIELDS[:1]])
def test_fields_come_back_with_name_well_plate_and_provenance(tmp_path, ending, items):
    images = write(tmp_path / f"out{ending}", items, attributes=NOTES)
    (path,) = tmp_path.iterdir()
    fovs = {fov.name: fov for fov in open_fovs(path)}
    assert set(fovs) == {item.name for item in items}
    for item in items:
        fov = fovs[item.name]
        assert (fov.well, fov.plate) == (item.well, item.plate)
        np.testing.assert_array_equal(fov.read("target 0")[0], images[item.name][0, 0])
        assert read_provenance(fov)["model"] == NOTES["model"]


def test_other_files_say_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((5, 6), np.uint8), metadata={"axes": "YX"})
    (tmp_path / "b.tif").write_bytes(b"cut")
    (tmp_path / "c.zarr").mkdir()
    assert read_provenance(open_fovs(tmp_path / "a.ome.tif")[0]) == {}
    assert not any(is_prediction(path) for path in tmp_path.iterdir())


@pytest.mark.parametrize("noted", [None, [], {"left": "all"}, {"left": [0, 1, 2]}, {"right": []}])
def test_without_a_readable_note_all_was_predicted(tmp_path, noted):
    write(tmp_path / "out.zarr", FIELDS[:1], attributes=NOTES | {"predicted": noted})
    (fov,) = open_fovs(tmp_path / "out.zarr")
    assert written_part(fov) == fov.box


def test_the_noted_part_is_found_within_the_image(tmp_path):
    write(
        tmp_path / "out.zarr",
        FIELDS[:1],
        attributes=NOTES | {"predicted": {"left": [1, 2, 0, 9999]}},
    )
    (fov,) = open_fovs(tmp_path / "out.zarr")
    assert written_part(fov) == Box(1, 2, 0, fov.size_x)
