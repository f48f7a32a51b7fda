from __future__ import annotations

from isl.inference.spending import Spending, Spent
from isl.io.remote_retry import Traffic


def test_processes_that_read_at_the_same_time_share_the_seconds():
    spending = Spending()
    spending.add(Spent(("a", 1), 10.0, 4.0, Traffic(100, 3.0, 1)))
    spending.add(Spent(("a", 1), 10.0, 4.0, Traffic(100, 3.0, 0)))
    spending.add(Spent(("b", 1), 20.0, 1.0, Traffic(50, 5.0, 2)))
    assert spending.traffic == Traffic(250, 6.0, 3)
    assert spending.seconds == 40.0
    assert spending.waited_s == 9.0


def test_nothing_costs_nothing():
    assert Spending().traffic == Traffic()
