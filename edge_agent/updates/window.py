"""The apply window (`ota.window`): when a model may take charge by itself.

Pure; the same windows as of rules, so `fri 22:00-02:00` covers saturday 01:00, and an hour that
daylight saving repeats counts twice. With an unsynced clock every window is open: an update at noon
is better than none for years.
"""

from __future__ import annotations

from datetime import tzinfo

from edge_agent.pipeline.schedule import Calendar, Schedule


def is_open(window: str | None, time: float, tz: tzinfo, *, synced: bool = True) -> bool:
    """`time` in seconds since the epoch. None: always."""
    if window is None:
        return True
    return Schedule.parse(window).state(time, Calendar(tz, synced=synced)).verdict == "open"
