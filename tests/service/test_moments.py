"""Moments and spans: what is printed can be typed again and means the same."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import UsageError
from edge_agent.service.moments import Zone, duration, local, moment, zone_of

TOKYO = zone_of("Asia/Tokyo")
BERLIN = zone_of("Europe/Berlin")
ZONES = st.sampled_from([TOKYO, BERLIN, zone_of("UTC"), zone_of("America/St_Johns")])
NOW = datetime(2026, 1, 31, 1, 10, tzinfo=ZoneInfo("Asia/Tokyo")).timestamp()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("24h", "2026-01-30 01:10:00"),
        ("15min", "2026-01-31 00:55:00"),
        ("1.5 d", "2026-01-29 13:10:00"),
        ("00:30", "2026-01-31 00:30:00"),
        ("1:10", "2026-01-31 01:10:00"),
        ("23:30", "2026-01-30 23:30:00"),  # at night that is yesterday's
        ("01:10:01", "2026-01-30 01:10:01"),
        ("2026-01-29", "2026-01-29 00:00:00"),
        ("2026-01-29 08:15", "2026-01-29 08:15:00"),
        (" 2026-01-29T08:15:30 ", "2026-01-29 08:15:30"),
    ],
)
def test_without_an_offset_it_is_meant_in_the_given_zone(text: str, seen: str) -> None:
    found = moment(text, NOW, TOKYO)
    assert local(found.time, TOKYO) == seen
    assert found.zone == TOKYO


@pytest.mark.parametrize(
    ("text", "seen", "name"),
    [
        ("2026-01-31T08:00:00Z", "2026-01-31 08:00:00", "UTC, as asked"),
        ("2026-01-31 08:00:00+05:30", "2026-01-31 08:00:00", "UTC+05:30, as asked"),
    ],
)
def test_with_an_offset_it_is_shown_in_that_one(text: str, seen: str, name: str) -> None:
    found = moment(text, NOW, TOKYO)
    assert local(found.time, found.zone) == seen
    assert found.zone.name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "25:00",
        "08:61",
        "08:15 Z",
        "24",
        "-5h",
        "2026-13-01",
        "99999999999d",
        "9" * 400 + "d",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_anything_else_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is no moment") as refused:
        moment(text, NOW, TOKYO)
    assert "write 24h" in refused.value.next


@given(st.floats(-6e10, 2e11), ZONES, st.sampled_from(["seconds", "milliseconds"]))
@settings(max_examples=200)
def test_what_is_printed_means_the_same_when_typed(seconds: float, zone: Zone, unit: str) -> None:
    text = local(seconds, zone, unit)
    # (Of an hour that a change of daylight saving repeats, its first pass is meant.)
    assert local(moment(text, 0.0, zone).time, zone, unit) == text


@given(st.times(), st.floats(0, 4e9), ZONES)
@settings(max_examples=200)
def test_a_time_of_day_is_the_latest_one_that_has_been(at: time, now: float, zone: Zone) -> None:
    found = moment(at.strftime("%H:%M:%S"), now, zone).time
    assert found <= now
    assert now - found <= 25 * 3600 + 1


def test_the_zone_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOKYO.name == "Asia/Tokyo, the device's zone"
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert zone_of(None).name == "Europe/Berlin, this host's zone"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (1.24, "1.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (119.9, "2 min 0 s"),
        (320, "5 min 20 s"),
        (3599.9, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (273_601, "3 d 4 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
