"""What the pipelines of one configuration share: open models, and the cores to run them on.

Rules: a model that several pipelines run alike (same bytes, engine, threads, delegate) is loaded
once, unless it remembers what it saw: a stream's memory is its own. No more models run at a time
than there are cores, and each at most once. Who waits goes on by rank (the highest priority of the
pipeline's rules), the longest wait first within a rank; and whoever waited for `PATIENCE_S` goes
first whatever its rank, so that a busy alert starves nobody. Read `assemble.py` next.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TypeAlias

from edge_agent.bundles.bundle import Bundle
from edge_agent.engines import Plan
from edge_agent.engines.recurrent import kept_inside
from edge_agent.frozen import frozen
from edge_agent.ports import Engine
from edge_agent.service.models import Opened, open_model

PATIENCE_S = 1.0
#: Between two looks of one who waits: patience may have come to its end meanwhile.
LOOK_S = 0.25

Key: TypeAlias = tuple[str, Plan]


class Shared:
    """Models and cores of one configuration. Models are opened in one thread, turns in any."""

    def __init__(self, turns: Turns | None = None) -> None:
        self.turns = turns or Turns(len(os.sched_getaffinity(0)))
        self._opened: dict[Key, Opened] = {}

    def open(self, bundle: Bundle, plan: Plan, state: Path) -> Opened:
        """As `open_model`; the same one again where it is open already."""
        key = (bundle.manifest.sha256, plan)
        known = self._opened.get(key)
        if known is not None:
            spec = bundle.spec(known.engine.inputs[0], known.engine.outputs)
            return Opened(bundle, spec, known.engine)
        opened = open_model(bundle, plan, state)
        if not remembers(opened.engine):
            self._opened[key] = opened
        return opened

    def keep(self, engines: Iterable[Engine]) -> None:
        """Only these are in use: what else was opened is given back."""
        used = {id(engine) for engine in engines}
        self._opened = {key: each for key, each in self._opened.items() if id(each.engine) in used}


def remembers(engine: Engine) -> bool:
    """Whether what it answers depends on what it was asked before; also where nobody can tell."""
    return len(engine.inputs) > 1 or kept_inside(engine.operators)


@frozen
class _Waiting:
    rank: int
    number: int  # in the order of coming
    since: float
    engine: Engine


class Turns:
    """So many models run at a time, each once; the others wait by rank."""

    def __init__(self, cores: int, clock: Callable[[], float] = monotonic) -> None:
        self._cores = cores
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._running: list[Engine] = []
        self._came = 0

    @contextmanager
    def turn(self, rank: int, engine: Engine, waits: Callable[[], None]) -> Iterator[None]:
        """Wait for it, and hold it: nobody else runs that engine meanwhile. `waits` is called while
        it waits, and when that is over."""
        with self._changed:
            self._came += 1
            mine = _Waiting(rank, self._came, self._clock(), engine)
            self._waiting.append(mine)
            try:
                while self._next() is not mine:
                    self._changed.wait(LOOK_S)
                    waits()
            finally:
                self._waiting.remove(mine)
            self._running.append(engine)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(engine)
                self._changed.notify_all()

    def _next(self) -> _Waiting | None:
        """Who goes on now."""
        if len(self._running) >= self._cores:
            return None
        able = [each for each in self._waiting if each.engine not in self._running]
        return min(able, key=self._order, default=None)

    def _order(self, waiting: _Waiting) -> tuple[int, int]:
        overdue = self._clock() - waiting.since >= PATIENCE_S
        return (-1 if overdue else waiting.rank, waiting.number)
