"""Files of keys and repositories: each is there whole or not at all, and stays after a power cut.

Rule: written beside its name, synced, renamed, and the folder synced. What the disk refuses becomes
a sentence. Read `repository.py` next.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.errors import EdgeError, NoRoom, ReadOnly, UsageError, kind_of
from edge_agent.host.removable import sync_folder

#: Of a file that is not finished; no reader looks at one.
DRAFT = ".part"


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


def make_folder(path: Path) -> None:
    """Make it and its parents, each on the disk before the next. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Raises OSError; then what was there before is there."""
    draft = path.with_name(path.name + DRAFT)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def locked(folder: Path, taken: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a folder against other processes; the kernel lets go when this one ends, however.

    Raises EdgeError with `taken` where somebody else still holds it after `patience_s`.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + patience_s
        while not _lock(handle):
            if time.monotonic() >= until:
                raise EdgeError(taken, "only one may at a time: wait for it, or stop it")
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
