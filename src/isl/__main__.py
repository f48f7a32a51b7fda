"""Entry point of ``isl`` and of ``python -m isl``."""

from __future__ import annotations

import sys

from isl.cli.app import run


def main() -> None:
    """Run the command line of this process and end with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
