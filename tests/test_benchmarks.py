"""The scripts that measure inference run, and write what they find where it belongs."""

import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """The scripts import each other, as they do when one of them is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def page(tmp_path):
    from inference_page import BEGIN, END

    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    return page


@pytest.fixture
def setup(tmp_path):
    from inference_runs import Setup

    return Setup(tmp_path, quick=True)


def test_each_part_replaces_its_older_self_and_nothing_else(page):
    from inference_page import update

    update(page, {"A": "### A\n\nold a", "B": "### B\n\nold b\n\n| x |"})
    update(page, {"A": "### A\n\nnew a"})
    text = page.read_text()
    assert text.startswith("before\n<!--")
    assert text.endswith("-->\nafter\n")
    assert re.findall(r"^(?:###|old|new|\|).*", text, re.MULTILINE) == [
        "### A",
        "new a",
        "### B",
        "old b",
        "| x |",
    ]


def test_writing_twice_changes_nothing(page):
    from inference_page import update

    update(page, {"A": "### A\n\na"})
    once = page.read_text()
    update(page, {"A": "### A\n\na"})
    assert page.read_text() == once


def test_a_page_without_markers_is_refused_as_it_is(tmp_path):
    from inference_page import update

    page = tmp_path / "page.md"
    page.write_text("mine")
    with pytest.raises(ValueError, match="inference: written by make bench"):
        update(page, {"A": "a"})
    assert page.read_text() == "mine"


def test_rows_of_all_backends_compare_the_whole_with_the_bare_network(setup):
    from inference_table import table_lines

    rows = [line for line in table_lines(setup) if line.startswith("| tiny")]
    assert len(rows) == 4
    for row in rows:
        ratio, again = (float(cell) for cell in row.split("|")[6:8])
        assert ratio > 1
        assert again > 0


def test_statistics_are_measured_against_the_network(setup):
    from inference_pieces import STATISTICS, measure_statistics
    from inference_scenes import write_model

    model = write_model(setup.folder / "m.isl", "tiny", 13)
    found = setup.run(measure_statistics, model=model, side=64, repeats=1)
    assert list(found) == list(STATISTICS)
    assert all(seconds > 0 and share > 0 for seconds, share in found.values())


def test_what_takes_longest_is_the_bottleneck(setup):
    from inference_pieces import bottleneck, measure_pieces
    from inference_scenes import write_model, write_tiff

    pieces = setup.run(
        measure_pieces,
        model=write_model(setup.folder / "m.isl", "tiny", 13),
        source=write_tiff(setup.folder / "s.tif", 64, 13),
        output=setup.folder / "o.zarr",
        repeats=1,
    )
    assert bottleneck(pieces | {"measuring the source": (1e6, 0, 0)}) == "Reading"
    assert bottleneck(pieces | {"network": (1e6, 0, 0)}) == "The network"
    assert bottleneck(pieces | {"writing": (1e6, 0, 0)}) == "Writing"


def test_a_straight_line_is_found():
    from inference_lines import fitted

    found = {side: {"seconds": 2 + side**2 / 1e6 / 4, "peak_mb": side} for side in (100, 200, 400)}
    line = fitted("2GB", found)
    assert "seconds = 0.250 x megapixels +2.00 (r2 1.00000)" in line
    assert "4.00 times" in line


def test_sizes_and_small_images_are_measured(setup):
    from inference_lines import line_lines
    from inference_small import small_lines

    assert sum("64 x 64 x 13" in line for line in line_lines(setup)) == 2
    assert sum("| 10 |" in line for line in small_lines(setup)) == 2
    assert not list(setup.folder.glob("256.zarr"))


def test_an_output_that_differs_is_counted(tmp_path):
    from inference_kills import Counts, compare, digests

    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")
    expected, counts = digests(tmp_path / "a"), Counts()
    (tmp_path / "a" / "b" / "c").write_text("y")
    compare(tmp_path / "a", expected, counts)
    assert (counts.rounds, counts.differing) == (1, 1)


@pytest.mark.slow
def test_killed_runs_end_as_an_undisturbed_one(setup):
    from inference_kills import kill_lines

    (line,) = kill_lines(setup)
    assert "2 times" in line
    assert "; all of these outputs" in line


@pytest.mark.slow
def test_the_start_of_the_command_is_timed(setup):
    from inference_start import start_lines

    (line,) = start_lines(setup)
    first, whole = map(float, re.findall(r"([\d.]+) s ", line))
    assert 0 < first <= whole


def test_parts_are_printed_and_written(page, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["inference.py"])
    import inference

    parts = {"small": ("Small", lambda setup: [f"quick {setup.quick}"])}
    monkeypatch.setattr(inference, "PARTS", parts)
    assert inference.main(["small", "--quick", "--write", str(page)]) == 0
    assert "### Small" in capsys.readouterr().out
    assert "quick True" in page.read_text()
