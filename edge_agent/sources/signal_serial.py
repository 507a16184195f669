"""Samples from a serial line (UART, USB): lines of CSV or binary records, 8 bits, no parity, raw.

By the terminal interface of POSIX (`termios`), without a library. A stream is entered half-way: the
first, cut line is passed over, binary records want a sync word. Read `signal_stream.py` next.
"""

from __future__ import annotations

import os
import termios
import tty
from typing import Literal

from edge_agent.errors import SourceLost
from edge_agent.sources.wake import Wake

#: The rates that Linux knows by name, the usual one first.
BAUDS = (
    *(115200, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 230400, 460800, 500000, 576000),
    *(921600, 1000000, 1500000, 2000000, 3000000, 4000000),
)


class SerialTap:
    """The line at `device`, such as /dev/ttyUSB0."""

    at_end: Literal["lost"] = "lost"
    introduction = b""

    def __init__(self, name: str, device: str, baud: int) -> None:
        self.subject = f"source {name}: {device}"
        self._device = device
        self._baud = baud

    def connect(self, wake: Wake) -> int:
        """Raises SourceLost also where the device is not there: it may be plugged in."""
        try:
            descriptor = os.open(self._device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as fault:
            raise SourceLost(f"{self.subject} cannot be opened: {fault.strerror}") from None
        try:
            self._set_up(descriptor)
        except (OSError, termios.error) as fault:
            os.close(descriptor)
            raise SourceLost(f"{self.subject} is no serial line: {fault.args[-1]}") from None
        return descriptor

    def check(self, descriptor: int) -> None:
        """A line that has nothing now may have something later."""

    def _set_up(self, descriptor: int) -> None:
        tty.setraw(descriptor)
        attributes = termios.tcgetattr(descriptor)
        attributes[2] |= termios.CLOCAL | termios.CREAD  # no modem, and do listen
        attributes[4] = attributes[5] = getattr(termios, f"B{self._baud}")
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
        termios.tcflush(descriptor, termios.TCIFLUSH)  # what came before anybody listened
