"""The port that a repository's bytes come through, whatever brings them, and its least rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol
from urllib.parse import urlsplit

from edge_agent.frozen import frozen
from edge_agent.updates.failures import LATER, Unreachable
from edge_agent.updates.limits import Limits


@frozen
class Opened:
    """`start` is 0 where the other side cannot begin elsewhere. The pieces raise Unreachable."""

    start: int
    pieces: Iterator[bytes]


class Opener(Protocol):
    """http(s) or a folder."""

    def open(self, url: str, start: int = 0) -> AbstractContextManager[Opened]:
        """Raises Unreachable, NotServed."""

    def close(self) -> None: ...


class Rate:
    """Counts what comes; raises Unreachable once it was too little for too long."""

    def __init__(self, limits: Limits, url: str) -> None:
        self._limits = limits
        self._host = urlsplit(url).netloc
        self._began = time.monotonic()
        self._bytes = 0

    def came(self, count: int) -> None:
        self._bytes += count
        elapsed = time.monotonic() - self._began
        if elapsed < self._limits.rate_s:
            return
        if self._bytes < self._limits.rate * elapsed:
            raise Unreachable(
                f"{self._host} sent {self._bytes} bytes in {elapsed:.0f} s, "
                f"less than {self._limits.rate:g} a second",
                LATER,
            )
        self._began, self._bytes = time.monotonic(), 0
