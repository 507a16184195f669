"""What the processes of this program cost: memory, CPU time, bytes written. Linux's /proc.

PSS counts shared pages by their share, so a tree of processes adds up to what it really takes.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def pss_mb() -> float:
    """Proportional set size of this process and its children, MB; 0.0 where /proc is absent."""
    return sum(_pss_kb(pid) for pid in _tree(os.getpid())) / 1024


def cpu_s() -> float:
    """CPU seconds of this process, its threads, and its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def written_mb() -> float:
    """MB that this process sent towards the disk (page cache included)."""
    try:
        lines = (_PROC / "self/io").read_text().splitlines()
    except OSError:
        return 0.0
    fields = dict(line.split(": ") for line in lines)
    return int(fields.get("write_bytes", 0)) / 1e6


def _pss_kb(pid: int) -> int:
    try:
        for line in (_PROC / f"{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0  # it ended meanwhile, or the kernel has no such file
    return 0


def _tree(root: int) -> list[int]:
    """`root` and everything below it."""
    found = [root]
    for pid in found:
        for task in (_PROC / f"{pid}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue  # the thread ended between the listing and the reading
    return found
