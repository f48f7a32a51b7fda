from __future__ import annotations

import numpy as np
import pytest
import tifffile

from isl.core.axes import Box, VoxelSize
from isl.core.errors import DamagedFileError, DataError
from isl.io.tiff import files_of, is_single_plane, open_tiff

TZCYX = np.random.default_rng(0).integers(0, 60000, (2, 3, 2, 20, 30)).astype(np.uint16)
OME = {
    "axes": "TZCYX",
    "PhysicalSizeX": 300.0,
    "PhysicalSizeXUnit": "nm",
    "PhysicalSizeY": 0.3,
    "PhysicalSizeZ": 1.5,
    "Channel": {"Name": ["Phase", "Mystery"], "Color": [-1, 16711935]},
}


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}])
def test_ome_tiff(tmp_path, options):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, TZCYX, ome=True, metadata=OME, photometric="minisblack", **options)
    (fov,) = open_tiff(path)
    assert (fov.name, fov.shape) == ("a", (2, 2, 3, 20, 30))
    assert fov.voxel_size == VoxelSize(1.5, 0.3, 0.3)
    assert [(c.name, c.modality, c.color) for c in fov.channels] == [
        ("Phase", "phase", "FFFFFF"),
        ("Mystery", None, "00FF00"),
    ]
    box = Box(3, 19, 14, 27)
    read = fov.read("Mystery", t=1, z=[2, 0], box=box)
    np.testing.assert_array_equal(read, TZCYX[1, [2, 0], 1][(slice(None), *box.slices)])


def test_several_series_are_several_fields(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, value, shape in (("left", 1, (2, 8, 9)), ("right", 2, (3, 7, 6))):
            image = np.full(shape, value, np.uint8)
            writer.write(image, photometric="minisblack", metadata={"axes": "ZYX", "Name": name})
    fovs = open_tiff(path)
    assert [(f.name, f.shape) for f in fovs] == [
        ("a/left", (1, 1, 2, 8, 9)),
        ("a/right", (1, 1, 3, 7, 6)),
    ]
    assert [f.read("channel 1").max() for f in fovs] == [1, 2]


def test_multi_file_ome_tiff(tmp_path):
    uid = "urn:uuid:0000000{}-0000-0000-0000-000000000000"
    blocks = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="c{c}.ome.tif">{uid.format(c)}</UUID></TiffData>'
        for c in range(2)
    )
    for c in range(2):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uid.format(c)}"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint8" '
            'DimensionOrder="XYCZT" SizeX="6" SizeY="5" SizeZ="1" SizeC="2" SizeT="1">'
            '<Channel ID="Channel:0:0" Name="BF" SamplesPerPixel="1"/>'
            '<Channel ID="Channel:0:1" Name="GFP" SamplesPerPixel="1"/>'
            f"{blocks}</Pixels></Image></OME>"
        )
        image = np.full((5, 6), c + 1, np.uint8)
        tifffile.imwrite(tmp_path / f"c{c}.ome.tif", image, description=xml, metadata=None)
    (fov,) = open_tiff(tmp_path / "c0.ome.tif")
    assert fov.channel_names == ("BF", "GFP")
    assert [fov.read(c).max() for c in fov.channel_names] == [1, 2]
    assert {p.name for p in files_of(tmp_path / "c0.ome.tif")} == {"c0.ome.tif", "c1.ome.tif"}
    assert not is_single_plane(tmp_path / "c0.ome.tif")


def test_imagej_hyperstack(tmp_path):
    path = tmp_path / "h.tif"
    metadata = {
        "axes": "TZCYX",
        "unit": "um",
        "spacing": 2.0,
        "Labels": ["DIC", "GFP"] * 6,
    }
    tifffile.imwrite(path, TZCYX, imagej=True, resolution=(4, 4), metadata=metadata)
    (fov,) = open_tiff(path)
    assert fov.voxel_size == VoxelSize(2.0, 0.25, 0.25)
    assert [(c.name, c.modality) for c in fov.channels] == [("DIC", "dic"), ("GFP", "fluorescence")]
    np.testing.assert_array_equal(fov.read("GFP", t=1), TZCYX[1, :, 1])


def test_imagej_names_by_info(tmp_path):
    metadata = {"axes": "CYX", "Info": " Channel name #1 = BF with Disk\n Channel name #2 = C488\n"}
    tifffile.imwrite(tmp_path / "i.tif", TZCYX[0, 0], imagej=True, metadata=metadata)
    (fov,) = open_tiff(tmp_path / "i.tif")
    assert fov.channel_names == ("BF with Disk", "C488")


def test_slice_labels_that_differ_in_a_channel_name_nothing(tmp_path):
    metadata = {"axes": "ZCYX", "Labels": [f"slice {i}" for i in range(6)]}
    tifffile.imwrite(tmp_path / "l.tif", TZCYX[0], imagej=True, metadata=metadata)
    assert open_tiff(tmp_path / "l.tif")[0].channel_names == ("channel 1", "channel 2")


def test_dots_per_inch_of_printers_are_no_voxel_size(tmp_path):
    options = {"resolution": (300, 300), "resolutionunit": "INCH"}
    tifffile.imwrite(tmp_path / "dpi.tif", TZCYX[0, 0, 0], **options)
    assert open_tiff(tmp_path / "dpi.tif")[0].voxel_size == VoxelSize()


def test_plain_stack_is_a_z_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        for plane in TZCYX[0, :, 0]:
            writer.write(plane, metadata=None)
    (fov,) = open_tiff(tmp_path / "p.tif")
    assert fov.shape == (1, 1, 3, 20, 30)
    np.testing.assert_array_equal(fov.read("channel 1"), TZCYX[0, :, 0])
    assert is_single_plane(tmp_path / "p.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated_stack_is_found_at_opening(tmp_path, compression):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, TZCYX, ome=True, metadata=OME, compression=compression)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DamagedFileError, match=r"cut\.tif"):
        open_tiff(path)


def test_colour_is_an_error_with_a_remedy(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match=r"rgb\.tif.*grey image"):
        open_tiff(tmp_path / "rgb.tif")


def test_axes_of_unknown_meaning(tmp_path):
    image = np.zeros((2, 3, 4, 5), np.uint8)
    metadata = {"axes": "HZYX"}
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata=metadata)
    with pytest.raises(DataError, match="HZYX"):
        open_tiff(tmp_path / "a.tif")


@pytest.mark.data
def test_real_hyperstack(data_dir):
    (path,) = (data_dir / "embryo_hyperstack").glob("*.tif")
    (fov,) = open_tiff(path)
    assert fov.shape == (1, 2, 1, 341, 341)
    assert fov.channel_names == ("BF with Disk", "C488")
    assert fov.voxel_size.y == pytest.approx(0.39, abs=1e-3)
    assert fov.voxel_size.x == pytest.approx(0.39, abs=1e-3)
