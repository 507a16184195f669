"""What the world outside says at the moment of a frame, gathered in one place for all workers.

Housekeeping refreshes it about once a second; workers only read.
"""

from __future__ import annotations

import threading
from array import array
from zoneinfo import ZoneInfo

from edge_agent.host.clock import Clock
from edge_agent.host.timezone import host_zone
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.standstill import Standstill
from edge_agent.service.board import BoardFacts
from edge_agent.types import Frame

#: A frame that waited longer than this shows a past that nobody should act on.
MAX_AGE_S = 2.0


class Surroundings:
    """Clock, time zone, pauses and heat of the running agent. Safe to read from any thread."""

    def __init__(self, clock: Clock, timezone: str | None) -> None:
        self.clock = clock
        self._zone = ZoneInfo(timezone) if timezone else host_zone()
        self._calendar = Calendar(self._zone)
        self._pausing = threading.Lock()
        self.paused: frozenset[str] = frozenset()
        self._telling = threading.Lock()
        self._temperatures = array("f")  # of one summary window, one a second
        self.standstill = Standstill()  # the main thread beats
        self.board = BoardFacts()  # the thermal thread replaces it as a whole
        self.refresh()

    def refresh(self) -> None:
        """The calendar as the clock is corrected now."""
        known = self.clock.correction
        self._calendar = Calendar(self._zone, known.offset, known.synced)

    def pause(self, names: frozenset[str]) -> None:
        with self._pausing:
            self.paused |= names

    def resume(self, names: frozenset[str]) -> None:
        with self._pausing:
            self.paused -= names

    def tell_board(self, facts: BoardFacts) -> None:
        """The thermal thread looked again."""
        with self._telling:
            self.board = facts
            if facts.celsius is not None:
                self._temperatures.append(facts.celsius)

    def take_temperature(self) -> tuple[float, float] | None:
        """The mean and the highest since the last call; None when none was read."""
        with self._telling:
            seen, self._temperatures = self._temperatures, array("f")
        return (sum(seen) / len(seen), max(seen)) if seen else None

    def now(self) -> float:
        """The agent's own time; it never steps."""
        return self.clock.now()

    def told(self, time: float) -> str:
        """A moment on the agent's own time as others read it, RFC 3339."""
        return rfc3339(self.clock.told(time))

    @property
    def clock_word(self) -> str:
        """How far a time written now can be believed, in the envelope's word."""
        return self.clock.correction.word

    @property
    def calendar(self) -> Calendar:
        return self._calendar

    def around(self, pipeline: str, frame: Frame, max_age_s: float = MAX_AGE_S) -> Circumstances:
        """The circumstances of a frame that is about to be worked on."""
        return Circumstances(
            calendar=self._calendar,
            point=self.board.points.point(pipeline),
            paused=pipeline in self.paused,
            age_s=max(0.0, self.clock.now() - frame.time),
            max_age_s=max_age_s,
        )
