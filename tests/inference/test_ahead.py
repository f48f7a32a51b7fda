from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from isl.inference.ahead import Ahead


def test_results_come_in_order():
    with closing(Ahead(iter(range(50)), depth=2)) as numbers:
        assert list(numbers) == list(range(50))


def test_the_thread_is_no_further_ahead_than_asked_for():
    made = []

    def make():
        for number in range(10):
            made.append(number)
            yield number

    with closing(Ahead(make(), depth=2)) as numbers:
        next(numbers)
        time.sleep(0.1)
        assert made == [0, 1, 2]


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
    before = threading.active_count()
    with closing(Ahead(iter(range(1000)), depth=1)) as numbers:
        next(numbers)
    assert threading.active_count() == before
    assert list(numbers) == []


def test_waiting_is_counted():
    def make():
        time.sleep(0.05)
        yield 1

    with closing(Ahead(make(), depth=1)) as numbers:
        next(numbers)
        assert numbers.waited > 0.02
