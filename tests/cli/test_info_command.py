from __future__ import annotations

import pytest

from isl.cli.app import run


def test_fields_channels_and_roles(scene_dir, capsys):
    assert run(["info", str(scene_dir / "images.csv")]) == 0
    shown = capsys.readouterr().out
    assert "1 field of view" in shown
    assert "z 1.5, y 0.5, x 0.5 um" in shown
    assert "source: BRIGHTFIELD" in shown
    assert "targets: CYTOPLASM, NUCLEI" in shown
    assert "why: BRIGHTFIELD is the only transmitted-light channel" in shown


def test_roles_as_asked_for(scene_dir, capsys):
    assert run(["info", str(scene_dir), "--source", "BRIGHTFIELD", "--targets", "NUCLEI"]) == 0
    assert "targets: NUCLEI\n" in capsys.readouterr().out


def test_unclear_roles_are_explained_not_an_error(scene_dir, capsys):
    for file in scene_dir.glob("*BRIGHTFIELD*"):
        file.unlink()
    assert run(["info", str(scene_dir)]) == 0
    assert "source and targets: not clear" in capsys.readouterr().out


def test_a_bad_field_is_counted(two_fields, capsys):
    next(two_fields.glob("*well-S2*z_depth-1*")).write_bytes(b"no image")
    assert run(["info", str(two_fields)]) == 1
    shown = capsys.readouterr()
    assert "skipped S2" in shown.err
    assert "1 bad field skipped" in shown.out


def test_long_tables_are_cut(scene_dir, capsys, monkeypatch):
    monkeypatch.setattr("isl.cli.info.ROWS", 1)
    for file in list(scene_dir.glob("*.png")):
        for number in (2, 3):
            copy = scene_dir / file.name.replace("well-S1", f"well-S{number}")
            copy.write_bytes(file.read_bytes())
    assert run(["info", str(scene_dir)]) == 0
    assert "... and 2 more" in capsys.readouterr().out


def test_a_model_tells_all_it_knows(model_path, capsys):
    assert run(["info", str(model_path)]) == 0
    shown = capsys.readouterr().out
    facts = ["NUCLEI", "0.8125", "BRIGHTFIELD (brightfield), 3 planes", "z 1.5, y 0.5", "widths"]
    facts += ["seed: 11", "held out: columns:48-95", "wells/F0", "... and 5 more", "mean 0"]
    for fact in [*facts, "minutes: 3"]:
        assert fact in shown


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.isl", b"not a model at all", "m.isl is damaged, or not a model file"),
        ("x.txt", b"hello", "x.txt"),
        ("x.png", b"\x89PNG\r\n\x1a\n", "x.png"),
        ("x.tif", b"II*\0", "x.tif"),
    ],
)
def test_foreign_and_damaged_files_are_named(tmp_path, name, content, message, capsys):
    (tmp_path / name).write_bytes(content)
    assert run(["info", str(tmp_path / name)]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "fault of the program" not in shown


def test_unknown_voxel_sizes_and_empty_columns_are_left_out(scene_dir, tmp_path, capsys):
    (tmp_path / "plain").mkdir()
    for file in scene_dir.glob("*z_depth-0*"):
        (tmp_path / "plain" / "a_phase.png").write_bytes(file.read_bytes())
    assert run(["info", str(tmp_path / "plain")]) == 0
    shown = capsys.readouterr().out
    assert "unknown" in shown
    assert "?" not in shown
    assert "condition" not in shown


def test_a_field_that_cannot_be_trained_on_is_named(two_fields, capsys):
    for file in two_fields.glob("*well-S2*BRIGHTFIELD*"):
        file.unlink()
    assert run(["info", str(two_fields)]) == 0
    shown = capsys.readouterr().out
    assert "source: BRIGHTFIELD" in shown
    assert "not usable" in shown
    assert "field S2 lacks the source 'BRIGHTFIELD'" in shown
