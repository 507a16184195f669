"""When this package was built: no clock is right that says it is earlier.

The build writes it into the wheel (`tools/built.py`); a checkout has the date of its files instead.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

FILE = "_built.txt"


def built() -> float:
    """Seconds since the epoch."""
    file = resources.files("edge_agent") / FILE
    try:
        return float(file.read_text("utf-8"))
    except (OSError, ValueError):
        return Path(__file__).stat().st_mtime
