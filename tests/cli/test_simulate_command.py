from __future__ import annotations

from isl.cli.app import run
from isl.io.open import open_fovs

SMALL = ["--rows", "32", "--columns", "48", "--planes", "2", "--cells", "1"]


def test_a_scene_is_written_and_opens(tmp_path, capsys):
    assert run(["simulate", "-o", str(tmp_path / "scene"), "--seed", "4", *SMALL]) == 0
    (fov,) = open_fovs(tmp_path / "scene" / "images.csv")
    assert fov.shape == (1, 3, 2, 32, 48)
    assert fov.name == "S4"
    assert f"next: isl info {tmp_path / 'scene'}" in capsys.readouterr().out


def test_an_existing_output_is_kept(tmp_path, capsys):
    words = ["simulate", "-o", str(tmp_path / "scene"), *SMALL]
    assert [run(words), run(words), run([*words, "--overwrite"])] == [0, 2, 0]
    assert "--overwrite" in capsys.readouterr().err


def test_impossible_scenes_write_nothing(tmp_path, capsys):
    assert run(["simulate", "-o", str(tmp_path / "scene"), "--rows", "3"]) == 2
    assert "at least 16 x 16 pixels" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
