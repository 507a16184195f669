"""Schedules: what the text means at which local time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pipeline.schedule import DAYS, Calendar, Schedule

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)  # a monday
UTC_CALENDAR = Calendar(UTC)


def at(day: str, clock: str) -> float:
    hour, minute = clock.split(":")
    when = MONDAY + timedelta(days=DAYS.index(day), hours=int(hour), minutes=int(minute))
    return when.timestamp()


def is_open(schedule: Schedule, time: float, calendar: Calendar) -> bool:
    return schedule.state(time, calendar).verdict == "open"


@pytest.mark.parametrize(
    ("text", "day", "clock", "verdict"),
    [
        ("08:00-17:00", "wed", "08:00", "open"),
        ("08:00-17:00", "wed", "07:59", "closed"),
        ("08:00-17:00", "wed", "17:00", "closed"),
        ("22:00-06:00", "sun", "23:00", "open"),
        ("22:00-06:00", "mon", "05:59", "open"),
        ("22:00-06:00", "mon", "06:00", "closed"),
        ("mon-fri 22:00-06:00", "sat", "05:00", "open"),  # friday's window
        ("mon-fri 22:00-06:00", "mon", "05:00", "closed"),  # sunday has none
        ("fri 22:00-06:00", "sat", "22:30", "closed"),
        ("sun 22:00-06:00", "mon", "05:00", "open"),
        ("sat,sun 00:00-24:00", "sun", "23:59", "open"),
        ("sat,sun 00:00-24:00", "mon", "00:00", "closed"),
        ("sat-mon 10:00-11:00", "sun", "10:30", "open"),
        ("sat-mon 10:00-11:00", "tue", "10:30", "closed"),
        ("mon,wed-thu 10:00-11:00", "thu", "10:30", "open"),
        ("mon,wed-thu 10:00-11:00", "tue", "10:30", "closed"),
        ("mon 10:00-11:00; tue 9:00-10:00", "tue", "09:30", "open"),
        ("FRI 22:00-00:00", "fri", "23:59", "open"),
        ("FRI 22:00-00:00", "sat", "00:00", "closed"),
    ],
)
def test_a_window_covers_its_own_days_and_hours(text, day, clock, verdict):
    schedule = Schedule.parse(text)
    assert schedule.state(at(day, clock), UTC_CALENDAR).verdict == verdict


def test_the_decision_names_the_window_and_the_local_time():
    decision = Schedule.parse("mon 10:00-11:00;  tue   09:00-10:00").state(
        at("tue", "09:30"), UTC_CALENDAR
    )
    assert decision.stage == "schedule"
    assert decision.numbers == {
        "local": "tue 09:30",
        "window": "tue 09:00-10:00",
        "clock": "synced",
    }


def test_the_zone_and_the_clock_correction_decide_not_utc():
    schedule = Schedule.parse("22:00-06:00")
    tokyo = ZoneInfo("Asia/Tokyo")
    noon = at("mon", "13:30")  # 22:30 in Tokyo
    assert schedule.state(noon, Calendar(tokyo)).verdict == "open"
    assert schedule.state(noon, Calendar(tokyo, offset=-3600.0)).verdict == "closed"
    assert schedule.state(noon, UTC_CALENDAR).verdict == "closed"


def test_an_unsynced_clock_counts_as_open_and_says_so():
    decision = Schedule.parse("mon 10:00-11:00").state(
        at("tue", "03:00"), Calendar(UTC, synced=False)
    )
    assert decision.verdict == "open"
    assert decision.numbers["clock"] == "unsynced"


def test_daylight_saving_follows_the_wall_clock():
    schedule = Schedule.parse("02:00-03:00")
    berlin = Calendar(ZoneInfo("Europe/Berlin"))
    autumn = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    spring = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    open_hours = [hour for hour in range(4) if is_open(schedule, autumn + hour * 3600, berlin)]
    assert open_hours == [0, 1]  # 02:00 CEST and again 02:00 CET
    assert not any(is_open(schedule, spring + hour * 3600, berlin) for hour in range(4))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty window"),
        ("mon 10:00-11:00;", "empty window"),
        ("always", "is not like"),
        ("mon 10-11", "is not like"),
        ("mon fri 10:00-11:00", "is not like"),
        ("mo 10:00-11:00", "names the day 'mo'"),
        ("mon- 10:00-11:00", "names the day ''"),
        ("10:60-11:00", "10:60"),
        ("10:00-24:01", "24:01"),
        ("24:00-06:00", "cannot start at 24:00"),
        ("10:00-10:00", "is empty"),
    ],
)
def test_a_wrong_text_is_refused_in_one_sentence(text, part):
    with pytest.raises(ValueError, match=part) as caught:
        Schedule.parse(text)
    assert "\n" not in str(caught.value)


@given(
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    start=st.integers(0, 1439),
    length=st.integers(1, 1440),
    moment=st.integers(0, 7 * 1440 - 1),
)
def test_a_window_is_its_start_plus_its_length_on_each_of_its_days(days, start, length, moment):
    end = start + length
    end = end if end == 1440 else end % 1440
    if end == start:
        return
    text = f"{','.join(sorted(days))} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    starts = [DAYS.index(day) * 1440 + start for day in days]
    expected = any((moment - begin) % (7 * 1440) < length for begin in starts)
    time = (MONDAY + timedelta(minutes=moment)).timestamp()
    assert is_open(Schedule.parse(text), time, UTC_CALENDAR) == expected
