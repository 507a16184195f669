"""How much a day is written to the disk: flash memory wears out, so the device counts.

Rules: bytes are what the kernel says was sent to the disk. What a start writes counts once, as it
happened; what is written while it runs is a rate, extrapolated from the running hours of the last
day. So a device that starts over and over tells of it, and one that was off half the day does not
look twice as good. Pure: the account is a value, kept by the store from start to start.
"""

from __future__ import annotations

import json
from dataclasses import replace

from edge_agent.frozen import frozen

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
#: A rate needs at least so much running time: two flushes of the ledger.
LEAST_S = 120.0


@frozen
class Hour:
    """What was written from `began` on, within an hour: by a start, and in `seconds` of running."""

    began: float
    start_mb: float = 0.0
    seconds: float = 0.0
    mb: float = 0.0


@frozen
class Wear:
    """The hours of the last day, oldest first."""

    hours: tuple[Hour, ...] = ()

    def started(self, now: float, mb: float) -> Wear:
        """A start wrote so much until `now`."""
        return Wear((*self._recent(now), Hour(now, start_mb=mb)))

    def ran(self, now: float, seconds: float, mb: float) -> Wear:
        """It ran for so long until `now`, and wrote so much meanwhile."""
        hours = self._recent(now)
        if not hours or now - hours[-1].began >= HOUR_S:
            hours = (*hours, Hour(now - seconds))
        last = hours[-1]
        grown = replace(last, seconds=last.seconds + seconds, mb=last.mb + mb)
        return Wear((*hours[:-1], grown))

    def mb_per_day(self) -> float | None:
        """None until it ran long enough to be said."""
        seconds = sum(hour.seconds for hour in self.hours)
        if seconds < LEAST_S:
            return None
        starts = sum(hour.start_mb for hour in self.hours)
        return starts + sum(hour.mb for hour in self.hours) / seconds * DAY_S

    def _recent(self, now: float) -> tuple[Hour, ...]:
        """Without what is older than a day, or from a future that a wrong clock once told."""
        return tuple(hour for hour in self.hours if now - DAY_S < hour.began <= now)


def to_text(wear: Wear) -> str:
    """As the store keeps it."""
    rows = [(hour.began, hour.start_mb, hour.seconds, hour.mb) for hour in wear.hours]
    return json.dumps([[round(number, 3) for number in row] for row in rows])


def from_text(text: str) -> Wear:
    return Wear(tuple(Hour(*row) for row in json.loads(text)))
