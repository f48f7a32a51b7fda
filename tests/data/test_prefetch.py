import threading
import time
from contextlib import closing

import pytest

from isl.data.prefetch import Prefetcher, WaitShare

pytestmark = pytest.mark.concurrent


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order(threads):
    def make(step):
        time.sleep(0.002 * (step % 3))
        return step

    with closing(Prefetcher(make, 5, threads)) as results:
        assert [next(results) for _ in range(20)] == list(range(5, 25))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_ahead_by_twice_their_number_and_no_further(threads):
    depth, asked, ahead = 2 * threads, 0, []
    is_ahead = threading.Event()

    def make(step):
        ahead.append(step - asked)
        if step == depth:
            is_ahead.set()

    with closing(Prefetcher(make, 0, threads)) as results:
        asked = 1
        next(results)
        is_ahead.wait()  # nobody has asked for more
        for _ in range(50):
            asked += 1
            next(results)
    assert max(ahead) == depth - 1


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
    results = Prefetcher(lambda step: step, 0, 2)
    next(results)
    assert loaders()
    if how == "close":
        results.close()
        results.close()
    else:
        with pytest.raises(KeyError), closing(results):
            raise KeyError
    _wait_for_the_end_of_threads()


def loaders():
    return [t for t in threading.enumerate() if t.name.startswith("isl-loader")]


def _wait_for_the_end_of_threads():
    for thread in loaders():
        thread.join(60)
    assert not loaders()


@pytest.mark.parametrize("threads", [0, 1])
def test_waiting_for_the_last_result_is_measured(threads):
    times = iter([1.0, 1.5, 7.0, 7.25])
    with closing(Prefetcher(lambda step: step, 0, threads, times.__next__)) as results:
        next(results)
        assert results.waited == 0.5
        next(results)
        assert results.waited == 0.25


def test_share_of_waiting():
    share = WaitShare()
    assert share.value == 0.0
    share.add(1.0, 3.0)
    share.add(0.0, 6.0)
    assert share.value == pytest.approx(0.1)
