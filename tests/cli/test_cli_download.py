from __future__ import annotations

import io
import zipfile

import pytest

from bucket_server import serve
from isl.cli.app import run
from isl.cli.download import amount

TEST = "paper_data/test_single_channel_images/"
IMAGES = {
    f"Rubin/scott_1_0/lab-Rubin,condition-scott_1_0,well-r0c{i},z_depth-0.png": bytes(10**6)
    for i in range(2)
} | {"GLS/2015_06_26/lab-GLS,condition-2015_06_26,well-A1,z_depth-0.png": bytes(10**6)}


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    objects = {TEST + name: body for name, body in IMAGES.items()}
    objects["checkpoints.zip"] = zipped("checkpoints/model.ckpt-7.index", "checkpoints/checkpoint")
    with serve(objects) as served:
        yield served


def isl(server, *words):
    return run(["download", *words, "--mirror", server.address])


def test_without_a_name_the_sets_are_listed(capsys):
    assert run(["download"]) == 0
    shown = capsys.readouterr().out
    for name in ("isl2018-sample", "isl2018-checkpoint", "isl2018-test", "isl2018-train"):
        assert name in shown
    assert "2 GB" in shown
    assert "CC BY 4.0" in shown


def test_an_unknown_name_lists_the_sets(capsys):
    assert run(["download", "isl2018"]) == 2
    shown = capsys.readouterr().err
    assert "no data set 'isl2018'" in shown
    assert "isl2018-train" in shown


def test_images_come_with_a_closing_line(server, tmp_path, capsys):
    assert isl(server, "isl2018-test", "-o", str(tmp_path), "--jobs", "2") == 0
    folder = tmp_path / "isl2018-test"
    assert all((folder / name).read_bytes() == body for name, body in IMAGES.items())
    shown = capsys.readouterr().out
    assert f"{folder}: 3 files, 3.0 MB (3.0 MB fetched now); licence: CC BY 4.0" in shown
    assert f"next: isl info {folder}" in shown
    assert isl(server, "isl2018-test", "-o", str(tmp_path)) == 0
    assert "all there already" in capsys.readouterr().out


def test_weights_come_with_the_command_that_imports_them(server, tmp_path, capsys):
    assert isl(server, "isl2018-checkpoint", "-o", str(tmp_path)) == 0
    folder = tmp_path / "isl2018-checkpoint" / "checkpoints"
    assert f"next: isl import-checkpoint {folder} -o model.isl" in capsys.readouterr().out


def test_a_dry_run_lists_addresses_and_fetches_nothing(server, tmp_path, capsys):
    words = ["isl2018-test", "--include", "*scott_1_0*", "-o", str(tmp_path), "--dry-run"]
    assert isl(server, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{server.address}/{TEST}Rubin/scott_1_0/lab-Rubin%2Ccondition")
    assert lines[-1] == "2 files, size: 2.0 MB; licence: CC BY 4.0"
    assert list(tmp_path.iterdir()) == []


def test_patterns_are_repeated_and_may_hold_commas(server, capsys):
    words = ["--include", "*lab-GLS,condition-*", "--include", "*r0c1*", "--include", "*GLS,no*"]
    assert isl(server, "isl2018-test", *words, "--dry-run") == 0
    assert "2 files" in capsys.readouterr().out


def test_the_public_addresses(capsys):
    assert run(["download", "isl2018-sample", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "https://storage.googleapis.com/in-silico-labeling/data_sample.zip",
        "1 file, size: 2 GB; licence: CC BY 4.0",
    ]


def test_one_bad_file_shows_in_the_exit_code(server, tmp_path, capsys):
    first = next(iter(IMAGES))
    server.faults[TEST + first] = [404]
    assert isl(server, "isl2018-test", "-o", str(tmp_path)) == 1
    shown = capsys.readouterr()
    assert f"skipped {first}: " in shown.err
    assert "2 files, 2.0 MB" in shown.out
    assert "1 file could not be fetched, see above" in shown.out


def test_an_archive_that_is_not_there(server, tmp_path, capsys):
    assert isl(server, "isl2018-sample", "-o", str(tmp_path)) == 2
    shown = capsys.readouterr().err
    assert f"{server.address}/data_sample.zip: there is no such file" in shown


def test_no_network(server, tmp_path, capsys):
    server.shutdown()
    server.server_close()
    assert isl(server, "isl2018-checkpoint", "-o", str(tmp_path)) == 2
    shown = capsys.readouterr().err
    assert "cannot be reached" in shown
    assert "check the network" in shown


def test_amounts_stay_readable():
    assert [amount(10**6), amount(2 * 10**9), amount(123 * 10**9)] == [
        "1.0 MB",
        "2000.0 MB",
        "123.0 GB",
    ]
