"""When did this process stand still? A stopped one (SIGSTOP) cannot tell, but it can find out.

Rules: the main thread beats twice a second and does nothing else that takes long; where a beat came
late by more than `LATE_S`, no thread of this process had time meanwhile. Whoever asks before that
thread has woken is told of the standstill as well. Times are arguments, on a clock that never
steps. Read `service/lookout.py` next: what nobody saw meanwhile is `suspended`.
"""

from __future__ import annotations

#: Between two beats; more is no thread's own fault.
LATE_S = 1.5


class Standstill:
    """One for a run of the agent: one thread beats, any may ask."""

    def __init__(self) -> None:
        self._beat: float | None = None  # None: nobody beats, before the first and after the last
        self._latest: tuple[float, float] | None = None

    def beat(self, now: float) -> None:
        if self._beat is not None and now - self._beat > LATE_S:
            self._latest = (self._beat, now)
        self._beat = now  # after `_latest`, so that whoever reads it first misses nothing

    def rest(self) -> None:
        """No further beats: what follows is no standstill."""
        self._beat = None

    def latest(self, now: float) -> tuple[float, float] | None:
        """From when to when; None where there was none yet."""
        beat = self._beat
        return self._latest if beat is None or now - beat <= LATE_S else (beat, now)
