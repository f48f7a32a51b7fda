"""Entry point of ``isl`` and of ``python -m isl``."""

from __future__ import annotations

import os
import sys

INTERRUPTED, TERMINATED = 130, 143


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    try:
        from isl.cli.app import run
    except KeyboardInterrupt:  # before the command line could take care of it
        sys.exit(INTERRUPTED)
    code = run()
    if code in (INTERRUPTED, TERMINATED):
        # Threads of libraries that were interrupted complain while the interpreter winds down.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
