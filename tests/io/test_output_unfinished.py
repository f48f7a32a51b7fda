from __future__ import annotations

import json

import pytest

from isl.io.output_unfinished import Unfinished, read_unfinished


@pytest.fixture
def journal(tmp_path):
    (tmp_path / ".p.zarr.partial").mkdir()
    return tmp_path / ".p.zarr.partial" / "journal"


def write(journal, *lines, torn=b""):
    journal.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines) + torn)


def test_finished_tasks_are_read_and_nothing_is_repaired(journal, tmp_path):
    lines = {"fingerprint": {"model": "m"}}, {"task": "a@t0", "of": "a"}, {"synced": True}
    write(journal, *lines, torn=b'{"task": "b')
    before = journal.read_bytes()
    found = read_unfinished(tmp_path / "p.zarr")
    assert found == Unfinished({"model": "m"}, frozenset({"a@t0"}))
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    "lines", [(), ({"fingerprint": {"model": "m"}},), ({"task": "a@t0", "of": "a"},)]
)
def test_a_journal_without_tasks_or_beginning_is_none(journal, lines, tmp_path):
    write(journal, *lines)
    assert read_unfinished(tmp_path / "p.zarr") is None
    assert read_unfinished(tmp_path / "other.zarr") is None


def test_differences_are_named():
    found = Unfinished({"model": "a", "same": 1, "gone": 2}, frozenset({"t"}))
    assert found.differences({"model": "b", "same": 1, "new": 3}) == ("gone", "model", "new")
