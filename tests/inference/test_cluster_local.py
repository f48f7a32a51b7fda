"""Worker processes of this machine, while they start."""

from __future__ import annotations

import signal
import sys
import time

import pytest

pytest.importorskip("distributed")

from isl.inference import cluster_local


@pytest.mark.skipif(sys.platform == "win32", reason="needs an alarm")
def test_a_cluster_that_is_interrupted_while_it_starts_is_closed(monkeypatch):
    seen = []

    class SlowCluster:
        def __init__(self, *args, **options):
            time.sleep(0.3)
            seen.append("started")

        def close(self):
            seen.append("closed")

    monkeypatch.setattr(cluster_local, "SpecCluster", SlowCluster)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt), cluster_local.local_processes(1):
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == ["started", "closed"]
