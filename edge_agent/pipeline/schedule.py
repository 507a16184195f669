"""When something is wanted: weekly windows in the device's local time.

Rules: a window belongs to the day it starts, so `fri 22:00-06:00` covers saturday 05:00. The
local wall clock decides, so an hour that a change of daylight saving repeats counts twice and one
that it leaves out is not there. With an unsynced clock everything is open, and the decision says
so: an alarm too many is better than one that nobody saw. Read `rules.py` next.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from edge_agent.frozen import frozen
from edge_agent.types import Decision

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 24 * 3600

_WINDOW = re.compile(r"(?:(?P<days>\S+)\s+)?(?P<start>\d\d?:\d\d)-(?P<end>\d\d?:\d\d)")


@frozen
class Calendar:
    """How seconds of `frame.time` become the local date and time of the device.

    `offset` is the clock's correction in seconds since the agent started, `synced` whether the
    clock can be believed at all.
    """

    tz: tzinfo
    offset: float = 0.0
    synced: bool = True

    def local(self, time: float) -> datetime:
        """The corrected local date and time of a `frame.time`."""
        return datetime.fromtimestamp(time + self.offset, self.tz)


@frozen
class Window:
    """One span of the day, on some days of the week; past midnight when `end` <= `start`."""

    text: str
    days: frozenset[int]  # 0 is monday
    start: int  # seconds after midnight
    end: int  # up to DAY_S, not included

    def covers(self, weekday: int, second: int) -> bool:
        if self.start < self.end:
            return weekday in self.days and self.start <= second < self.end
        began_today = second >= self.start and weekday in self.days
        began_yesterday = second < self.end and (weekday - 1) % 7 in self.days
        return began_today or began_yesterday


@frozen
class Schedule:
    """Windows of which any may be open; `text` is what the user wrote."""

    text: str
    windows: tuple[Window, ...]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read `mon-fri 22:00-06:00; sat,sun 00:00-24:00` (no days: every day).

        Raises ValueError with one sentence that says what is wrong and what would be right.
        """
        parts = [part.strip() for part in text.split(";")]
        if not all(parts):
            raise ValueError(f"the schedule {text!r} has an empty window")
        return cls(text, tuple(_window(part) for part in parts))

    def state(self, time: float, calendar: Calendar) -> Decision:
        """`open` or `closed`, with the local time, the window that decided and the clock."""
        local = calendar.local(time)
        found = self._window(local)
        numbers = {
            "local": f"{DAYS[local.weekday()]} {local:%H:%M}",
            "window": found.text if found else self.text,
            "clock": "synced" if calendar.synced else "unsynced",
        }
        verdict = "open" if found or not calendar.synced else "closed"
        return Decision("schedule", verdict, numbers)

    def _window(self, local: datetime) -> Window | None:
        second = local.hour * 3600 + local.minute * 60 + local.second
        weekday = local.weekday()
        return next((w for w in self.windows if w.covers(weekday, second)), None)


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text.lower())
    if match is None:
        raise ValueError(
            f"the schedule window {text!r} is not like 'mon-fri 22:00-06:00' or '22:00-06:00'"
        )
    start, end = _second(match["start"], text), _second(match["end"], text)
    if start == DAY_S:
        raise ValueError(f"the schedule window {text!r} cannot start at 24:00, write 00:00")
    if start == end:
        raise ValueError(f"the schedule window {text!r} is empty, a whole day is 00:00-24:00")
    return Window(" ".join(text.lower().split()), _days(match["days"], text), start, end)


def _second(clock: str, text: str) -> int:
    hour, minute = (int(number) for number in clock.split(":"))
    second = hour * 3600 + minute * 60
    if minute > 59 or second > DAY_S:
        raise ValueError(
            f"the schedule window {text!r} names the time {clock}, allowed is 00:00 to 24:00"
        )
    return second


def _days(listed: str | None, text: str) -> frozenset[int]:
    if listed is None:
        return frozenset(range(7))
    days: set[int] = set()
    for item in listed.split(","):
        first, dash, last = item.partition("-")
        begin, end = _day(first, text), _day(last if dash else first, text)
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(days)


def _day(name: str, text: str) -> int:
    if name not in DAYS:
        raise ValueError(
            f"the schedule window {text!r} names the day {name!r}, allowed are {', '.join(DAYS)}"
        )
    return DAYS.index(name)
