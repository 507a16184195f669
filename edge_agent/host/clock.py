"""The one clock of the agent: monotonic seconds plus an offset that is fixed at its start.

`now()` never steps, whatever NTP or a person does to the wall clock; the `correction` is applied
only where RFC 3339 is written and a schedule is read (`told`). docs/decisions/0002-time.md.
Tests and simulations use `host/fake.py`, which does the same by hand.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from edge_agent.frozen import frozen
from edge_agent.policy.correction import STEP_S, Correction

Seconds: TypeAlias = Callable[[], float]

#: systemd-timesyncd makes this file once it has heard of a time server.
TIMESYNC = Path("/run/systemd/timesync/synchronized")
#: Another one after each start of the machine.
KERNEL_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: What adjtimex(2) returns when the kernel's clock is not kept by anyone.
_TIME_ERROR = 5


@frozen
class Readings:
    """Where a clock takes its readings from; `synced`: does a time server keep the wall clock?"""

    monotonic: Seconds
    wall: Seconds
    synced: Callable[[], bool]


class Clock:
    """Seconds since the epoch that never step. Safe to use from any thread."""

    def __init__(self, readings: Readings | None = None) -> None:
        self._from = readings or Readings(time.monotonic, time.time, TimeServer())
        self._offset = self._from.wall() - self._from.monotonic()
        # Replaced as a whole, once the store has it.
        self.correction = Correction().heard(0.0, self._from.synced())

    def now(self) -> float:
        """Seconds since the epoch as this start of the agent counts them."""
        return self._from.monotonic() + self._offset

    def wall_offset(self) -> float:
        """Seconds to add to `now()` to get the wall clock of this moment."""
        return self._from.wall() - self.now()

    def synced(self) -> bool:
        """True while a time server keeps the wall clock."""
        return self._from.synced()

    @property
    def base(self) -> float:
        """What `now()` adds to the kernel's monotonic seconds, which count since its start."""
        return self._offset

    def told(self, time: float) -> float:
        """A moment of `now()` as others are told of it."""
        return time + self.correction.offset

    def listen(self) -> Correction:
        """The correction as the wall clock is now; it holds once it is put into `correction`."""
        return self.correction.heard(self.wall_offset(), self.synced())


class TimeServer:
    """Does a time server keep the wall clock? Ask about once a second.

    The kernel knows best, but forgets after some hours without a server, and a sandbox may forbid
    the question: then the mark of systemd-timesyncd tells. A mark that was there before somebody
    set the clock says nothing of the clock since.
    """

    def __init__(
        self,
        mark: Path = TIMESYNC,
        kernel: Callable[[], bool] | None = None,
        ahead: Seconds = lambda: time.time() - time.monotonic(),
    ) -> None:
        self._mark = mark
        self._kernel = kernel or _kernel_clock_is_kept
        self._ahead = ahead
        self._was_ahead = ahead()
        self._seen = self._touched()
        self._doubted: int | None = None

    def __call__(self) -> bool:
        kept, touched, ahead = self._kernel(), self._touched(), self._ahead()
        if abs(ahead - self._was_ahead) >= STEP_S:
            self._doubted = self._seen
        self._was_ahead, self._seen = ahead, touched
        return kept or (touched is not None and touched != self._doubted)

    def _touched(self) -> int | None:
        """When the mark was made, in the file system's own words."""
        try:
            return self._mark.stat().st_mtime_ns
        except OSError:
            return None


def kernel_boot() -> str:
    """Names this start of the machine; empty where the system has no such name."""
    try:
        return KERNEL_BOOT.read_text().strip()
    except OSError:
        return ""


def _kernel_clock_is_kept() -> bool:
    """adjtimex(2) with nothing to adjust. A system without it keeps no such record."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return False
    timex = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; `modes` 0 only reads
    answer: int = adjtimex(timex)
    return answer not in (-1, _TIME_ERROR)
