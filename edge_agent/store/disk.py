"""The disk: what it may answer, each in one sentence.

Rules: `disk_errors` goes around everything that touches the database or a file of the store; it
turns what an operator can do something about into an `EdgeError` and lets our own mistakes (a
broken statement, a violated constraint) pass as they are. Read `db.py` next.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.durable import make_folder, write_durably
from edge_agent.errors import Damaged, EdgeError, NoRoom, ReadOnly, UsageError, kind_of

_FORBIDDEN = {errno.EACCES, errno.EPERM}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise NoRoom, UsageError or EdgeError, naming `path`, for what the disk refuses inside."""
    try:
        yield
    except sqlite3.Error as error:
        clear = _of_sqlite(error, path)
        if clear is None:
            raise
        raise clear from error
    except OSError as error:
        raise _of_system(error, path) from error


def store_file(path: Path, content: bytes) -> None:
    """A file of the state, durably; missing folders are made. Raises as `disk_errors` does."""
    with disk_errors(path):
        make_folder(path.parent)
        write_durably(path, content)


def check_writable(path: Path) -> None:
    """Raise OSError when the file or folder cannot be written (SQLite would open it to read)."""
    if os.access(path, os.W_OK):
        return
    read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    number = errno.EROFS if read_only else errno.EACCES
    raise OSError(number, os.strerror(number), str(path))


def _of_sqlite(error: sqlite3.Error, path: Path) -> EdgeError | None:
    """https://sqlite.org/rescode.html; None where the fault is ours."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return _no_room(path)
        case sqlite3.SQLITE_IOERR if is_full(path):
            return _no_room(path)
        case sqlite3.SQLITE_IOERR:
            return EdgeError(f"the disk failed at {path}: {error}", "look at the end of dmesg")
        case sqlite3.SQLITE_READONLY:
            return _read_only(path)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return EdgeError(
                f"{path} cannot be opened: {error}",
                "check its permissions, or name another state directory with --state",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EdgeError(f"another program keeps {path} locked", f"find it with: fuser {path}")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Damaged(
                f"{path} is damaged: {error}",
                "start the agent: it sets the file aside and carries over what can be read",
            )
    return None


def _of_system(error: OSError, path: Path) -> EdgeError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    path = Path(error.filename) if isinstance(error.filename, str) else path
    kind = kind_of(error)
    if kind is NoRoom:
        return _no_room(path)
    if kind is ReadOnly:
        return _read_only(path)
    if error.errno in _FORBIDDEN:
        return UsageError(
            f"{path}: {reason}",
            "run as the user whom it belongs to, or name another state directory with --state",
        )
    return UsageError(f"{path}: {reason}", "name another state directory with --state")


def _read_only(path: Path) -> ReadOnly:
    return ReadOnly(
        f"{path} is on a disk that can only be read",
        "make the disk writable, or name another state directory with --state",
    )


def _no_room(path: Path) -> NoRoom:
    return NoRoom(f"no space is left on the disk of {path}", "free some space; see: df -h")


def is_full(path: Path) -> bool:
    """Not even the index of a log has room: SQLite calls that an I/O error."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize < 64 * 1024
