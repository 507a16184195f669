"""Files of the state that are there after a power cut, whole or not at all.

The same rules as `store/disk.py`, which is a sibling's: beside the name, synced, renamed, the
folder synced. Raises OSError, which `disk_errors` turns into a sentence.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Raises OSError; then the old one is still there."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def read_document(path: Path) -> dict[str, Any]:
    """Empty where it is absent or damaged: every reader must do without it."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def make_folder(path: Path) -> None:
    """With its parents, each on the disk before what comes into it. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
