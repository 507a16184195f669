"""What the disk refuses to checks and downloads, each in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.errors import NoRoom, UsageError, kind_of

_FORBIDDEN = (errno.EACCES, errno.EPERM)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the disk refuses inside as NoRoom, UsageError or EdgeError."""
    try:
        yield
    except OSError as fault:
        where = fault.filename if isinstance(fault.filename, str) else path
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        kind = kind_of(fault)
        if kind is NoRoom:
            raise NoRoom(f"no space is left on the disk of {where}", "free some: df -h") from fault
        if fault.errno in _FORBIDDEN:
            raise UsageError(
                f"{where}: {reason}",
                "run as the user whom the state directory belongs to, or name another with --state",
            ) from fault
        raise kind(f"{where}: {reason}", "look at the end of dmesg") from fault
