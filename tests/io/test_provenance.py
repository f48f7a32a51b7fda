"""What outputs say of themselves, and how it is found again."""

import numpy as np
import pytest
import tifffile
from output_images import field, plate_field, write

from isl.io.open import open_fovs
from isl.io.provenance import is_prediction, read_provenance

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
