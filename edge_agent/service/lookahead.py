"""Working ahead in threads of their own: one frame is decoded while the one before it is inferred.

A belt carries what a generator yields from its own thread to the next one. Rules: in order, none
dropped, a bounded number in between; whatever is done ahead must not depend on what comes of the
frames before, so outcomes depend neither on how far ahead it is nor on the number of cores.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from time import perf_counter
from types import TracebackType
from typing import Generic, Self, TypeVar

from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen

Entry = TypeVar("Entry")

#: A thread that hangs in a library is left behind: it is a daemon.
ENDING_S = 2.0


@frozen
class Limits:
    """`depth` entries wait at most. When nothing came for `patience_s`, `silence` is raised."""

    depth: int
    patience_s: float
    silence: EdgeError


class Belt(Generic[Entry]):
    """Iterate over the entries, which its thread makes ahead. A context manager."""

    def __init__(self, name: str, entries: Iterator[Entry], limits: Limits) -> None:
        self._entries = entries
        self._limits = limits
        self._queue: queue.Queue[tuple[Entry] | BaseException | None] = queue.Queue(limits.depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        deadline = perf_counter() + ENDING_S
        while self._thread.is_alive() and perf_counter() < deadline:
            self._take_waiting()  # it may be waiting for room in the queue
            self._thread.join(0.05)

    def __iter__(self) -> Iterator[Entry]:
        """What the entries raise is raised here, in its turn."""
        while True:
            try:
                taken = self._queue.get(timeout=self._limits.patience_s)
            except queue.Empty:
                raise self._limits.silence from None
            if taken is None:
                return
            if isinstance(taken, BaseException):
                raise taken
            yield taken[0]

    def _carry(self) -> None:
        try:
            for entry in self._entries:
                if self._stop.is_set():
                    return
                self._queue.put((entry,))
        except BaseException as fault:  # handed to the thread that iterates
            self._queue.put(fault)
        else:
            self._queue.put(None)

    def _take_waiting(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return
