"""Moments and spans as people write and read them: `24h`, `08:15`, `2026-01-31 08:15`, RFC 3339.

Rules: what is printed can be typed again and means the same. A moment is read and written in one
zone: the one it bears itself, else the device's where the configuration names one, else this
host's; the zone's name says which. Time is an argument.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.host.timezone import host_zone

HELP = "write 24h, 15min, 08:15, 2026-01-31 08:15 or 2026-01-31T08:15:00Z"

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?")
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Zone:
    """In which zone times are read and written; `name` says whose it is."""

    tz: tzinfo
    name: str


@frozen
class Moment:
    """A moment that a person named, and the zone in which they think of it."""

    time: float
    zone: Zone


def zone_of(timezone: str | None) -> Zone:
    """The device's zone (`device.timezone`), this host's where it names none."""
    if timezone is not None:
        return Zone(ZoneInfo(timezone), f"{timezone}, the device's zone")
    tz = host_zone()
    name = getattr(tz, "key", None) or datetime.now(tz).tzname() or "local time"
    return Zone(tz, f"{name}, this host's zone")


def moment(text: str, now: float, zone: Zone) -> Moment:
    """A span before `now`, a time of day (the latest one before `now`), or a date and time.

    Without an offset of its own it is meant in `zone`. Raises UsageError for anything else.
    """
    given = text.strip()
    try:
        if span := _SPAN.fullmatch(given):
            found = Moment(now - float(span[1]) * _UNITS[span[2]], zone)
        elif clock := _CLOCK.fullmatch(given):
            found = Moment(_latest(clock, now, zone.tz), zone)
        else:
            found = _dated(given, zone)
        local(found.time, found.zone)  # within the calendar's years?
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no moment", HELP) from None
    return found


def local(time: float, zone: Zone, unit: str = "seconds") -> str:
    """`2026-01-31 08:15:00`, cut to the `unit` (seconds or milliseconds), so never later than it.

    Raises OverflowError beyond the calendar.
    """
    at = (_EPOCH + timedelta(milliseconds=round(time * 1000))).astimezone(zone.tz)
    return at.replace(tzinfo=None).isoformat(" ", unit)


def duration(seconds: float) -> str:
    """The two largest units: 3 d 4 h, 5 min 20 s, 1.2 s."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, small in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {smaller}"
    raise AssertionError(seconds)


def _latest(clock: re.Match[str], now: float, tz: tzinfo) -> float:
    """At night, 23:30 is yesterday's."""
    hour, minute, second = (int(part or 0) for part in clock.groups())
    today = datetime.fromtimestamp(now, tz)
    at = today.replace(hour=hour, minute=minute, second=second, microsecond=0, fold=0)
    if at.timestamp() > now:
        at -= _DAY  # of the calendar, however many hours that day had
    return at.timestamp()


def _dated(text: str, zone: Zone) -> Moment:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        return Moment(_seconds(at.replace(tzinfo=zone.tz)), zone)
    return Moment(_seconds(at), Zone(at.tzinfo, f"{at.tzname()}, as asked"))


def _seconds(at: datetime) -> float:
    return (at - _EPOCH) / timedelta(seconds=1)
