import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil
import pytest
from cluster_work import (
    BadImage,
    Blocks,
    Bug,
    DiesAlways,
    DiesOnce,
    Remembers,
    Square,
    Tells,
    UnportableError,
    Waits,
    Warns,
)

from isl.core.errors import ClusterError, ConfigError, DataError, MissingExtraError, WorkerDiedError
from isl.inference.cluster import open_pool

pytestmark = pytest.mark.concurrent

NUMBERS = range(8)
SQUARES = {number: number**2 for number in NUMBERS}


@pytest.fixture(scope="module")
def pool():
    with open_pool("local:2") as opened:
        yield opened


def wait_for(happened):
    """Wait for something that other threads or processes do, for as long as a test may take."""
    give_up = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < give_up, "it has not happened"
        time.sleep(0.01)


def workers_of(process):
    """Processes that run workers; Python's tracker of resources is none."""
    found = []
    for each in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended, or is a zombie
            if "spawn_main" in " ".join(each.cmdline()):
                found.append(each)
    return found


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
    list(pool.run(Warns(tmp_path), list(NUMBERS)))  # what a task says comes before its result
    (record,) = [r for r in caplog.records if r.getMessage() == "a doubt about 3"]
    assert record.levelno == logging.WARNING
    assert record.name == "isl.inference.somewhere"


def test_killed_worker_costs_nothing_but_time(pool, tmp_path):
    assert dict(pool.run(DiesOnce(tmp_path), list(NUMBERS))) == SQUARES
    assert (tmp_path / "died").exists()


def test_what_a_killed_worker_had_done_is_not_lost(pool, tmp_path):
    """Tasks are done, and nobody has asked for their results, when their worker dies."""
    results = pool.run(Tells(tmp_path), list(NUMBERS))
    first = next(results)
    wait_for(lambda: len(list(tmp_path.iterdir())) >= 2)
    for pid in {int(path.read_text()) for path in tmp_path.iterdir()}:
        os.kill(pid, signal.SIGKILL)
    assert dict([first, *results]) == SQUARES


def test_worker_killed_while_it_starts_is_started_anew(tmp_path):
    """A process is there long before it knows the scheduler."""
    killed, here = [], psutil.Process()
    before = workers_of(here)

    def kill():
        wait_for(lambda: set(workers_of(here)) - set(before))
        killed.extend(set(workers_of(here)) - set(before))
        for process in killed:
            process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with open_pool("local:2") as started:
        thread.join()
        assert killed
        assert dict(started.run(Square(tmp_path), list(NUMBERS))) == SQUARES


@pytest.mark.slow
def test_workers_come_back_however_often_they_die(pool, tmp_path):
    """Dask ends a nanny whose process is not there 15 s after it has died."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        results = dict(pool.run(DiesAlways(folder), list(NUMBERS)))
        assert isinstance(results[3], WorkerDiedError)
    wait_for(lambda: pool.workers == 2)


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
    results = pool.run(Tells(tmp_path), list(range(100)))
    next(results)
    # Workers take tasks in order: once these are done, those of the first run are.
    assert dict(pool.run(Square(tmp_path), list(NUMBERS))) == SQUARES
    assert 1 <= len(list(tmp_path.iterdir())) <= 4
    results.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to a thread")
def test_interruption_cancels_and_leaves_the_pool_usable(pool, tmp_path):
    def interrupt():
        wait_for(lambda: any(tmp_path.iterdir()))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(pool.run(Waits(tmp_path), list(range(100))))
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    (tmp_path / "go").touch()
    assert dict(pool.run(Square(tmp_path), list(NUMBERS))) == SQUARES
    assert len({path.name for path in tmp_path.iterdir()} - {"go"}) <= 4


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


def test_runs_of_one_pool_do_not_meet(pool, tmp_path):
    given_up = pool.run(Square(tmp_path), list(range(1000)))
    next(given_up)
    others = pool.run(Square(tmp_path), list(NUMBERS))
    first = next(others)
    given_up.close()
    assert dict([first, *others]) == SQUARES


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
        list(pool.run(Sleeps(Path(sys.argv[1]), seconds=600), list(range(9))))
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
    wait_for(lambda: run.poll() is not None or len(list(started.iterdir())) == 2)
    assert run.poll() is None
    workers = workers_of(psutil.Process(run.pid))
    assert len(workers) == 2
    # A terminal sends Ctrl-C to the workers too; SIGKILL hits the main process alone.
    (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
    _, errors = run.communicate(timeout=60)  # far less than a task takes
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    if number == signal.SIGINT:
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
