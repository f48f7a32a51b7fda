import logging
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from cluster_work import (
    BadImage,
    Blocks,
    Bug,
    DiesAlways,
    DiesOnce,
    Remembers,
    Sleeps,
    Square,
    UnportableError,
    Warns,
)

from isl.core.errors import ClusterError, ConfigError, DataError, MissingExtraError, WorkerDiedError
from isl.inference.cluster import open_pool

NUMBERS = range(8)
SQUARES = {number: number**2 for number in NUMBERS}


@pytest.fixture(scope="module")
def pool():
    with open_pool("local:2") as opened:
        yield opened


def workers_of(process):
    """Processes that run workers; Python's tracker of resources is none."""
    found = process.children(recursive=True)
    return [each for each in found if "spawn_main" in " ".join(each.cmdline())]


def test_every_item_comes_once(pool, tmp_path):
    results = list(pool.run(Square(tmp_path), list(NUMBERS)))
    assert len(results) == len(NUMBERS)
    assert dict(results) == SQUARES


def test_no_items_give_no_results(pool, tmp_path):
    assert list(pool.run(Square(tmp_path), [])) == []


def test_work_lives_in_each_process_once_and_is_closed(pool, tmp_path):
    results = [result for _, result in pool.run(Remembers(tmp_path), list(range(12)))]
    by_process = {pid: [n for p, n, _ in results if p == pid] for pid, _, _ in results}
    assert os.getpid() not in by_process
    for counts in by_process.values():
        assert sorted(counts) == list(range(1, len(counts) + 1))
    closed = {int(path.name.removeprefix("closed-")) for path in tmp_path.glob("closed-*")}
    assert closed >= set(by_process)


def test_threads_of_the_machine_are_divided(pool, tmp_path):
    threads = {threads for _, (_, _, threads) in pool.run(Remembers(tmp_path), [0, 1, 2])}
    cores = len(os.sched_getaffinity(0))
    assert threads == {str(max(1, cores // 2))}
    assert pool.workers == len(pool.plans) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be blocked there")
def test_processes_never_hear_an_interruption(pool, tmp_path):
    assert all(blocked for _, blocked in pool.run(Blocks(tmp_path), [0, 1, 2]))


def test_error_of_a_task_is_its_value(pool, tmp_path):
    results = dict(pool.run(BadImage(tmp_path), list(NUMBERS)))
    error = results.pop(3)
    assert isinstance(error, DataError)
    assert str(error) == "B/03/3: all planes are blank"
    assert results == {number: square for number, square in SQUARES.items() if number != 3}


def test_error_that_cannot_be_sent_keeps_its_words(pool, tmp_path):
    error = dict(pool.run(UnportableError(tmp_path), [3]))[3]
    assert isinstance(error, ClusterError)
    assert str(error) == "disk full (7)"


def test_bug_fails_the_run_after_the_others_are_done(pool, tmp_path, caplog):
    results = {}
    pairs = pool.run(Bug(tmp_path), list(NUMBERS))
    with pytest.raises(ClusterError, match=r"3 on worker .*ZeroDivisionError: what a pity"):
        results.update(pairs)
    assert results == {number: square for number, square in SQUARES.items() if number != 3}
    assert "in at_three" in caplog.text


def test_warnings_of_workers_arrive_here(pool, tmp_path, caplog):
    list(pool.run(Warns(tmp_path), list(NUMBERS)))
    deadline = time.monotonic() + 5
    while "a doubt about 3" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)
    (record,) = [r for r in caplog.records if r.getMessage() == "a doubt about 3"]
    assert record.levelno == logging.WARNING
    assert record.name == "isl.inference.somewhere"


def test_killed_worker_costs_nothing_but_time(pool, tmp_path):
    assert dict(pool.run(DiesOnce(tmp_path), list(NUMBERS))) == SQUARES
    assert (tmp_path / "died").exists()


def test_task_that_kills_its_workers_is_named_and_the_rest_goes_on(pool, tmp_path):
    results = dict(pool.run(DiesAlways(tmp_path), list(NUMBERS)))
    error = results.pop(3)
    assert isinstance(error, WorkerDiedError)
    assert str(error).startswith("3: ")
    assert results == {number: square for number, square in SQUARES.items() if number != 3}
    assert len((tmp_path / "deaths").read_text()) == 4  # twice among others, twice alone


def test_caller_that_stops_early_cancels_the_rest(pool, tmp_path):
    results = pool.run(Square(tmp_path), list(range(1000)))
    next(results)
    results.close()
    assert dict(pool.run(Square(tmp_path), list(NUMBERS))) == SQUARES


def test_few_tasks_are_in_the_hands_of_the_scheduler(pool, tmp_path):
    results = pool.run(Sleeps(tmp_path, seconds=0.02), list(range(100)))
    next(results)
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) <= 5
    results.close()


def test_interruption_cancels_and_leaves_the_pool_usable(pool, tmp_path):
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(pool.run(Sleeps(tmp_path, seconds=1), list(range(100))))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(list(tmp_path.iterdir())) <= 4
    assert dict(pool.run(Square(tmp_path), list(NUMBERS))) == SQUARES


def test_missing_path_names_the_worker(pool, tmp_path):
    pool.check_paths([str(tmp_path)])
    with pytest.raises(ClusterError, match=r"worker tcp://.* does not see .*gone.zarr"):
        pool.check_paths([str(tmp_path), str(tmp_path / "gone.zarr")])


def test_scheduler_that_does_not_answer_is_an_error():
    with (
        pytest.raises(ClusterError, match=r"tcp://127.0.0.1:1: no Dask scheduler answers"),
        open_pool("tcp://127.0.0.1:1", connect_s=1),
    ):
        pass


def test_existing_scheduler_is_shared(pool, tmp_path):
    with open_pool(pool.client.scheduler.address) as other:
        assert other.plans == ()
        assert dict(other.run(Square(tmp_path), list(NUMBERS))) == SQUARES
    assert dict(pool.run(Square(tmp_path), list(NUMBERS))) == SQUARES


def test_unknown_cluster_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match="neither"), open_pool("nonsense"):
        pass


def test_missing_dask_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingExtraError, match=r"in-silico-labeling\[cluster\]"),
        open_pool("local:2"),
    ):
        pass


def test_import_needs_no_dask():
    code = "import sys, isl, isl.inference.cluster as c; sys.exit('distributed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


SCRIPT = """
import signal
import sys
from pathlib import Path
from cluster_work import Sleeps
from isl.inference.cluster import open_pool
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run unattended
    with open_pool("local:2") as pool:
        list(pool.run(Sleeps(Path(sys.argv[1]), seconds=60), list(range(9))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_process_leaves_no_orphans_and_says_little(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    started = tmp_path / "started"
    started.mkdir()
    run = subprocess.Popen(
        [sys.executable, str(script), str(started)],
        env=os.environ | {"PYTHONPATH": os.path.dirname(__file__)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(list(started.iterdir())) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    workers = workers_of(psutil.Process(run.pid))
    assert len(workers) == 2
    sent = time.monotonic()
    # A terminal sends Ctrl-C to the workers too; SIGKILL hits the main process alone.
    (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
    _, errors = run.communicate(timeout=20)
    assert time.monotonic() - sent < 10
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    if number == signal.SIGINT:
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
