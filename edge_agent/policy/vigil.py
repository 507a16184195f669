"""Is every worker getting on? Heartbeats are judged, and what to do about one that stands still.

Rules: a worker says before each step what it begins and how long that may take at most. Time only
counts while somebody looks, and one look counts for `LONGEST_LOOK_S` at most: a process that was
stopped, or starved by its machine, finds no worker late that had no chance to run. What is late
is first renewed, where its kind allows that; if it is late again soon after, or cannot be renewed,
the process must end. Pure: `service/watchman.py` looks, and acts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.frozen import frozen

#: What one look counts for at most, whatever the clock says.
LONGEST_LOOK_S = 2.0
#: A part that was renewed and is late again within this time is beyond renewal.
MEMORY_S = 600.0


@frozen
class Pulse:
    """The step that a worker is at. `number` grows with every step."""

    name: str
    number: int
    doing: str
    within_s: float
    renewable: bool = False  # whether a new thread may take over from one that hangs


class Beat:
    """One worker's heartbeat: the worker begins steps, whoever watches reads `pulse`."""

    __slots__ = ("pulse",)

    def __init__(self, name: str, *, renewable: bool = False) -> None:
        self.pulse = Pulse(name, 0, "starting", math.inf, renewable)

    def begin(self, doing: str, within_s: float) -> None:
        """From the worker's thread alone: the step before has ended, this one begins."""
        before = self.pulse
        self.pulse = Pulse(before.name, before.number + 1, doing, within_s, before.renewable)


@frozen
class Late:
    """A worker that stands still; `hopeless` when the process must end."""

    name: str
    doing: str
    seconds: float
    hopeless: bool


@dataclass(slots=True)
class _Watched:
    number: int
    stood_s: float = 0.0


class Vigil:
    """One look after the other; keeps what it saw before."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._watched: dict[str, _Watched] = {}
        self._renewed: dict[str, float] = {}

    def look(self, now: float, pulses: Iterable[Pulse]) -> tuple[Late, ...]:
        """Who is late at this moment; empty when all get on. `now` never runs backwards."""
        passed = 0.0 if self._last is None else min(now - self._last, LONGEST_LOOK_S)
        self._last = now
        late, seen = [], {}
        for pulse in pulses:
            known = self._watched.get(pulse.name)
            if known is None or known.number != pulse.number:
                known = _Watched(pulse.number)
            else:
                known.stood_s += passed
            seen[pulse.name] = known
            if known.stood_s > pulse.within_s:
                late.append(self._judged(now, pulse, known))
        self._watched = seen
        return tuple(late)

    def _judged(self, now: float, pulse: Pulse, watched: _Watched) -> Late:
        before = self._renewed.get(pulse.name)
        hopeless = not pulse.renewable or (before is not None and now - before < MEMORY_S)
        stood = watched.stood_s
        if not hopeless:
            self._renewed[pulse.name] = now
            watched.stood_s = 0.0  # the new thread gets the whole time
        return Late(pulse.name, pulse.doing, stood, hopeless)
