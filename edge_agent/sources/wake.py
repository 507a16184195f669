"""Ending a wait from another thread: a pipe that is waited on beside everything else."""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Wake:
    """One thread waits, any thread may end its waiting, for good."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.over = False

    def end(self) -> None:
        """Every wait from now on ends at once."""
        self.over = True
        with suppress(BlockingIOError):  # full: nobody needs another byte
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
        os.close(self._read)
        os.close(self._write)
