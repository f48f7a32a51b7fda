"""Worker processes of this machine, while they start."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

pytest.importorskip("distributed")

from isl.inference import cluster_local

pytestmark = pytest.mark.concurrent


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to a thread")
def test_a_cluster_that_is_interrupted_while_it_starts_is_closed(monkeypatch):
    seen, heard = [], threading.Event()

    class SlowCluster:
        def __init__(self, *args, **options):
            while not heard.wait(0.05):  # a signal that comes just before a wait does not end it
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            seen.append("started")

        def close(self):
            seen.append("closed")

    def interrupt(number, frame):
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(cluster_local, "SpecCluster", SlowCluster)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), cluster_local.local_processes(1):
            pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == ["started", "closed"]
