"""When a model may take charge by itself."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edge_agent.updates.window import is_open

TOKYO, BERLIN = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "local", "tz", "expected"),
    [
        (None, "2026-11-30 12:00", TOKYO, True),
        ("02:00-05:00", "2026-11-30 02:00", TOKYO, True),
        ("02:00-05:00", "2026-11-30 05:00", TOKYO, False),
        ("02:00-05:00", "2026-11-30 01:59", TOKYO, False),
        ("22:00-02:00", "2026-11-30 23:30", TOKYO, True),
        ("22:00-02:00", "2026-11-30 01:30", TOKYO, True),
        ("22:00-02:00", "2026-11-30 03:00", TOKYO, False),
        ("fri 22:00-02:00", "2026-11-28 01:00", TOKYO, True),  # a saturday: friday's window
        ("fri 22:00-02:00", "2026-11-27 01:00", TOKYO, False),  # a friday: thursday has none
        ("02:00-03:00", "2026-03-29 03:00", BERLIN, False),  # the hour that is left out
        ("02:00-03:00", "2026-10-25 02:30", BERLIN, True),  # the hour that comes twice
    ],
)
def test_a_window_is_in_the_devices_own_time(window, local, tz, expected) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=tz).timestamp()
    assert is_open(window, at, tz) is expected


def test_with_a_clock_that_nobody_keeps_every_window_is_open() -> None:
    assert is_open("02:00-02:01", 43_200.0, TOKYO, synced=False)
