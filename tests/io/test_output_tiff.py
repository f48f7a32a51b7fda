"""Files and metadata of OME-TIFF outputs."""

import json

import numpy as np
import pytest
import tifffile
from output_images import (
    field,
    plate_field,
    write,
)

from isl.core.axes import VoxelSize
from isl.core.errors import ConfigError, OutputError
from isl.io.output import OutputChannel, OutputField


def test_tiff_metadata(tmp_path):
    item = OutputField("B/03/0", (OutputChannel("DAPI"), OutputChannel("µ <b>", "FF0000")),
                       3, 600, 40, VoxelSize(None, 0.5, 0.25))  # fmt: skip
    write(tmp_path / "a.ome.tiff", [item], attributes={"model": {"name": "é {x}"}})
    with tifffile.TiffFile(tmp_path / "a.ome.tiff") as tif:
        assert tif.pages[0].is_tiled
        assert tif.series[0].axes == "TCYX"
        image = tifffile.xml2dict(tif.ome_metadata)["OME"]
    assert image["Image"]["Name"] == "B/03/0"
    pixels = image["Image"]["Pixels"]
    assert [c["Name"] for c in pixels["Channel"]] == ["DAPI", "µ <b>"]
    assert [c["Color"] & 0xFFFFFFFF for c in pixels["Channel"]] == [0x0000FFFF, 0xFF0000FF]
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (0.25, 0.5)
    assert pixels["PhysicalSizeXUnit"] == "µm"
    assert "PhysicalSizeZ" not in pixels
    note = image["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    assert note["K"] == "isl"
    kept = {"model": {"name": "é {x}"}, "field": {"name": "B/03/0"}}
    assert json.loads(note["value"]) == kept


def test_large_tiff_is_bigtiff(tmp_path, monkeypatch):
    from isl.io import output_tiff

    monkeypatch.setattr(output_tiff, "BIGTIFF_BYTES", 100)
    write(tmp_path / "a.tif", [field()])
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff


def test_several_fields_go_to_a_folder_of_tiff_files(tmp_path):
    items = [plate_field("B/03", 0), plate_field("B/03", 1, (2, 2, 5, 6))]
    images = write(tmp_path / "out.ome.tif", items)
    files = sorted(p.name for p in (tmp_path / "out").glob("[!.]*"))
    assert files == ["B_03_0.ome.tif", "B_03_1.ome.tif"]
    for name, file in zip(images, files, strict=True):
        result = tifffile.imread(tmp_path / "out" / file).reshape(images[name].shape)
        np.testing.assert_array_equal(result, images[name])
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(OutputError, match="--overwrite"):
        write(tmp_path / "out.ome.tif", items)
    write(tmp_path / "out.ome.tif", items, overwrite=True)


def test_two_fields_of_one_file_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"same file 'a_b\.ome\.tif'"):
        write(tmp_path / "out.tif", [field("a/b"), field("a_b")])
    assert list(tmp_path.iterdir()) == []
