"""Files that are whole or not there, also after a power cut; and one at a time who changes them.

    .part.<name>   what is being written: its end says what kind of file it is. No reader takes one
    <name>         complete

Rules: written beside its name, then renamed. What must outlive a power cut is synced before, and
its folder's entry behind it. Everything raises OSError as the disk says it, and leaves what was
there before; who calls makes a sentence of it (`disk_errors`, `stick_errors`, `files_errors`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: What is not finished begins with it.
DRAFT = ".part."
#: Some drivers of sticks (FUSE) cannot sync a folder.
_UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_LOOK_S = 0.02


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write what is yielded; it becomes `path`. Not synced: of what can be made again."""
    draft = path.with_name(DRAFT + path.name)
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        with suppress(OSError):  # the first refusal is what is told
            draft.unlink(missing_ok=True)
        raise


@contextmanager
def durable(path: Path) -> Iterator[Path]:
    """The same, and on the disk before it returns."""
    with whole(path) as draft:
        yield draft
        sync(draft)
    sync_folder(path.parent)


def write_durably(path: Path, content: bytes, mode: int = 0o666) -> None:
    """A file with these bytes, of this mode less the umask from its first byte on."""
    with durable(path) as draft:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, mode), "wb") as file:
            file.write(content)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """A JSON document; missing folders are made."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    make_folder(path.parent)
    write_durably(path, text.encode())


def read_document(path: Path) -> dict[str, Any]:
    """Empty where it is absent or damaged: every reader must do without it."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def make_folder(path: Path, mode: int = 0o777) -> None:
    """With its parents, each on the disk before what comes into it."""
    if path.is_dir():
        return
    if path.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    make_folder(path.parent)
    path.mkdir(mode, exist_ok=True)
    sync_folder(path.parent)


def sync(path: Path) -> None:
    """The bytes of a file are on the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(path: Path) -> None:
    """The names in a folder are on the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    except OSError as fault:
        if fault.errno not in _UNSYNCABLE:
            raise
        os.sync()
    finally:
        os.close(folder)


@contextmanager
def locked(folder: Path, patience_s: float, taken: Exception) -> Iterator[None]:
    """Hold a folder against other processes and threads; it ends with the process, however.

    Raises `taken` where somebody else still holds it after `patience_s`.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + patience_s
        while not _is_locked(handle):
            if time.monotonic() > until:
                raise taken
            time.sleep(_LOOK_S)
        yield
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
