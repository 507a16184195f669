"""Is there room for a target? Asked before its first byte."""

from __future__ import annotations

import os
from pathlib import Path

from edge_agent.errors import NoRoom
from edge_agent.updates.budget import MB

MEMINFO = Path("/proc/meminfo")


def require_space(folder: Path, size: int, free_mb: float) -> None:
    """Raise NoRoom unless `size` more bytes leave `free_mb` of the disk to others."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if size + free_mb * MB > free:
        raise NoRoom(
            f"{size / MB:.1f} MB are needed on the disk of {folder}, {free / MB:.1f} MB are free "
            f"and {free_mb:g} MB are left to others",
            "free some: df -h; edge-agent models remove",
        )


def require_memory(size: int, meminfo: Path = MEMINFO) -> None:
    """Raise NoRoom where less memory is to be had than the file itself takes, once loaded."""
    available = _available(meminfo)
    if available is not None and size > available:
        raise NoRoom(
            f"{size / MB:.1f} MB of memory are needed for it, {available / MB:.1f} MB are there",
            "stop what else runs on this board, or publish a smaller model",
        )


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None  # no Linux, or a sandbox that hides it
    found = next((line.split() for line in lines if line.startswith("MemAvailable:")), None)
    return int(found[1]) * 1024 if found else None
