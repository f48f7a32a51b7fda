from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import types

import pytest

import isl
from isl.__main__ import main
from isl.cli.app import run
from isl.core.config import TrainConfig


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["info"],
        ["train"],
        ["predict"],
        ["evaluate"],
        ["demo"],
        ["simulate"],
        ["import-checkpoint"],
    ],
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
        (["simulate", "-o", "x", "--wells", "many"], "wells"),
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


@pytest.mark.concurrent
def test_an_interruption_that_a_library_turned_into_another_error(monkeypatch, capsys):
    def work(words):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except SystemExit as error:
            raise ValueError("building a schema failed") from error

    monkeypatch.setattr("isl.cli.app.app", work)
    assert run(["info"]) == 143
    assert "terminated" in capsys.readouterr().err


def test_an_interruption_while_the_program_starts_has_no_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "isl.cli.app", Interrupting("isl.cli.app"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


@pytest.mark.parametrize(("code", "ended_by"), [(0, "exit"), (2, "exit"), (130, "kill")])
def test_the_process_ends_with_the_code(code, ended_by, monkeypatch):
    ends = []
    monkeypatch.setattr("isl.cli.app.run", lambda: code)
    monkeypatch.setattr("os._exit", lambda value: ends.append(("kill", value)))
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ends or [("exit", ended.value.code)]) == [(ended_by, code)]


class Interrupting(types.ModuleType):
    """Module that is interrupted while something is imported from it."""

    def __getattr__(self, name):
        raise KeyboardInterrupt
