"""What a dry run says."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from isl.cli.app import run
from isl.cli.predict_plan import plan_lines, size_text
from isl.inference.model_file import load_model
from isl.inference.predict import plan_fovs
from isl.io.open import open_fovs
from isl.io.output_place import Place
from isl.io.output_unfinished import read_unfinished


@pytest.fixture
def words(model_path, two_fields, tmp_path):
    """Command for two fields of one part each."""
    paths = [str(model_path), str(two_fields)]
    return ["predict", *paths, "-o", str(tmp_path / "p.zarr"), "--backend", "torch"]


@pytest.fixture
def unfinished(words, tmp_path, monkeypatch):
    """A run that is interrupted after the first of its parts; how many were written by then."""

    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    @contextmanager
    def stopping():
        yield stop

    with monkeypatch.context() as patch:
        patch.setattr("isl.cli.predict.progress_bar", stopping)
        assert run(words) == 130
    return len(read_unfinished(tmp_path / "p.zarr").tasks)


def state(folder):
    """Names, sizes and times of change of all files."""
    found = ((p, p.stat()) for p in folder.rglob("*"))
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found}


def test_an_unfinished_run_would_be_continued(words, unfinished, tmp_path, capsys):
    before = state(tmp_path)
    assert run([*words, "--dry-run"]) == 0
    assert state(tmp_path) == before
    said = capsys.readouterr().out
    share = f"{unfinished} of 2 parts are done ({50 * unfinished} % of the pixels)"
    assert f"goes on with an unfinished run, of which {share}" in said
    assert run(words) == 0
    assert f"of which {unfinished} parts were done" in capsys.readouterr().out


@pytest.mark.usefixtures("unfinished")
def test_a_run_says_with_which_backend_it_goes_on(words, monkeypatch, capsys, caplog):
    def measured(*_):
        raise AssertionError("nothing has to be chosen")

    monkeypatch.setattr("isl.inference.build.choose_backend", measured)
    assert run(words[:-2]) == 0
    assert caplog.messages == ["goes on with torch, as the unfinished output began"]
    assert "run by torch, as the unfinished output began" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "reason"),
    [(["--dtype", "uint16"], "it differs in: output, settings"), (["--restart"], "as asked")],
)
def test_an_unfinished_run_would_be_discarded(flags, reason, words, unfinished, tmp_path, capsys):
    before = state(tmp_path)
    assert run([*words, *flags, "--dry-run"]) == 0
    shards = f"{unfinished} finished shard{'s' * (unfinished > 1)}"
    assert f"discards {shards} of an unfinished run ({reason})" in capsys.readouterr().out
    assert state(tmp_path) == before


@pytest.fixture
def plan(model_path, two_fields, tmp_path):
    return plan_fovs(load_model(model_path), open_fovs(two_fields), tmp_path / "p.zarr")


def test_a_place_that_is_too_small_or_forbidden_is_warned_of(plan, tmp_path):
    said = "\n".join(plan_lines(plan, Place(tmp_path, is_writable=False, free_bytes=10_000)))
    assert f"warning: nothing can be written to {tmp_path}; change" in said
    needed = size_text(plan.output_bytes)
    assert f"warning: the disk of {tmp_path} has 10.0 kB free, but up to {needed} are" in said


def test_a_good_place_is_not_warned_of(plan, tmp_path):
    lines = plan_lines(plan, Place(tmp_path, is_writable=True, free_bytes=plan.output_bytes))
    assert not [line for line in lines if line.startswith("warning")]


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (3.25e9, "3.2 GB"), (5e12, "5.0 TB")],
)
def test_sizes_have_a_unit_that_suits_them(nbytes, text):
    assert size_text(nbytes) == text
