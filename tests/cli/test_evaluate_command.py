from __future__ import annotations

import imagecodecs
import pandas as pd
import pytest

from isl.cli.app import run
from isl.inference.model import Model
from isl.inference.model_card import TrainedField
from isl.inference.model_file import save_model


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


def test_another_magnification_is_resampled_and_quite_another_refused(
    model_path, scene_dir, tmp_path
):
    table = scene_dir / "images.csv"
    text = table.read_text()
    table.write_text(text.replace("1.5,0.5,0.5", "1.5,0.65,0.65"))
    assert evaluate(model_path, table, tmp_path / "near.html") == 0
    table.write_text(text.replace("1.5,0.5,0.5", "1.5,6.5,6.5"))
    assert evaluate(model_path, table, tmp_path / "r.html") == 2
    assert evaluate(model_path, table, tmp_path / "r.html", "--ignore-voxel-size") == 0


def test_outputs_are_checked_before_the_work(model_path, scene_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("isl.api.evaluate", lambda *_, **__: pytest.fail("work has begun"))
    (tmp_path / "file").write_text("in the way")
    assert evaluate(model_path, scene_dir, tmp_path / "r.pdf") == 2
    assert "end it in .html" in capsys.readouterr().err
    assert evaluate(model_path, scene_dir, tmp_path / "file" / "r.html") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_bad_field_is_reported_once_and_stands_in_the_report(
    model_path, two_fields, tmp_path, capsys
):
    for number, name in enumerate(("z_depth-1", "channel-NUCLEI")):
        bad = next(two_fields.glob(f"*well-S2*{name}*"))
        bad.write_bytes(bad.read_bytes()[: 20 if number else 300])
        assert evaluate(model_path, two_fields, tmp_path / f"r{number}.html") == 1
        shown = capsys.readouterr()
        assert (shown.out + shown.err).count(bad.name) == 1
        assert bad.name in (tmp_path / f"r{number}.html").read_text()


def test_predictions_are_compared_on_what_their_model_has_not_seen(
    model, scene_dir, tmp_path, capsys
):
    card = model.card.model_copy(update={"trained_on": (TrainedField(name="S1", path="x"),)})
    save_model(Model(card, model.network), tmp_path / "seen.isl")
    for output in ("p.zarr", "p.ome.tif"):
        words = [str(tmp_path / "seen.isl"), str(scene_dir), "-o", str(tmp_path / output)]
        assert run(["predict", *words]) == 0
        report = tmp_path / f"{output}.html"
        assert evaluate(tmp_path / output, scene_dir, report) == 0
        assert "only the held-out part, columns:48-95, counts" in capsys.readouterr().out
        table = pd.read_parquet(report.with_suffix(".parquet"))
        assert set(table[table.metric == "pearson_r"].pixels) == {80 * 48}


def test_error_panels_of_a_model(model_path, scene_dir, tmp_path, capsys):
    flags = ("--panels", str(tmp_path / "panels"), "--panel-layout", "full")
    assert evaluate(model_path, scene_dir, tmp_path / "r.html", *flags) == 0
    assert f"error panels: {tmp_path / 'panels'}" in capsys.readouterr().out
    file = tmp_path / "panels" / "S1" / "target_error_panel.png"
    panel = imagecodecs.png_decode(file.read_bytes())
    assert panel.shape == (2 * (80 + 8), 12 * (96 + 8), 3)
    assert panel.dtype == "uint16"
    assert evaluate(model_path, scene_dir, tmp_path / "new.html", *flags) == 2
    assert "panels exists already; pass --overwrite" in capsys.readouterr().err
    assert not (tmp_path / "new.html").exists()


def test_error_panels_need_a_model(predictions, scene_dir, tmp_path, capsys):
    flags = ("--panels", str(tmp_path / "panels"))
    assert evaluate(predictions, scene_dir, tmp_path / "r.html", *flags) == 2
    assert "evaluate the model file instead" in capsys.readouterr().err
    assert not (tmp_path / "panels").exists()
