"""Files on a stick: written whole and on the medium, or not there; read as a stranger's.

Rules: a file is written beside its name, synced, renamed, and the folder synced, so that a stick
that is pulled out holds the file or nothing of that name. What is read may come from anybody: no
link is followed, nothing but a plain file is opened, and never more than was asked for is read.
Everything the stick may answer becomes a sentence that names it. Read `service/stick.py` next.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.errors import EdgeError, NoRoom, ReadOnly, UsageError, kind_of

_FORBIDDEN = (errno.EACCES, errno.EPERM)


@contextmanager
def stick_errors(folder: Path) -> Iterator[None]:
    """Raise NoRoom, UsageError or EdgeError for what the stick refuses inside."""
    try:
        yield
    except OSError as fault:
        raise _explained(fault, folder) from fault


def require_folder(folder: Path) -> None:
    """Raise UsageError when it is not there: a stick that is not mounted must not fill the disk."""
    with stick_errors(folder):
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", "mount the stick, or name its folder")


def remove(path: Path, because: OSError | None = None) -> None:
    """Take it away. `because` is already on its way to the person and tells more than a second."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        if because is None:
            raise


def read_plain(path: Path, limit: int) -> bytes | None:
    """At most `limit` bytes of a plain file; None where it is absent, larger, or something else.

    Raises OSError where the medium fails.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        if fault.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
            return None
        raise
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        content = file.read(limit + 1)
    return content if len(content) <= limit else None


def _explained(fault: OSError, folder: Path) -> EdgeError:
    path = fault.filename if isinstance(fault.filename, str) else folder
    kind = kind_of(fault)
    if kind is NoRoom:
        return NoRoom(f"no space is left on {folder}", "free some, or take another stick")
    if kind is ReadOnly:
        return ReadOnly(f"{folder} can only be read", "mount it writable, or take another stick")
    if fault.errno in _FORBIDDEN:
        return UsageError(f"{path}: {os.strerror(fault.errno)}", "check who may write there")
    reason = os.strerror(fault.errno) if fault.errno else str(fault)
    return EdgeError(
        f"{folder} failed ({reason}): was the stick pulled out?",
        "plug it in and repeat the command: what is whole on it stays",
    )
