"""Ending a wait from another thread: a pipe that is waited on beside everything else.

`Wake` is one such pipe, `Wakeable` what one thread reads and any thread may close by it.
"""

from __future__ import annotations

import os
import select
import threading
from abc import ABC, abstractmethod
from contextlib import suppress

#: So long a connection that is given back waits for the reader in its middle.
GIVE_BACK_S = 1.0


class Wake:
    """One thread waits, any thread may end its waiting, for good."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._is_open = True
        self.over = False

    def end(self) -> None:
        """Every wait from now on ends at once. One that was given back is left alone: its number
        may be another file's by now."""
        self.over = True
        with self._lock, suppress(BlockingIOError):  # full: nobody needs another byte
            if self._is_open:
                os.write(self._write, b"!")

    def wait_for(self, descriptor: int, events: int, timeout_s: float) -> bool:
        """Until something happens to a descriptor (True), or the time or the waiting is over."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(descriptor, events)
        ready = poll.poll(max(0.0, timeout_s) * 1000)
        return not self.over and any(which == descriptor for which, _ in ready)

    def sleep(self, seconds: float) -> None:
        """At most so long."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)

    def close(self) -> None:
        """Nobody waits any more. May be called more than once."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._read)
                os.close(self._write)


class Wakeable(ABC):
    """A connection of one thread, which any thread may close in the middle of a read.

    Whoever opens or reads it holds `_busy` and waits by `_wake`; closing ends that wait, and what
    is held is given back by whoever is not in the middle of a read.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._wake: Wake | None = None

    def close(self) -> None:
        """From any thread, more than once."""
        wake = self._wake  # another thread may be giving it back just now
        if wake is not None:
            wake.end()
        if self._busy.acquire(timeout=GIVE_BACK_S):
            try:
                self._give_back()
                if self._wake is not None:
                    self._wake.close()
                    self._wake = None
            finally:
                self._busy.release()

    @abstractmethod
    def _give_back(self) -> None:
        """Close what is held, if anything is. Nobody reads it meanwhile."""
