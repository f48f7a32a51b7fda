from __future__ import annotations

import pytest

from isl.cli.app import run


@pytest.fixture
def predictions(model_path, scene_dir, tmp_path):
    assert run(["predict", str(model_path), str(scene_dir), "-o", str(tmp_path / "p.zarr")]) == 0
    return tmp_path / "p.zarr"


def evaluate(first, data, output, *more):
    return run(["evaluate", str(first), str(data), "-o", str(output), *more])


def test_predictions_against_the_truth(predictions, scene_dir, tmp_path, capsys):
    flags = ("--region", "columns:16-95", "--targets", "NUCLEI")
    assert evaluate(predictions, scene_dir, tmp_path / "r.html", *flags) == 0
    shown = capsys.readouterr().out
    assert "Pearson r" in shown
    assert "NUCLEI" in shown
    assert "CYTOPLASM" not in shown
    assert {p.suffix for p in tmp_path.glob("r.*")} == {".html", ".parquet", ".csv"}


def test_a_model_on_data(model_path, scene_dir, tmp_path, capsys):
    assert evaluate(model_path, scene_dir, tmp_path / "r.html") == 0
    shown = capsys.readouterr().out
    assert "model.isl" in shown
    assert f"report: {tmp_path / 'r.html'}" in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--region", "column:3-4"], "columns:FIRST-LAST"),
        (["--region", "columns:500-600"], "columns:500-600"),
        (["--targets", "ACTIN"], "ACTIN"),
        (["--source", "PHASE"], "PHASE"),
    ],
)
def test_bad_flags_are_explained(flags, message, predictions, scene_dir, tmp_path, capsys):
    assert evaluate(predictions, scene_dir, tmp_path / "r.html", *flags) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown
    assert not list(tmp_path.glob("r.*"))


def test_an_existing_report_is_kept(model_path, scene_dir, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("mine")
    assert evaluate(model_path, scene_dir, tmp_path / "r.html") == 2
    assert "r.csv exists already; pass --overwrite" in capsys.readouterr().err
    assert evaluate(model_path, scene_dir, tmp_path / "r.html", "--overwrite") == 0
    assert (tmp_path / "r.csv").read_text() != "mine"


def test_another_magnification_is_refused_unless_told(model_path, scene_dir, tmp_path):
    table = scene_dir / "images.csv"
    table.write_text(table.read_text().replace("1.5,0.5,0.5", "1.5,0.65,0.65"))
    assert evaluate(model_path, table, tmp_path / "r.html") == 2
    assert evaluate(model_path, table, tmp_path / "r.html", "--ignore-voxel-size") == 0
