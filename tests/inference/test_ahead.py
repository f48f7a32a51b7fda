from __future__ import annotations

import threading
from contextlib import closing

import pytest

from isl.inference.ahead import Ahead

pytestmark = pytest.mark.concurrent


def test_results_come_in_order():
    with closing(Ahead(iter(range(50)), depth=2)) as numbers:
        assert list(numbers) == list(range(50))


def test_the_thread_is_as_far_ahead_as_asked_for_and_no_further():
    asked, ahead, is_ahead = 0, [], threading.Event()

    def make():
        for number in range(100):
            ahead.append(number - asked)
            if number == 1:
                is_ahead.set()
            yield number

    with closing(Ahead(make(), depth=2)) as numbers:
        is_ahead.wait()  # nobody has asked for anything
        for _ in range(100):
            asked += 1
            next(numbers)
    assert max(ahead) == 1  # of two results, the one that it works on included


def test_an_error_is_raised_where_its_result_was_due():
    def make():
        yield 1
        raise LookupError("no more")

    with closing(Ahead(make(), depth=3)) as numbers:
        assert next(numbers) == 1
        with pytest.raises(LookupError, match="no more"):
            next(numbers)
        assert list(numbers) == []


def test_closing_ends_the_thread():
    before = set(threading.enumerate())
    with closing(Ahead(iter(range(1000)), depth=1)) as numbers:
        (thread,) = set(threading.enumerate()) - before
        next(numbers)
    assert not thread.is_alive()
    assert list(numbers) == []


def test_waiting_is_counted():
    times = iter([1.0, 1.5, 7.0, 7.25])
    with closing(Ahead(iter("ab"), depth=1, clock=times.__next__)) as letters:
        next(letters)
        next(letters)
        assert letters.waited == 0.75
