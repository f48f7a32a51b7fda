"""``isl learning-curve`` and ``isl predictable`` as users type them."""

from __future__ import annotations

import pytest

from isl.cli.app import run
from isl.cli.learning_curve import numbers
from isl.core.errors import ConfigError

SMALL = [
    *("--network.widths", "8", "--network.blocks", "1", "--network.z-slots", "3"),
    *("--max-steps", "1", "--patch-px", "32", "--batch-size", "2", "--loader-threads", "0"),
    *("--holdout", "columns:64-95", "--holdout-margin-px", "8"),
]


def test_a_curve_from_the_command_line(scene_dir, tmp_path, capsys):
    words = ["learning-curve", str(scene_dir), "-o", str(tmp_path / "c"), "--fractions", "0.5,1"]
    assert run([*words, *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "scratch, 0.5: 0.00224 megapixels to train on" in shown
    assert "from fewer than 3 amounts" in shown
    assert "curve.png" in shown
    assert run([*words, *SMALL]) == 0
    assert "scratch, 1: is there already" in capsys.readouterr().out


def test_an_answer_from_the_command_line(scene_dir, tmp_path, capsys):
    words = ["predictable", str(scene_dir), "-o", str(tmp_path / "p"), "--targets", "NUCLEI"]
    assert run([*words, *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "NUCLEI " in shown
    assert "caution: the held-out part (columns:64-95" in shown
    assert run([*words, *SMALL]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--amounts", "1,x"], "--amounts 1,x: give numbers separated by commas"),
        (["--amounts", "1.5"], "--amounts 1.5: give whole numbers"),
        (["--amounts", "1"], "only one field to train on"),
        (["--fractions", "2"], "fractions 2: there are 1"),
        (["--also-scratch"], "give one with --from"),
    ],
)
def test_bad_amounts_end_before_any_work(words, message, scene_dir, tmp_path, capsys):
    command = ["learning-curve", str(scene_dir), "-o", str(tmp_path / "c"), *words]
    assert run([*command, *SMALL]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_numbers_are_read():
    assert numbers("amounts", None) is None
    assert numbers("fractions", ["0.25,0.5", "1"]) == [0.25, 0.5, 1.0]
    with pytest.raises(ConfigError, match="such as 1,2,4"):
        numbers("amounts", [",", "a"])
