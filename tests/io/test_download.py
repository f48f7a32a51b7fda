from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest

from bucket_server import DROP, HALF, STALL, serve
from isl.core.errors import ConfigError, OutputError
from isl.io.download import download
from isl.io.download_plan import plan_download
from isl.io.download_state import DownloadError, Retries, UnreachableError

TEST = "paper_data/test_single_channel_images/"
BODIES = np.random.default_rng(0)
IMAGES = {
    f"{lab}/{condition}/lab-{lab},condition-{condition},well-A{i}.png": BODIES.bytes(200_000 + i)
    for lab, condition in (("Rubin", "scott_1_0"), ("Finkbeiner", "kevan_0_8"))
    for i in range(3)
}
SAMPLE = {"data_sample/B/a.png": BODIES.bytes(150_000), "data_sample/E/b.png": b"b"}
FIRST = next(iter(IMAGES))


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    objects = {TEST + name: body for name, body in IMAGES.items()}
    objects |= {"data_sample.zip": zipped(SAMPLE), "paper_data/train/x.png": b"composite"}
    with serve(objects) as served:
        served.page_size = 4
        yield served


class Bad(dict):
    def __call__(self, name, error):
        self[name] = error


def fetch(server, output, name="isl2018-test", *, include=(), **settings):
    retries = Retries(tries=3, sleep=lambda seconds: None)
    plan = plan_download(name, include=include, mirror=server.address, retries=retries)
    return download(plan, output, retries=retries, **settings)


def files(folder):
    found = [f for f in folder.rglob("*") if f.is_file() and f.name != "checksums.txt"]
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in found}


def visible(folder):
    return {name: body for name, body in files(folder).items() if not name.startswith(".")}


def test_a_folder_of_images_lands_in_its_layout(server, tmp_path):
    server.faults[TEST + FIRST] = [DROP, 503]
    seen = []
    summary = fetch(server, tmp_path / "data", progress=seen.append)
    assert files(tmp_path / "data" / "isl2018-test") == IMAGES
    total = sum(map(len, IMAGES.values()))
    assert (summary.folder, summary.files) == (tmp_path / "data" / "isl2018-test", 6)
    assert (summary.size, summary.fetched, summary.bad) == (total, total, ())
    assert (seen[-1].done, seen[-1].total, seen[-1].unit) == (total / 1e6, total / 1e6, "MB")


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    server.asked.clear()
    seen = []
    summary = fetch(server, tmp_path, progress=seen.append)
    assert {key for key, _ in server.asked} == {""}
    assert (summary.files, summary.fetched) == (6, 0)
    assert seen[-1].done == seen[-1].total


def test_patterns_choose_files(server, tmp_path):
    plan = plan_download("isl2018-test", include=["*scott_1_0*"], mirror=server.address)
    assert {f.key for f in plan.files} == {TEST + n for n in IMAGES if "scott_1_0" in n}
    assert plan.size == sum(len(body) for n, body in IMAGES.items() if "scott_1_0" in n)
    summary = fetch(server, tmp_path, include=["*well-A1*", "*A2.png"])
    assert summary.files == 4


def test_a_pattern_that_fits_nothing_shows_what_there_is(server, tmp_path):
    with pytest.raises(ConfigError, match=r"6 files of isl2018-test, such as 'Finkbeiner/.*--incl"):
        fetch(server, tmp_path, include=["*condition_a*"])
    assert files(tmp_path) == {}


def test_one_bad_file_among_many(server, tmp_path):
    server.faults[TEST + FIRST] = [404]
    bad = Bad()
    summary = fetch(server, tmp_path, on_bad=bad)
    assert summary.bad == tuple(bad) == (FIRST,)
    assert "no such file" in str(bad[FIRST])
    assert set(files(tmp_path / "isl2018-test")) == set(IMAGES) - {FIRST}
    assert fetch(server, tmp_path).bad == ()
    assert files(tmp_path / "isl2018-test") == IMAGES


def test_a_bad_file_raises_where_nobody_listens(server, tmp_path):
    server.faults[TEST + FIRST] = [404]
    with pytest.raises(DownloadError, match="no such file"):
        fetch(server, tmp_path)


def test_half_a_file_without_its_sum_is_no_result(server, tmp_path):
    server.has_md5 = False
    server.faults[TEST + FIRST] = [HALF]
    fetch(server, tmp_path)
    assert files(tmp_path / "isl2018-test") == IMAGES


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    path = tmp_path / "isl2018-test" / FIRST
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    server.asked.clear()
    fetch(server, tmp_path)
    assert path.read_bytes() == IMAGES[FIRST]
    assert {key for key, _ in server.asked} == {"", TEST + FIRST}


def test_an_incomplete_copy_without_a_record_is_fetched_again(server, tmp_path):
    server.has_md5 = False
    path = tmp_path / "isl2018-test" / FIRST
    path.parent.mkdir(parents=True)
    path.write_bytes(IMAGES[FIRST][:100])
    fetch(server, tmp_path)
    assert path.read_bytes() == IMAGES[FIRST]


def test_other_content_than_at_first_names_both_sums(server, tmp_path):
    fetch(server, tmp_path)
    path = tmp_path / "isl2018-test" / FIRST
    path.unlink()
    server.objects[TEST + FIRST] = IMAGES[FIRST][::-1]
    bad = Bad()
    fetch(server, tmp_path, on_bad=bad)
    message = str(bad[FIRST])
    assert str(path) in message
    assert "checksums.txt" in message
    for body in (IMAGES[FIRST], IMAGES[FIRST][::-1]):
        assert hashlib.sha256(body).hexdigest() in message
    assert not path.exists()


def test_a_part_of_an_older_file_is_not_mixed_with_the_new_one(server, tmp_path):
    path = tmp_path / "isl2018-test" / FIRST
    path.parent.mkdir(parents=True)
    path.with_name(path.name + ".part").write_bytes(b"old" * 1000)
    seen = []
    fetch(server, tmp_path, progress=seen.append)
    assert files(tmp_path / "isl2018-test") == IMAGES
    assert seen[-1].done == seen[-1].total


def test_content_that_is_not_what_the_list_says(server, tmp_path):
    server.faults = {}
    plan = plan_download("isl2018-test", include=["*A1*"], mirror=server.address)
    server.objects |= {f.key: server.objects[f.key][::-1] for f in plan.files}
    with pytest.raises(DownloadError, match=r"not what the server lists: MD5.*--mirror"):
        download(plan, tmp_path)


def test_an_archive_is_unpacked_and_kept_out_of_the_way(server, tmp_path):
    server.faults["data_sample.zip"] = [DROP, 503]
    summary = fetch(server, tmp_path, "isl2018-sample")
    assert visible(tmp_path / "isl2018-sample") == SAMPLE
    assert (tmp_path / "isl2018-sample" / ".archives" / "data_sample.zip").is_file()
    assert (summary.files, summary.size) == (2, 150_001)
    assert summary.fetched == len(server.objects["data_sample.zip"])


def test_a_complete_archive_is_not_fetched_again_even_where_it_was_deleted(server, tmp_path):
    fetch(server, tmp_path, "isl2018-sample")
    (tmp_path / "isl2018-sample" / ".archives" / "data_sample.zip").unlink()
    server.asked.clear()
    assert fetch(server, tmp_path, "isl2018-sample").files == 2
    assert server.asked == []


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_damaged_file_of_an_archive_is_unpacked_again(server, tmp_path, is_kept):
    fetch(server, tmp_path, "isl2018-sample")
    (tmp_path / "isl2018-sample" / "data_sample/E/b.png").write_bytes(b"?")
    if not is_kept:
        (tmp_path / "isl2018-sample" / ".archives" / "data_sample.zip").unlink()
    server.asked.clear()
    fetch(server, tmp_path, "isl2018-sample")
    assert visible(tmp_path / "isl2018-sample") == SAMPLE
    assert len(server.asked) == (0 if is_kept else 1)


def test_a_damaged_archive_is_fetched_again(server, tmp_path):
    whole = server.objects["data_sample.zip"]
    server.objects["data_sample.zip"] = whole[:500] + b"!" + whole[501:]
    with pytest.raises(OSError, match="is damaged"):
        fetch(server, tmp_path, "isl2018-sample")
    server.objects["data_sample.zip"] = whole
    fetch(server, tmp_path, "isl2018-sample")
    assert visible(tmp_path / "isl2018-sample") == SAMPLE


def test_an_archive_cannot_be_narrowed(server):
    with pytest.raises(ConfigError, match="one archive, which --include cannot narrow"):
        plan_download("isl2018-sample", include=["*"], mirror=server.address)


def test_a_server_that_vanishes_ends_everything(server, tmp_path):
    plan = plan_download("isl2018-test", mirror=server.address)
    server.shutdown()
    server.server_close()
    bad = Bad()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        download(plan, tmp_path, retries=Retries(sleep=lambda seconds: None), on_bad=bad)
    assert bad == {}


def test_a_folder_that_takes_no_files_ends_everything(server, tmp_path):
    (tmp_path / "isl2018-test").mkdir()
    (tmp_path / "isl2018-test" / "Rubin").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be written.*--output"):
        fetch(server, tmp_path, on_bad=Bad())


def test_an_output_that_is_a_file(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(server, tmp_path / "file")


def test_at_least_one_job(server, tmp_path):
    with pytest.raises(ConfigError, match="--jobs is 0"):
        fetch(server, tmp_path, jobs=0)


@pytest.mark.concurrent
def test_files_are_fetched_at_the_same_time(server, tmp_path):
    keys = [TEST + name for name in list(IMAGES)[:3]]
    server.faults = {key: [STALL] for key in keys}
    release = threading.Thread(target=release_when_asked_for, args=(server, keys))
    release.start()
    fetch(server, tmp_path, jobs=3)
    release.join()
    assert server.all_came
    assert files(tmp_path / "isl2018-test") == IMAGES


def release_when_asked_for(server, keys):
    """Let stalled answers end once all of them were asked for: never, if one waits for another."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and not all(map(server.gets, keys)):
        time.sleep(0.005)
    server.all_came = all(map(server.gets, keys))
    server.released.set()


@pytest.mark.concurrent
def test_an_interruption_in_the_caller_leaves_parts_that_are_resumed(server, tmp_path):
    server.faults = {TEST + name: [STALL] for name in IMAGES}

    def interrupt(progress):
        if progress.done:
            server.released.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, progress=interrupt)
    left = files(tmp_path / "isl2018-test")
    assert left
    assert all(name.endswith(".part") for name in left)
    fetch(server, tmp_path)
    assert files(tmp_path / "isl2018-test") == IMAGES


@pytest.mark.concurrent
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_killed_program_leaves_parts_that_the_next_run_resumes(server, tmp_path):
    server.faults = {TEST + name: [STALL] for name in IMAGES}
    words = ["download", "isl2018-test", "-o", str(tmp_path), "--mirror", server.address]
    running = subprocess.Popen([sys.executable, "-m", "isl", *words], stderr=subprocess.PIPE)
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and len(list(tmp_path.rglob("*.part"))) < 4:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert b"the same command goes on" in said
    assert b"Traceback" not in said
    left = files(tmp_path / "isl2018-test")
    assert len(left) == 4
    assert all(name.endswith(".part") for name in left)
    server.faults = {}
    server.asked.clear()
    fetch(server, tmp_path)
    assert files(tmp_path / "isl2018-test") == IMAGES
    assert sum(asked is not None for _, asked in server.asked) >= 1
