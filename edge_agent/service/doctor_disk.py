"""Is there room, and does the disk write fast enough?

Where the state directory is not there yet, the folder above it is looked at, and nothing written.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from edge_agent.service.doctor_finding import Case, Said, fail, ok, shell, warn

#: Below the first the agent will soon stop keeping events, below the second at once.
LITTLE, NONE_LEFT = 256_000_000, 16_000_000
#: So many small writes, each on the disk before the next, as the commits of events are.
WRITES, BLOCK = 16, 4096
SECONDS = 8.0
#: An alert takes two commits. Beyond the first they are noticed, beyond the second they hold up.
SLOW_S, STUCK_S = 0.1, 1.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


def disk(case: Case) -> Iterator[Said]:
    """Free space and inodes where the state lies; how long a small durable write takes there."""
    folder = existing(case.state)
    found = os.statvfs(folder)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    about = f"{_room(free)} of {_room(size)} are free at {folder}"
    room = f"make room; the largest first: sudo du -xh {shell(folder)} | sort -h | tail"
    if found.f_files and not found.f_favail:
        yield fail(f"no inode is left at {folder}: no file can be made there", room)
        return
    if found.f_flag & os.ST_RDONLY:
        remount = f"look at why (dmesg | tail), then: sudo mount -o remount,rw {_mount(folder)}"
        yield fail(f"{folder} can only be read", remount)
        return
    if free < NONE_LEFT:
        yield fail(f"{about}: full", room)
        return
    yield warn(f"{about}: little", room) if free < LITTLE else ok(about)
    if folder == case.state and os.access(folder, os.W_OK):
        yield _written(folder, room)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def durable_writes(folder: Path, count: int = WRITES) -> list[float]:
    """Seconds that each of some small writes took until it was on the disk. Raises OSError."""
    took: list[float] = []
    began = perf_counter()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:  # nameless: nothing is left
        while len(took) < count and perf_counter() - began < SECONDS:
            start = perf_counter()
            file.write(os.urandom(BLOCK))
            os.fsync(file.fileno())
            took.append(perf_counter() - start)
    return sorted(took)


# --- below ---------------------------------------------------------------------------------------


def _written(folder: Path, room: str) -> Said:
    part = "write"
    try:
        took = durable_writes(folder)
    except OSError as fault:
        if fault.errno in _FULL:
            return fail(f"nothing more can be written to {folder}: it is full", room, part)
        return fail(f"{folder} cannot be written: {fault.strerror}", "sudo dmesg | tail", part)
    middle, longest = took[len(took) // 2], took[-1]
    about = f"a durable write takes {1000 * middle:.1f} ms, at most {1000 * longest:.1f} ms"
    worn = "another program writes a lot (sudo iotop -o), or the card is worn out: replace it"
    if middle > STUCK_S:
        return fail(f"{about}: far too slow", worn, part)
    if middle > SLOW_S or longest > STUCK_S:
        return warn(f"{about}: slow", worn, part)
    return ok(about, part)


def _room(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _mount(folder: Path) -> str:
    while not folder.is_mount():
        folder = folder.parent
    return shell(folder)
