import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from isl.core.errors import ChannelError, DamagedFileError
from isl.inference import watch_fields
from isl.inference.watch_fields import FieldFinder
from isl.inference.watch_listing import Steadiness, list_folder

SETTLE, PATIENCE = 10.0, 60.0


def phase(fov):
    """The channel to predict from."""
    if "phase" not in fov.channel_names:
        raise ChannelError(f"field {fov.name} has no phase")
    return "phase"


class Folder:
    """A watched folder with a clock that the test sets."""

    def __init__(self, root, **more):
        self.finder = FieldFinder(root, phase, settle_s=SETTLE, patience_s=PATIENCE, **more)
        self.steady = Steadiness()
        self.root = root

    def at(self, now):
        listing = list_folder(self.root)
        self.steady.update(listing.stamps, now)
        return {field.name: field for field in self.finder.find(listing, self.steady, now)}


def plane(root, field, channel, z):
    root.mkdir(exist_ok=True)
    pixels = np.full((8, 9), z, np.uint16)
    (root / f"{field}_{channel}_z{z}.png").write_bytes(imagecodecs.png_encode(pixels))


def test_files_are_opened_only_once_they_rest_and_only_when_they_change(tmp_path, monkeypatch):
    opened = []
    choose = FieldFinder._open
    monkeypatch.setattr(
        FieldFinder, "_open", lambda self, c: opened.append(c.name) or choose(self, c)
    )
    folder = Folder(tmp_path)
    plane(tmp_path, "A1", "phase", 0)
    assert folder.at(0.0)["A1"].fov is None
    assert opened == []
    assert folder.at(11.0)["A1"].fov is not None
    plane(tmp_path, "A2", "phase", 0)
    folder.at(20.0)
    folder.at(31.0)
    folder.at(40.0)
    assert opened == ["A1", "A2"]


def test_only_the_source_makes_the_signature(tmp_path):
    folder = Folder(tmp_path)
    plane(tmp_path, "A1", "phase", 0)
    folder.at(0.0)
    before = folder.at(11.0)["A1"]
    plane(tmp_path, "A1", "DAPI", 0)
    folder.at(12.0)
    after = folder.at(30.0)["A1"]
    assert after.fov.channel_names == ("DAPI", "phase")
    assert after.signature == before.signature
    assert after.since == before.since == 0.0
    plane(tmp_path, "A1", "phase", 1)
    folder.at(31.0)
    assert folder.at(50.0)["A1"].signature != before.signature


def test_what_others_have_is_lacking(tmp_path):
    folder = Folder(tmp_path)
    for z in range(3):
        plane(tmp_path, "A1", "phase", z)
        plane(tmp_path, "A2", "phase", min(z, 1))
        plane(tmp_path, "A3", "DAPI", z)
    folder.at(0.0)
    found = folder.at(11.0)
    assert found["A1"].lacking == ""
    assert found["A2"].lacking == "1 of 3 planes of channel phase, as other fields have"
    assert found["A3"].lacking == "channel phase, which other fields have"


def test_damage_is_looked_at_again_until_patience_is_over(tmp_path, monkeypatch):
    plane(tmp_path, "A1", "phase", 0)
    folder = Folder(tmp_path)
    calls = []

    def refuse(self, candidate):
        calls.append(candidate.name)
        return [watch_fields._Opened(candidate.name, error=DamagedFileError("half"))]

    monkeypatch.setattr(FieldFinder, "_open", refuse)
    for now in (0.0, 11.0, 30.0, 61.0, 70.0):
        field = folder.at(now).get("A1")
    assert len(calls) == 2
    assert field.may_recover


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_chunks_of_the_source_channel_count(sharded, version, tmp_path):
    if sharded and version == 2:
        pytest.skip("there are no shards in zarr 2")
    more = {"shards": (1, 1, 2, 8, 8)} if sharded else {}
    group = zarr.create_group(tmp_path / "A1.zarr", zarr_format=version)
    array = group.create_array(
        "0", shape=(1, 2, 2, 16, 8), chunks=(1, 1, 1, 8, 8), dtype="u2", **more
    )
    units = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *units]
    level = {"type": "scale", "scale": [1, 1, 1, 0.3, 0.3]}
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [level]}]}
    omero = {"channels": [{"label": "phase"}, {"label": "DAPI"}]}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale], "omero": omero}
    else:
        group.attrs.update(
            {"multiscales": [{"version": "0.4", **multiscale}], "omero": {**omero, "id": 1}}
        )
    folder = Folder(tmp_path)
    array[0, 1] = 5  # the other channel
    empty = folder.at(0.0)["A1"]
    assert not empty.is_begun
    assert empty.may_stay_empty
    array[0, 0, :, :8] = 5
    half = folder.at(1.0)["A1"]
    pieces = 3 if sharded else 5
    assert half.is_begun
    assert half.lacking == f"{pieces // 2} of {pieces} pieces of channel phase"
    array[0, 0, :, 8:] = 5
    whole = folder.at(2.0)["A1"]
    assert whole.lacking == ""
    assert whole.since == 2.0
    assert whole.signature != half.signature


def test_a_field_that_a_plate_announces_keeps_its_signature_until_it_comes(tmp_path):
    group = zarr.create_group(tmp_path / "plate.zarr", zarr_format=3)
    wells = [{"path": f"A/{c}", "rowIndex": 0, "columnIndex": c - 1} for c in (1, 2)]
    group.attrs["ome"] = {
        "version": "0.5",
        "plate": {
            "columns": [{"name": "1"}, {"name": "2"}],
            "rows": [{"name": "A"}],
            "wells": wells,
        },
    }
    folder = Folder(tmp_path)
    before = folder.at(0.0)
    zarr.create_group(tmp_path / "plate.zarr" / "B", zarr_format=3)
    after = folder.at(5.0)
    assert set(before) == set(after) == {"A/1", "A/2"}
    assert all(f.may_recover for f in before.values())
    assert {f.signature for f in before.values()} == {f.signature for f in after.values()}
    assert len({f.signature for f in before.values()}) == 2
    assert after["A/1"].since == 5.0


def test_planes_in_files_that_are_not_there_are_lacking(tmp_path):
    zyx = np.arange(2 * 8 * 9, dtype=np.uint16).reshape(2, 8, 9)
    image = tifffile.OmeXml()
    image.addimage(
        np.uint16, (2, 8, 9), (2, 1, 1, 8, 9, 1), axes="ZYX", Channel={"Name": ["phase"]}
    )
    xml = image.tostring()
    uuid = "urn:uuid:00000000-0000-0000-0000-00000000000{}"
    blocks = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" FirstC="0" FirstT="0" PlaneCount="1">'
        f'<UUID FileName="p{z}_phase.ome.tif">{uuid.format(z)}</UUID></TiffData>'
        for z in range(2)
    )
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    xml = xml[:start] + blocks + xml[end:]
    xml = xml.replace("<OME ", f'<OME UUID="{uuid.format(0)}" ', 1) if "UUID=" not in xml else xml
    tifffile.imwrite(tmp_path / "p0_phase.ome.tif", zyx[0], description=xml.encode(), metadata=None)
    folder = Folder(tmp_path)
    folder.at(0.0)
    (field,) = folder.at(11.0).values()
    assert field.lacking == "1 planes, whose files are not there"
    assert not field.may_stay_empty
