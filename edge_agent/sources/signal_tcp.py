"""Samples from a TCP server: lines of CSV or binary records, as docs/signals.md defines them.

The name is looked up in a thread of its own, because nothing can interrupt that; the connection is
made without blocking, so that both are bounded and can be given up at once.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from time import monotonic
from typing import Any, Literal

from edge_agent.errors import SourceLost
from edge_agent.sources.wake import Wake

CONNECT_S = 5.0
_SLICE_S = 0.05


class TcpTap:
    """A connection to `host`:`port`."""

    at_end: Literal["lost"] = "lost"
    introduction = b""

    def __init__(self, name: str, host: str, port: int) -> None:
        self.subject = f"source {name}: {host}:{port}"
        self._host = host
        self._port = port

    def connect(self, wake: Wake) -> int:
        link = dial((self._host, self._port), self.subject, wake, monotonic() + CONNECT_S)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return link.detach()

    def check(self, descriptor: int) -> None:
        """A connection that has nothing now may have something later."""


def dial(where: tuple[str, int], subject: str, wake: Wake, deadline: float) -> socket.socket:
    """A connection that does not block, to any address of a host. Raises SourceLost."""
    refused = ""
    for family, address in _resolved(where, wake, deadline):
        link = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        refused = _refusal(link, address, wake, deadline)
        if not refused:
            return link
        link.close()
    raise SourceLost(
        f"{subject} cannot be reached: {refused}", "start what serves it, or correct its uri"
    )


def _refusal(link: socket.socket, address: Any, wake: Wake, deadline: float) -> str:
    """Why it cannot be connected; "" when it is."""
    error = link.connect_ex(address)
    if error == errno.EINPROGRESS:
        if not wake.wait_for(link.fileno(), select.POLLOUT, deadline - monotonic()):
            return "it was closed" if wake.over else "it does not answer"
        error = link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return os.strerror(error).lower() if error else ""


def _resolved(where: tuple[str, int], wake: Wake, deadline: float) -> list[tuple[int, Any]]:
    """Family and address of everything that the name stands for. Raises SourceLost."""
    host, port = where
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as fault:
            found.append(fault)

    thread = threading.Thread(target=look_up, name="lookup", daemon=True)
    thread.start()
    while thread.is_alive() and not wake.over and monotonic() < deadline:
        thread.join(_SLICE_S)
    if not found:
        raise SourceLost(f"the name {host} cannot be looked up in time")
    if isinstance(found[0], Exception):
        reason = getattr(found[0], "strerror", None) or found[0]
        raise SourceLost(f"the name {host} cannot be resolved: {reason}")
    return [(family, address) for family, _, _, _, address in found[0]]
