"""The command `edge-agent`: runs it and turns every error into one sentence and an exit code."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Entry point of the console script and of `python -m edge_agent`."""
    # FFmpeg and OpenCV write to stderr by themselves; what matters we say in our own words.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # A name that the terminal's encoding does not have is shown by its number, not by a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from edge_agent.cli import obey

    sys.exit(obey(sys.argv[1:]))


if __name__ == "__main__":
    main()
