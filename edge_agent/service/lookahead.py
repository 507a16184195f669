"""Reading ahead in a thread of its own: while one frame is inferred, the next is decoded.

Rules: in order, none dropped, a bounded queue; what it does ahead needs no state, so the outcomes
do not depend on how far ahead it is, or on the number of cores.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Generic, TypeVar

from edge_agent.errors import SourceLost
from edge_agent.ports import Source
from edge_agent.types import Broken, Frame

Ahead = TypeVar("Ahead")

#: Pictures that wait at most: enough to smooth a slow one, 4 x 1.3 MB at 768x576.
DEPTH = 4
#: A file that gives nothing for so long (a network drive that went away) is given up.
SLOWEST_READ_S = 60.0
#: A read that hangs is left behind with its daemon thread.
ENDING_S = 2.0


class Lookahead(Generic[Ahead]):
    """Iterate over (item, what `prepare` made of it, seconds that reading took)."""

    def __init__(self, source: Source, prepare: Callable[[Frame], Ahead]) -> None:
        self._source = source
        self._prepare = prepare
        self._queue: queue.Queue[tuple[Frame | Broken, Ahead | None, float] | BaseException | None]
        self._queue = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="lookahead", daemon=True)

    def __enter__(self) -> Lookahead[Ahead]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        deadline = perf_counter() + ENDING_S
        while self._thread.is_alive() and perf_counter() < deadline:
            self._take_waiting()  # it may be waiting for room in the queue
            self._thread.join(0.05)

    def __iter__(self) -> Iterator[tuple[Frame | Broken, Ahead | None, float]]:
        while True:
            try:
                entry = self._queue.get(timeout=SLOWEST_READ_S)
            except queue.Empty:
                raise SourceLost(
                    f"source {self._source.name} gave nothing for {SLOWEST_READ_S:.0f} s",
                    "copy the file to a local disk and try again",
                ) from None
            if entry is None:
                return
            if isinstance(entry, BaseException):
                raise entry
            yield entry

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                began = perf_counter()
                item = self._source.read()
                took = perf_counter() - began
                if item is None:
                    break
                ready = self._prepare(item) if isinstance(item, Frame) else None
                self._queue.put((item, ready, took))
        except BaseException as fault:  # handed to the thread that iterates
            self._queue.put(fault)
        else:
            self._queue.put(None)

    def _take_waiting(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return
