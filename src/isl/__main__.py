"""Entry point of ``isl`` and of ``python -m isl``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    try:
        from isl.cli.app import run
    except KeyboardInterrupt:  # before the command line could take care of it
        sys.exit(130)
    sys.exit(run())


if __name__ == "__main__":
    main()
