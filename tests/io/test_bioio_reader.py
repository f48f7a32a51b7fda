from __future__ import annotations

import sys

import numpy as np
import pytest
import yaml

from isl.core.axes import Box
from isl.core.errors import DamagedFileError, MissingExtraError
from isl.io.bioio_reader import open_with_bioio
from isl.io.roles import choose_roles


def test_missing_extra_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", None)
    (tmp_path / "a.nd2").write_bytes(b"nothing")
    with pytest.raises(MissingExtraError, match=r"in-silico-labeling\[formats\]"):
        open_with_bioio(tmp_path / "a.nd2")


@pytest.mark.parametrize("name", ["a.nd2", "a.czi", "a.lif", "a.unknown"])
def test_foreign_file_is_named(tmp_path, name):
    pytest.importorskip("bioio")
    (tmp_path / name).write_bytes(b"this is not an image" * 100)
    with pytest.raises(DamagedFileError, match=name):
        open_with_bioio(tmp_path / name)


@pytest.mark.data
def test_known_metadata(data_dir):
    pytest.importorskip("bioio_nd2")
    folder = data_dir / "nikon_nd2"
    known = yaml.safe_load((folder / "known-metadata.yml").read_text())["example-multichannel.nd2"]
    (fov,) = open_with_bioio(folder / "example-multichannel.nd2")
    names = dict(zip(known, fov.channels, strict=True))
    assert [c.name.split()[0] for c in fov.channels[1:]] == ["DAPI", "FITC", "TRITC"]
    for name, expected in known.items():
        resolution = expected["resolution"]
        assert (fov.size_y, fov.size_x) == (resolution["y_size_px"], resolution["x_size_px"])
        assert names[name].planes == resolution["z_size_px"]
        assert fov.voxel_size.y == pytest.approx(resolution["xy_step_um"])
        assert fov.voxel_size.x == pytest.approx(resolution["xy_step_um"])
        assert fov.voxel_size.z == pytest.approx(resolution["z_step_um"])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "source", "modality"),
    [("example-multichannel", "Mono", "brightfield"), ("example-cerevisiae", "DIC", "dic")],
)
def test_bright_field_flagged_as_fluorescence_is_seen_through(data_dir, name, source, modality):
    pytest.importorskip("bioio_nd2")
    (fov,) = open_with_bioio(data_dir / "nikon_nd2" / f"{name}.nd2")
    assert fov.channel(source).modality == modality
    roles = choose_roles([fov])
    assert roles.source == source
    assert set(roles.targets) == set(fov.channel_names) - {source}


@pytest.mark.data
def test_regions_agree_with_the_whole(data_dir):
    pytest.importorskip("bioio_nd2")
    (fov,) = open_with_bioio(data_dir / "nikon_nd2" / "example-cerevisiae.nd2")
    whole = fov.read("FITC BP")
    box = Box(10, 40, 200, 256)
    assert whole.shape == (1, 256, 256)
    np.testing.assert_array_equal(fov.read("FITC BP", box=box)[0], whole[0][box.slices])


@pytest.mark.parametrize("name", ["a.nd2", "a.unknown"])
def test_a_foreign_file_has_one_short_message(tmp_path, name, caplog):
    pytest.importorskip("bioio")
    (tmp_path / name).write_bytes(b"this is not an image" * 100)
    with pytest.raises(DamagedFileError) as caught:
        open_with_bioio(tmp_path / name)
    assert len(str(caught.value)) < len(str(tmp_path)) + 300
    assert caplog.records == []
