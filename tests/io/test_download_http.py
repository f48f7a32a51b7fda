from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from bucket_server import DROP, HALF, STALL, serve
from isl.core.errors import OutputError
from isl.io.download_http import HttpClient
from isl.io.download_state import (
    CancelledError,
    DownloadError,
    Meter,
    Retries,
    UnreachableError,
)

BODY = np.random.default_rng(0).bytes(600_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve({"a b,c.png": BODY}) as served:
        yield served


@pytest.fixture
def waits():
    return []


@pytest.fixture
def client(waits):
    with HttpClient(Retries(tries=4, sleep=waits.append), timeout_s=5) as made:
        yield made


@pytest.fixture
def part(tmp_path):
    return tmp_path / "a.png.part"


def fetch(client, server, part, **settings):
    client.fetch(f"{server.address}/a%20b%2Cc.png", part, **settings)


def test_a_file_comes_whole(client, server, part):
    meter = Meter()
    fetch(client, server, part, meter=meter)
    assert part.read_bytes() == BODY
    assert (meter.done, meter.total, meter.received) == (len(BODY),) * 3


def test_a_dropped_connection_is_resumed_where_it_broke(client, server, part, waits):
    server.faults["a b,c.png"] = [DROP, DROP]
    meter = Meter()
    fetch(client, server, part, meter=meter)
    assert part.read_bytes() == BODY
    first, second, third = server.gets("a b,c.png")
    assert first is None
    assert 0 < int(second[6:-1]) < int(third[6:-1]) < len(BODY)
    assert meter.done == meter.received == len(BODY)
    assert waits == [0.5, 0.5]  # bytes were gained in between, so the count began anew


def test_progress_keeps_a_bad_line_going(client, server, part):
    server.faults["a b,c.png"] = [DROP] * 2 + [503] * 2 + [DROP] + [503] * 2
    fetch(client, server, part)
    assert part.read_bytes() == BODY


def test_a_server_without_ranges_starts_over(client, server, part):
    server.has_ranges = False
    server.faults["a b,c.png"] = [DROP]
    meter = Meter()
    fetch(client, server, part, meter=meter)
    assert part.read_bytes() == BODY
    assert meter.done == len(BODY) < meter.received


def test_waits_grow_until_a_busy_server_answers(client, server, part, waits):
    server.faults["a b,c.png"] = [503, 500, 429]
    fetch(client, server, part)
    assert part.read_bytes() == BODY
    assert waits == [0.5, 1.0, 2.0]


def test_a_busy_server_is_given_up(client, server, part, waits):
    server.faults["a b,c.png"] = [503] * 9
    with pytest.raises(DownloadError, match=r"c\.png could not be fetched in 4 tries.*503.*again"):
        fetch(client, server, part)
    assert len(waits) == 3


def test_waits_have_a_limit():
    waits = []
    retries = Retries(longest_wait_s=3, sleep=waits.append)
    for failures in range(1, 6):
        retries.wait(failures)
    assert waits == [0.5, 1, 2, 3, 3]


@pytest.mark.parametrize(("status", "said"), [(404, "no such file"), (403, "403 Forbidden")])
def test_a_refusal_is_no_matter_of_time(client, server, part, waits, status, said):
    server.faults["a b,c.png"] = [status]
    with pytest.raises(DownloadError, match=rf"{server.address}/a%20b%2Cc\.png.*{said}"):
        fetch(client, server, part)
    assert waits == []
    assert not part.exists()


def test_half_a_file_is_no_result(client, server, part):
    server.faults["a b,c.png"] = [HALF]
    fetch(client, server, part, size=len(BODY))
    assert part.read_bytes() == BODY


def test_half_a_file_again_and_again(client, server, part):
    server.faults["a b,c.png"] = [HALF] * 9
    with pytest.raises(DownloadError, match="300000 of 600000 bytes came"):
        fetch(client, server, part, size=len(BODY))


def test_a_complete_part_is_not_fetched(client, server, part):
    part.write_bytes(BODY)
    fetch(client, server, part, size=len(BODY))
    assert server.asked == []
    fetch(client, server, part)
    assert part.read_bytes() == BODY
    assert server.gets("a b,c.png") == [f"bytes={len(BODY)}-"]


def test_a_part_that_is_too_long_starts_over(client, server, part):
    part.write_bytes(BODY + b"more")
    fetch(client, server, part, size=len(BODY))
    assert part.read_bytes() == BODY


def test_an_empty_file(client, server, part):
    fetch(client, server, part, size=0)
    assert part.read_bytes() == b""


def test_a_silent_server_counts_as_a_broken_connection(waits, server, part):
    server.faults["a b,c.png"] = [STALL]
    with HttpClient(Retries(sleep=waits.append), timeout_s=0.1) as client:
        fetch(client, server, part)
    assert part.read_bytes() == BODY
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "refused"), ("no-such-host.invalid", "resolve")]
)
def test_no_network_is_said_soon(client, part, waits, host, said, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://{host}:{taken.getsockname()[1]}"
        with pytest.raises(UnreachableError) as raised:
            client.fetch(f"{address}/bucket/x.png", part)
    assert str(raised.value).startswith(f"{address} cannot be reached")
    assert said in str(raised.value)
    assert "check the network" in str(raised.value)
    assert len(waits) == 1


def test_a_cancelled_client_stops_and_keeps_what_came(server, part):
    server.faults["a b,c.png"] = [DROP, DROP]
    retries = Retries(sleep=lambda seconds: client.cancel())
    with HttpClient(retries) as client, pytest.raises(CancelledError):
        fetch(client, server, part)
    assert BODY.startswith(part.read_bytes())
    assert part.stat().st_size > 0


def test_a_folder_that_cannot_be_written(client, server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory.*--output"):
        fetch(client, server, tmp_path / "file" / "a.png.part")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(client, server, part):
    part.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"a\.png\.part cannot be written: No space left"):
        fetch(client, server, part)


def test_short_answers_are_tried_again(client, server, waits):
    server.faults[""] = [503, 503]
    body = client.read(server.address, {"prefix": "a"})
    assert b"a b,c.png" in body
    assert len(waits) == 2
