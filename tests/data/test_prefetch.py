import threading
import time
from contextlib import closing

import pytest

from isl.data.prefetch import Prefetcher, WaitShare


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order(threads):
    def make(step):
        time.sleep(0.002 * (step % 3))
        return step

    with closing(Prefetcher(make, 5, threads)) as results:
        assert [next(results) for _ in range(20)] == list(range(5, 25))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_ahead_by_twice_their_number_and_no_further(threads):
    begun = []
    with closing(Prefetcher(lambda step: begun.append(step), 0, threads)) as results:
        for _ in range(4):
            next(results)
        time.sleep(0.1)
        assert sorted(begun) == list(range(4 + 2 * threads))


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_where_its_result_was_due(threads):
    def make(step):
        if step == 2:
            raise OSError("the disk is gone")
        return step

    results = Prefetcher(make, 0, threads)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="disk is gone"):
        next(results)
    _wait_for_the_end_of_threads()


@pytest.mark.parametrize("how", ["close", "error"])
def test_threads_end(how):
    before = threading.active_count()
    results = Prefetcher(lambda step: step, 0, 2)
    next(results)
    assert threading.active_count() > before
    if how == "close":
        results.close()
        results.close()
    else:
        with pytest.raises(KeyError), closing(results):
            raise KeyError
    _wait_for_the_end_of_threads()
    assert threading.active_count() == before


def _wait_for_the_end_of_threads():
    end = time.monotonic() + 5
    while any(t.name.startswith("isl-loader") for t in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_waiting_is_measured():
    with closing(Prefetcher(lambda step: time.sleep(0.05), 0, 0)) as slow:
        next(slow)
        assert slow.waited >= 0.05
    with closing(Prefetcher(lambda step: step, 0, 1)) as quick:
        next(quick)
        time.sleep(0.1)
        next(quick)
        assert quick.waited < 0.05


def test_share_of_waiting():
    share = WaitShare()
    assert share.value == 0.0
    share.add(1.0, 3.0)
    share.add(0.0, 6.0)
    assert share.value == pytest.approx(0.1)
