from __future__ import annotations

import errno
import os
import signal
import sys

import pytest

from isl.cli import console
from isl.core.errors import DataError, OutputError
from isl.core.progress import Progress


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("A4: no planes"), 2, "error: A4: no planes"),
        (OutputError("exists; pass --overwrite"), 2, "error: exists; pass --overwrite"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2, "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "x.png"), 2, "x.png: Permission"),
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (console.Terminated(), 143, "terminated"),
        (ZeroDivisionError("by zero"), 2, "fault of the program: run again with --debug"),
    ],
)
def test_errors_have_a_message_and_a_code_but_no_traceback(error, code, text, capsys):
    assert console.report_error(error) == code
    shown = capsys.readouterr()
    assert text in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_failed_output_says_what_is_kept(capsys):
    error = OutputError("the disk is full")
    error.add_note("what is done is kept")
    console.report_error(error)
    assert capsys.readouterr().err == "error: the disk is full; what is done is kept\n"


def test_debug_shows_the_traceback(capsys):
    try:
        raise DataError("A4: no planes")
    except DataError as error:
        console.report_error(error, debug=True)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "test_debug_shows_the_traceback" in shown


def test_messages_are_printed_as_they_are(capsys):
    message = "[red]wells[/red] " + "x" * 300
    console.report_error(DataError(message))
    assert message in capsys.readouterr().err


@pytest.mark.concurrent
def test_sigterm_runs_the_finally_blocks():
    cleaned = []

    def work():
        try:
            with console.orderly_signals():
                os.kill(os.getpid(), signal.SIGTERM)
                signal.pause()
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(console.Terminated):
        work()
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is before


def test_whole_numbers_of_progress_are_not_rounded(capsys, monkeypatch):
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.0)
    with console.progress_bar() as progress:
        progress(Progress(12_345, 78_000, "tile"))
        progress(Progress(1.23456, 20, "minute"))
    assert capsys.readouterr().err == "12345/78000 tile\n1.235/20 minute\n"


def test_bad_fields_are_reported_and_counted(capsys):
    bad = console.BadFields()
    assert (bad.exit_code, bad.summary()) == (0, "")
    bad("B/03/0", DataError("plane 3 is missing"))
    bad("B/03/1", DataError("plane 4 is missing"))
    assert bad.exit_code == 1
    assert bad.summary() == "2 bad fields skipped, see above"
    assert "skipped B/03/1: plane 4 is missing" in capsys.readouterr().err


def test_progress_in_a_log_file_is_a_line_now_and_then(capsys, monkeypatch):
    with console.progress_bar() as progress:
        progress(Progress(1, 10, "step"))
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(console, "QUIET_SECONDS", 0.0)
        progress(Progress(2, 10, "step", "training", (("loss", 0.5),)))
        progress(Progress(0.25, 1, "budget"))
    assert capsys.readouterr().err == "training  2/10 step  loss 0.5\n25%\n"


def test_progress_on_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.progress_bar() as progress:
        progress(Progress(3, 4, "tile", "predicting A4"))
    shown = capsys.readouterr().err
    assert "predicting A4" in shown
    assert "3/4 tile" in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.123456, "0.1235"), ((1, 2.5), "1, 2.5"), ("a", "a"), (True, "True")],
)
def test_plain_values(value, text):
    assert console.plain(value) == text


@pytest.mark.concurrent
def test_sigint_is_an_exception_that_is_remembered():
    records = []

    def work():
        with console.orderly_signals() as arrived:
            records.append(arrived)
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [type(error) for error in records[0]] == [KeyboardInterrupt]


@pytest.mark.concurrent
def test_a_signal_waits_until_a_module_is_imported(tmp_path, monkeypatch):
    """A module that is cut short can fail in odd ways later, or swallow the signal."""
    (tmp_path / "slow_module.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(0.3)\n"
        "whole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_module", raising=False)
    modules = []

    def work():
        import slow_module

        modules.append(slow_module)
        signal.pause()

    with pytest.raises(console.Terminated), console.orderly_signals():
        work()
    assert modules[0].whole


def test_tables_in_files_do_not_cut_names(capsys):
    shown = console.table("field", "size")
    shown.add_row("plate_with_a_long_name/" * 6, "3")
    console.print_table(shown)
    assert "plate_with_a_long_name/" * 6 in capsys.readouterr().out
