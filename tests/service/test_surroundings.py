"""Schedules and words while the clock is wrong, put right, and set by somebody."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.host.fake import FakeClock
from edge_agent.pipeline.schedule import Schedule
from edge_agent.policy.documents import parse_rfc3339
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.timekeeper import Timekeeper, start_clock
from edge_agent.store.record import open_store

NOON = parse_rfc3339("2026-06-03T12:00:00Z")  # a wednesday
NIGHT = Schedule.parse("mon-fri 22:00-06:00")


@pytest.mark.parametrize("wrong_s", [30.0 - NOON, -3600.0, 10 * 365 * 86400.0])
def test_a_schedule_is_open_until_the_clock_is_right_and_then_follows_it(
    tmp_path: Path, wrong_s: float
) -> None:
    clock = FakeClock(NOON + wrong_s, synced=False)
    surroundings = Surroundings(clock, "UTC")  # type: ignore[arg-type]
    with open_store(tmp_path) as store:
        store.start()
        start_clock(store, clock)  # type: ignore[arg-type]
        keeper = Timekeeper(store, clock, lambda: None)  # type: ignore[arg-type]

        def look() -> tuple[str, object, object, str]:
            keeper.look()
            surroundings.refresh()
            said = NIGHT.state(clock.now(), surroundings.calendar)
            numbers = said.numbers
            return said.verdict, numbers["clock"], numbers["local"], surroundings.clock_word

        assert (look()[0], look()[1], look()[3]) == ("open", "unsynced", "unsynced")
        clock.step_wall(-wrong_s)
        assert look() == ("closed", "synced", "wed 12:00", "synced")
        clock.step_wall(-12 * 3600.0, synced=False)  # set by hand, to midnight
        assert look() == ("closed", "synced", "wed 12:00", "synced")
        clock.advance(11 * 3600.0)
        assert look() == ("open", "synced", "wed 23:00", "synced")


def test_a_disk_that_takes_nothing_leaves_the_clock_unsynced_until_it_does(tmp_path: Path) -> None:
    """No message may say `synced` while its correction could be lost with a crash."""
    clock, told = FakeClock(30.0, synced=False), []
    with open_store(tmp_path) as store:
        store.start()
        start_clock(store, clock)  # type: ignore[arg-type]
        keeper = Timekeeper(store, clock, lambda: told.append(1))  # type: ignore[arg-type]
        store.database.connection.execute("PRAGMA query_only = ON")
        clock.step_wall(NOON)
        keeper.look()
        assert (clock.correction.word, told) == ("unsynced", [])
        store.database.connection.execute("PRAGMA query_only = OFF")
        keeper.look()
        assert (clock.correction.word, clock.correction.offset, told) == ("synced", NOON, [1])
