"""A bell that ends a loop's wait for its socket, and remembers that it was rung.

Any thread may `ring`. The loop polls the bell beside its socket, calls `hush` when a wait is over
(else the next one would end at once) and `heard` before it looks for what was announced.
"""

from __future__ import annotations

import socket
import threading


class Bell:
    """At most one byte in a pipe to oneself, and a flag."""

    def __init__(self) -> None:
        self._ear, self._bell = socket.socketpair()
        self._lock = threading.Lock()
        self._is_ringing = False
        self._is_news = False

    def fileno(self) -> int:
        """To be polled for reading."""
        return self._ear.fileno()

    def ring(self) -> None:
        with self._lock:
            self._is_news = True
            if not self._is_ringing:
                self._is_ringing = True
                self._bell.send(b"!")

    def hush(self) -> None:
        """The wait is over; what was announced is not forgotten."""
        if self._is_ringing:
            with self._lock:
                self._ear.recv(1)
                self._is_ringing = False

    def heard(self) -> bool:
        """Was it rung since the last call? What comes while one looks rings again."""
        if not self._is_news:
            return False
        with self._lock:
            self._is_news = False
        return True
