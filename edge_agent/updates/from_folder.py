"""Bytes from a folder, such as a stick: through the same door as those over http.

Rules: nothing outside of the folder is read, whatever links it holds; nothing but a plain file is
opened, so that a pipe or a device on a stranger's stick cannot hang or feed us.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from edge_agent.updates.failures import NotServed, Unreachable
from edge_agent.updates.opened import Opened

PIECE = 256 * 1024
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG)


class FolderOpener:
    """Answers `file:` addresses that lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, url: str, start: int = 0) -> Iterator[Opened]:
        path = Path(unquote(urlsplit(url).path))
        with self._plain(path) as file:
            file.seek(start)
            yield Opened(start, _pieces(file, path))

    def close(self) -> None:
        """Nothing is kept open between two files."""

    def _plain(self, path: Path) -> BinaryIO:
        try:
            root = os.path.realpath(self._folder)
            real = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError at a circle
            if not real.is_relative_to(root):
                raise _absent(path, "lies outside of the repository")
            handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise _absent(path, "is no plain file")
        except OSError as fault:
            if fault.errno in _ABSENT and self._folder.is_dir():
                raise _absent(path, "is not there") from fault
            raise _failed(path, fault) from fault
        return os.fdopen(handle, "rb")


def _pieces(file: BinaryIO, path: Path) -> Iterator[bytes]:
    while True:
        try:
            piece = file.read(PIECE)
        except OSError as fault:
            raise _failed(path, fault) from fault
        if not piece:
            return
        yield piece


def _absent(path: Path, why: str) -> NotServed:
    return NotServed(f"{path} {why}", "check that the repository was copied whole", 404)


def _failed(path: Path, fault: OSError) -> Unreachable:
    reason = os.strerror(fault.errno) if fault.errno else str(fault)
    return Unreachable(
        f"{path} failed ({reason}): was the stick pulled out?", "plug it in and repeat the command"
    )
