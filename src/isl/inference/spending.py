"""What tasks have cost the processes that did them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from isl.io.remote_retry import Traffic


@dataclass(frozen=True)
class Spent:
    """What a task has cost the process that did it.

    Attributes
    ----------
    process
        Host and number of the process.
    seconds
        Wall time.
    waited_s
        Seconds of it that the network waited for what is read.
    traffic
        What came from addresses.
    """

    process: tuple[str, int] = ("", 0)
    seconds: float = 0.0
    waited_s: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)


@dataclass
class Spending:
    """What tasks have cost the processes that did them."""

    _costs: list[Spent] = field(default_factory=list)

    def add(self, spent: Spent) -> None:
        """Count a task."""
        self._costs.append(spent)

    @property
    def seconds(self) -> float:
        """Seconds of all processes together."""
        return sum(each.seconds for each in self._costs)

    @property
    def waited_s(self) -> float:
        """Seconds that their networks waited for what is read."""
        return sum(each.waited_s for each in self._costs)

    @property
    def traffic(self) -> Traffic:
        """What came to all; its seconds are those of the process that had most of them."""
        seconds: defaultdict[tuple[str, int], float] = defaultdict(float)
        for each in self._costs:
            seconds[each.process] += each.traffic.seconds
        return Traffic(
            sum(each.traffic.bytes for each in self._costs),
            max(seconds.values(), default=0.0),
            sum(each.traffic.retries for each in self._costs),
        )
