from __future__ import annotations

import resource
import subprocess
import sys

import pytest

import isl
from isl.cli.app import run
from isl.core.config import TrainConfig


@pytest.mark.parametrize(
    "command", [[], ["info"], ["train"], ["predict"], ["evaluate"], ["demo"], ["simulate"]]
)
def test_help(command, capsys):
    assert run([*command, "--help"]) == 0
    assert "Usage: isl" in capsys.readouterr().out


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == isl.__version__


def test_every_setting_is_a_flag_with_help(capsys):
    run(["train", "--help"])
    shown = capsys.readouterr().out
    for name in TrainConfig.model_fields:
        assert f"--{name.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], 'Did you mean "train"'),
        (["predict", "m.isl", "x", "-o", "y", "--overwirte"], "Did you mean --overwrite"),
        (["train", "x", "-o", "m.isl", "--max-minute", "3"], "Did you mean --max-minutes"),
        (["train", "x", "-o", "m.isl", "--target-projection", "sum"], "Choose from"),
        (["predict", "m.isl"], "requires an argument"),
        (["simulate", "-o", "x", "--rows", "many"], "rows"),
    ],
)
def test_usage_errors_suggest_what_was_meant(words, hint, capsys):
    assert run(words) == 2
    assert hint in " ".join(capsys.readouterr().err.split())


def test_no_data_is_a_usage_error(tmp_path, capsys):
    assert run(["train", "-o", str(tmp_path / "m.isl")]) == 2
    assert "no images are given" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"]])
def test_help_is_fast_and_light(command):
    code = (
        "import sys; from isl.cli.app import run; run(sys.argv[1:]); "
        "print([m for m in ('torch', 'zarr', 'matplotlib', 'pandas', 'lightning') "
        "if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    words = [sys.executable, "-c", code, *command]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert seconds < 1.0  # a quarter of this on an idle machine


def test_the_module_runs_as_a_program():
    words = [sys.executable, "-m", "isl", "info", "absent-folder"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "absent-folder: there is no such file or folder" in ended.stderr
    assert "Traceback" not in ended.stderr
