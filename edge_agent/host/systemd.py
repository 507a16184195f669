"""What the service manager is told: sd_notify's datagrams, and how often the watchdog wants food.

The protocol is a datagram of VARIABLE=value lines to the socket that NOTIFY_SOCKET names; one that
begins with "@" is abstract. Without that variable nothing is sent: so is a run by hand.
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger("edge_agent.systemd")

#: The manager's own queue may be full for a moment; the agent waits no longer for it.
PATIENCE_S = 0.5


class Notifier:
    """Tells the service manager how it stands, where there is one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{named[1:]}" if named.startswith("@") else named
        self._status = ""
        self._deaf = False
        self.watchdog_s = _watchdog_s(environment)

    def ready(self) -> None:
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def reloading(self) -> None:
        """`ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; sent when it changed."""
        if text != self._status:
            self._status = text
            self._tell("STATUS=" + " ".join(text.split()))

    def _tell(self, lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(PATIENCE_S)
                line.sendto(lines.encode(), self._address)
            self._deaf = False
        except OSError as fault:
            # Frames matter more than what is said of them; a watchdog that hears nothing bites.
            if not self._deaf:
                log.warning("the service manager does not listen reason=%r", str(fault))
            self._deaf = True


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Within how many seconds it must be fed again; None without one, or when it is another's."""
    microseconds, process = environment.get("WATCHDOG_USEC"), environment.get("WATCHDOG_PID")
    if not (microseconds and microseconds.isdecimal()) or int(microseconds) == 0:
        return None
    if process and process != str(os.getpid()):
        return None
    return int(microseconds) / 1e6
