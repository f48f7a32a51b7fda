from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest

from isl.core.axes import VoxelSize
from isl.core.errors import (
    DamagedFileError,
    DataError,
    DuplicateImageError,
    ImageSizeError,
    MissingPlaneError,
    VoxelSizeError,
)
from isl.io.collect import open_candidates
from isl.io.fov import Fov
from isl.io.table import table_fields


@pytest.fixture
def folder(tmp_path):
    for z in range(3):
        (tmp_path / f"p{z}.png").write_bytes(imagecodecs.png_encode(np.full((5, 6), z, np.uint16)))
    (tmp_path / "d.png").write_bytes(imagecodecs.png_encode(np.full((5, 6), 9, np.uint16)))
    (tmp_path / "big.png").write_bytes(imagecodecs.png_encode(np.zeros((9, 6), np.uint16)))
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    return tmp_path


def opened(folder: Path, text: str) -> list[Fov]:
    (folder / "t.csv").write_text(text)
    return open_candidates(table_fields(folder / "t.csv"), None)


def test_every_column(folder):
    (fov,) = opened(
        folder,
        "path,fov,channel,z,t,well,plate,condition,donor,modality,voxel_size,voxel_size_z\n"
        + "".join(f"p{z}.png,f1,A,{z},,B/03,P,ctrl,d1,qpi,0.3,1.5\n" for z in range(3))
        + "d.png,f1,B,,,,,,,fluorescence,,\n",
    )
    assert (fov.name, fov.well, fov.condition, fov.shape) == ("f1", "B/03", "ctrl", (1, 2, 3, 5, 6))
    assert (fov.plate, fov.donor) == ("P", "d1")
    assert fov.voxel_size == VoxelSize(1.5, 0.3, 0.3)
    assert {c.name: c.modality for c in fov.channels} == {"A": "qpi", "B": "fluorescence"}
    assert fov.read("A")[:, 0, 0].tolist() == [0, 1, 2]


def test_parquet_with_numbers_and_gaps(folder):
    rows = [
        {"path": f"p{z}.png", "fov": 7, "channel": "A", "z": z, "voxel_size": 0.3} for z in range(3)
    ]
    rows.append({"path": "d.png", "fov": 7, "channel": "B", "z": None, "voxel_size": None})
    pd.DataFrame(rows).to_parquet(folder / "t.parquet")
    (fov,) = open_candidates(table_fields(folder / "t.parquet"), None)
    assert (fov.name, fov.shape, fov.voxel_size) == (
        "7",
        (1, 2, 3, 5, 6),
        VoxelSize(None, 0.3, 0.3),
    )


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("path,fov\np0.png,f\n", DataError, "'channel' is missing"),
        ("path,fov,channel,wel\np0.png,f,A,B\n", DataError, "did you mean 'well'"),
        ("path,fov,channel\n", DataError, "no rows"),
        ("path,fov,channel\np0.png,f,A\ngone.png,f,B\n", DataError, "row 3: there is no file"),
        ("path,fov,channel\np0.png,f,A\n,f,B\n", DataError, "row 3: the cell 'path'"),
        ("path,fov,channel\np0.png,,A\n", DataError, "row 2: the cell 'fov'"),
        ("path,fov,channel,z\np0.png,f,A,0\np1.png,f,A,0\n", DuplicateImageError, "row 3: .*row 2"),
        ("path,fov,channel,z\np0.png,f,A,top\n", DataError, "row 2: z is 'top'"),
        ("path,fov,channel,t\np0.png,f,A,-1\n", DataError, "row 2: t is '-1'"),
        ("path,fov,channel,voxel_size\np0.png,f,A,0.3\nd.png,f,B,0.6\n", VoxelSizeError, "row 3"),
        ("path,fov,channel,voxel_size,voxel_size_y\np0.png,f,A,0.3,0.4\n", VoxelSizeError, "row 2"),
        ("path,fov,channel,voxel_size\np0.png,f,A,-2\n", DataError, "row 2: voxel_size"),
        ("path,fov,channel,well\np0.png,f,A,B1\nd.png,f,B,B2\n", DataError, "row 3: .*B2"),
        ("path,fov,channel,donor\np0.png,f,A,d1\nd.png,f,B,d2\n", DataError, "row 3: .*donor d2"),
        ("path,fov,channel,plate\np0.png,f,A,P\nd.png,f,B,Q\n", DataError, "row 3: .*plate Q"),
        ("path,fov,channel,modality\np0.png,f,A,xray\n", DataError, "row 2: modality 'xray'"),
        ("path,fov,channel,z,modality\np0.png,f,A,0,dic\np1.png,f,A,1,phase\n", DataError, "row 3"),
        ("path,fov,channel\np0.png,f,A\nbig.png,f,B\n", ImageSizeError, r"big\.png"),
        ("path,fov,channel\ncut.png,f,A\n", DamagedFileError, r"cut\.png"),
    ],
)  # fmt: skip
def test_bad_tables(folder, text, error, match):
    with pytest.raises(error, match=match):
        opened(folder, text)


def test_a_time_point_that_lacks_a_plane(folder):
    text = "path,fov,channel,z,t\np0.png,f,A,0,0\np1.png,f,A,1,0\np2.png,f,A,0,1\n"
    with pytest.raises(
        MissingPlaneError, match=r"t\.csv: field f, channel A lacks plane 1 at time 1"
    ):
        opened(folder, text)


def test_rows_that_leave_a_plane_out(folder):
    (fov,) = opened(folder, "path,fov,channel,z\np0.png,f,A,1\np1.png,f,A,2\np2.png,f,A,4\n")
    assert fov.channels[0].z_positions == (0.0, 1.0, 3.0)
    assert fov.read("A")[:, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_foreign_table(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00\xff\xfe garbage")
    with pytest.raises((DamagedFileError, DataError), match=name):
        table_fields(tmp_path / name)


def test_a_bad_field_does_not_stop_the_rest(folder):
    (folder / "t.csv").write_text("path,fov,channel\np0.png,a,A\ngone.png,b,A\np1.png,c,A\n")
    bad = []
    fovs = open_candidates(
        table_fields(folder / "t.csv"), lambda name, error: bad.append((name, error))
    )
    assert [f.name for f in fovs] == ["a", "c"]
    assert [name for name, _ in bad] == ["b"]
