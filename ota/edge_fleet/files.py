"""What the disk refuses to keys and repositories, each in one sentence.

Read `repository.py` next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.errors import NoRoom, ReadOnly, UsageError, kind_of


@contextmanager
def files_errors(folder: Path) -> Iterator[None]:
    """Raise NoRoom or UsageError for what the disk refuses inside."""
    try:
        yield
    except OSError as fault:
        path = fault.filename if isinstance(fault.filename, str) else folder
        kind = kind_of(fault)
        if kind is NoRoom:
            raise NoRoom(f"no space is left for {path}", "free some space; see: df -h") from fault
        if kind is ReadOnly:
            raise ReadOnly(f"{path} is on a disk that can only be read", "name another") from fault
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        raise UsageError(f"{path}: {reason}", "check the folder and who may write there") from fault
