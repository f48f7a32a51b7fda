from __future__ import annotations

import pytest

from isl.core.errors import ConfigError, OutputError
from isl.io.output_path import check_output, local_path, output_path


@pytest.mark.parametrize("name", ["out", "out.png", ".zarr", ".ome.tif", "out.zarr.zip"])
def test_an_ending_that_says_no_format(tmp_path, name):
    with pytest.raises(ConfigError, match=r"use \.zarr"):
        output_path(tmp_path / name, 1)


def test_where_an_output_appears(tmp_path):
    assert output_path(tmp_path / "a.OME.TIF", 1).name == "a.OME.TIF"
    assert output_path(tmp_path / "a.OME.TIF", 2).name == "a"
    assert output_path(tmp_path / "a.ome.zarr", 2).name == "a.ome.zarr"


def test_local_outputs_are_written_where_links_lead(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert local_path(tmp_path / "link" / "a.zarr", 1) == (tmp_path / "real" / "a.zarr").resolve()


def test_an_output_that_exists_is_refused_before_anything_is_done(tmp_path):
    check_output(tmp_path / "a.zarr", 1, overwrite=False)
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(OutputError, match="exists"):
        check_output(tmp_path / "a.zarr", 1, overwrite=False)
