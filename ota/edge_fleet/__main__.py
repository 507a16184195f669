"""The command `edge-fleet`: runs it and turns every error into one sentence and an exit code."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Entry point of the console script and of `python -m edge_fleet`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from edge_agent.cli import obey
    from edge_fleet.cli import root

    sys.exit(obey(sys.argv[1:], root, "edge-fleet"))


if __name__ == "__main__":
    main()
