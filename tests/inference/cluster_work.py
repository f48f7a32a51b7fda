"""Work for worker processes, which import it by name."""

import logging
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from isl.core.errors import DataError, IslError


class ErrorWithCode(IslError):
    """An error that pickle cannot restore."""

    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Square:
    """Squares a number; what it does at 3 is up to each subclass."""

    folder: Path
    seconds: float = 0
    calls: list = field(default_factory=list)

    def __call__(self, number):
        self.calls.append(number)
        if number == 3:
            self.at_three()
        return number**2

    def at_three(self):
        pass


class DiesOnce(Square):
    def at_three(self):
        marker = self.folder / "died"
        if not marker.exists():
            marker.touch()
            die()


class DiesAlways(Square):
    def at_three(self):
        with open(self.folder / "deaths", "a") as file:
            file.write("x")
        die()


class BadImage(Square):
    def at_three(self):
        raise DataError("B/03/3: all planes are blank")


class UnportableError(Square):
    def at_three(self):
        raise ErrorWithCode(7, "disk full")


class Bug(Square):
    def at_three(self):
        raise ZeroDivisionError("what a pity")


class Warns(Square):
    def at_three(self):
        logging.getLogger("isl.inference.somewhere").warning("a doubt about %d", 3)


class Sleeps(Square):
    def __call__(self, number):
        (self.folder / str(number)).touch()
        time.sleep(self.seconds)


class Tells(Square):
    """Leaves the number of the process at the end of each task."""

    def __call__(self, number):
        (self.folder / str(number)).write_text(str(os.getpid()))
        return number**2


class Waits(Square):
    """Begins, and ends once there is a file ``go``."""

    def __call__(self, number):
        (self.folder / str(number)).touch()
        while not (self.folder / "go").exists():
            time.sleep(0.01)


class Remembers(Square):
    """Says how many tasks this copy has done, in which process and with how many threads."""

    def __call__(self, number):
        self.calls.append(number)
        return os.getpid(), len(self.calls), os.environ["OMP_NUM_THREADS"]

    def close(self):
        (self.folder / f"closed-{os.getpid()}").write_text(str(len(self.calls)))


class Blocks(Square):
    """Says whether this process blocks Ctrl-C."""

    def __call__(self, number):
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
