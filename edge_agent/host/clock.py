"""The one clock of the agent: monotonic seconds plus an offset that is fixed at its start.

`now()` never steps, whatever NTP or a person does to the wall clock; a correction (`wall_offset`)
is applied only where RFC 3339 is written and a schedule is read. docs/decisions/0002-time.md.
Tests and simulations use `host/fake.py`, which does the same by hand.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Seconds: TypeAlias = Callable[[], float]

#: systemd-timesyncd makes this file once it has heard of a time server.
TIMESYNC = Path("/run/systemd/timesync/synchronized")
#: What adjtimex(2) returns when the kernel's clock is not kept by anyone.
_TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class Readings:
    """Where a clock takes its readings from; `synced`: does a time server keep the wall clock?"""

    monotonic: Seconds
    wall: Seconds
    synced: Callable[[], bool]


class Clock:
    """Seconds since the epoch that never step. Safe to use from any thread."""

    def __init__(self, readings: Readings | None = None) -> None:
        self._from = readings or Readings(time.monotonic, time.time, wall_is_synced)
        self._offset = self._from.wall() - self._from.monotonic()

    def now(self) -> float:
        """Seconds since the epoch as this start of the agent counts them."""
        return self._from.monotonic() + self._offset

    def wall_offset(self) -> float:
        """Seconds to add to `now()` to get the wall clock of this moment."""
        return self._from.wall() - self.now()

    def synced(self) -> bool:
        """True while a time server keeps the wall clock."""
        return self._from.synced()


def wall_is_synced(mark: Path = TIMESYNC) -> bool:
    """What the kernel says of its clock; else whether systemd-timesyncd has heard of a server.

    The kernel alone is not enough: it forgets after some hours without a server, and a sandbox
    may forbid the question.
    """
    return _kernel_clock_is_kept() or mark.exists()


def _kernel_clock_is_kept() -> bool:
    """adjtimex(2) with nothing to adjust. A system without it keeps no such record."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return False
    timex = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; `modes` 0 only reads
    answer: int = adjtimex(timex)
    return answer not in (-1, _TIME_ERROR)
