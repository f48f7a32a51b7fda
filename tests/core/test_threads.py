"""Threads are waited for when the block that began them is interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from isl.core.threads import threads_ended, to_the_end

pytestmark = pytest.mark.concurrent


def test_threads_that_were_begun_in_a_block_end_before_its_error_goes_on():
    done, raised = [], threading.Event()

    def work():
        raised.wait()
        done.extend(number for number in range(10_000))

    def block():
        with threads_ended():
            threading.Thread(target=work).start()
            raised.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    assert len(done) == 10_000


def test_a_block_that_ends_well_waits_for_nobody():
    left = threading.Event()
    with threads_ended():
        thread = threading.Thread(target=left.wait)
        thread.start()
    left.set()
    thread.join()


def test_threads_of_pools_and_those_begun_before_are_not_waited_for():
    left = threading.Event()
    before = threading.Thread(target=left.wait)
    before.start()
    with ThreadPoolExecutor(1) as pool:

        def work():
            with threads_ended():
                pool.submit(left.wait)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
        left.set()
    before.join()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to a thread")
def test_what_is_done_to_the_end_is_waited_for_when_interrupted():
    """As a library does: the main thread hears of the interruption while another one writes."""
    heard, written = threading.Event(), []

    def write(text):
        while not heard.wait(0.05):  # a signal that comes just before a wait does not end it
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        written.append(text)

    def interrupt(number, frame):
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            to_the_end(write, "whole")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert written == ["whole"]
    assert to_the_end(len, "four") == 4
