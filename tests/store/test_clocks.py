"""A boot's clock is put right: what was kept and what waits is told so, and keeps its order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.host.fake import FakeClock
from edge_agent.policy.correction import STEP_S, Correction
from edge_agent.policy.coverage import WATCHING, Cause, Stretch, blind
from edge_agent.policy.documents import alert_document, dump, parse_rfc3339, rfc3339
from edge_agent.service.timekeeper import Timekeeper, start_clock
from edge_agent.store.clocks import MOST_AWAY_S
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.retention import MB, Limits, Retention
from edge_agent.store.rows import Batch, CoverageRow, Draft, EventFilter, FramesRow, Judged, Opened
from edge_agent.types import Event

NOW = 1_800_000_000.0
TEN_YEARS = 10 * 365 * 86400.0
#: How far the wall clock of a board stands from the true one when the agent starts.
WRONG = {"1970": 30.0 - NOW, "fake-hwclock": -3600.0, "ahead": TEN_YEARS}


class Board:
    """A device through its starts; `true` is the time that nobody on it knows yet."""

    def __init__(self, state: Path, device: SimpleNamespace) -> None:
        self.state, self.device, self.number = state, device, 0
        self.true = NOW
        self.kernel = "a"

    @contextmanager
    def starts(self, wrong_s: float = 0.0, up_s: float = 60.0) -> Iterator[Store]:
        """The service, with a wall clock that is wrong by so much until `hears`."""
        with open_store(self.state) as self.store:
            self.store.start()
            self.clock = FakeClock(self.true + wrong_s, synced=False, up_s=up_s)
            start_clock(self.store, self.clock, lambda: self.kernel)  # type: ignore[arg-type]
            self.keeper = Timekeeper(self.store, self.clock, lambda: None)  # type: ignore[arg-type]
            yield self.store

    def passes(self, seconds: float) -> None:
        self.true += seconds
        self.clock.advance(seconds)

    def hears(self) -> None:
        """A time server steps the wall clock to the true time."""
        self.clock.step_wall(self.true - self.clock.now() - self.clock.wall_offset())
        self.keeper.look()

    def alert(self) -> tuple[Event, float]:
        """One opens now; it, and the true time."""
        event = replace(
            self.device.event(self.number), opened=self.clock.now(), seen=self.clock.now()
        )
        self.number += 1
        word = self.clock.correction.word
        draft = Draft(
            f"{event.id}/open", "alert", event.opened,
            dump(alert_document(event, self.device.ABOUT)), priority=0, clock=word,
        )  # fmt: skip
        self.store.record(Batch(opened=(Opened(event, self.device.ABOUT),), messages=(draft,)))
        return event, self.true


@pytest.fixture
def board(state: Path, device: SimpleNamespace) -> Board:
    return Board(state, device)


@pytest.mark.parametrize("wrong_s", WRONG.values(), ids=WRONG.keys())
def test_what_waits_is_put_right_once_a_time_server_is_heard(board: Board, wrong_s: float) -> None:
    with board.starts(wrong_s) as store:
        event, opened_at = board.alert()
        (before,) = store.outbox.pending()
        assert (before.clock, before.body["opened"]) == ("unsynced", rfc3339(event.opened))
        board.passes(100.0)
        board.hears()
        _, later_at = board.alert()
        first, second = store.outbox.pending()
        assert (first.seq, first.id, first.boot) == (before.seq, before.id, before.boot)
        assert (first.clock, second.clock) == ("corrected", "synced")
        assert first.time == pytest.approx(opened_at, abs=1e-3)
        assert second.time == pytest.approx(later_at, abs=1e-3)
        assert parse_rfc3339(first.body["opened"]) == pytest.approx(opened_at, abs=2e-3)
        assert {**first.body, "opened": None} == {**before.body, "opened": None}
        assert first.time < second.time
    with open_reader(board.state) as reader:
        told = [stored.event.opened for stored in reader.events()]
        assert told == pytest.approx([later_at, opened_at], abs=1e-3)


@pytest.mark.parametrize("wrong_s", WRONG.values(), ids=WRONG.keys())
def test_starts_with_the_machine_on_are_put_right_together(board: Board, wrong_s: float) -> None:
    """The service crashed before it heard of a server; its next start hears of one."""
    with board.starts(wrong_s):
        _, first_at = board.alert()
        board.passes(50.0)
    with board.starts(-7200.0, up_s=110.0) as store:  # somebody set the wall clock in between
        board.passes(10.0)
        board.hears()
        (message,) = store.outbox.pending()
        assert (message.boot, message.clock) == (1, "corrected")
        assert message.time == pytest.approx(first_at, abs=1e-3)


def test_a_start_before_the_machine_was_off_stays_unsynced(board: Board) -> None:
    with board.starts(WRONG["1970"]) as store:
        event, _ = board.alert()
        board.passes(50.0)
    board.kernel = "b"
    board.true += 5000.0
    with board.starts(WRONG["1970"]) as store:
        told = store.interrupt_open(
            lambda stored: Draft(f"{stored.event.id}/close", "alert", stored.event.seen, "{}")
        )
        board.hears()
        opened, closed = store.outbox.pending()
        assert [each.event.id for each in told] == [event.id]
        assert [(each.boot, each.clock) for each in (opened, closed)] == [(1, "unsynced")] * 2
        assert closed.time == event.seen


def test_what_a_synced_boot_left_open_is_closed_at_its_own_time(board: Board) -> None:
    """The next boot is in 1970 and is put right later: that is not added to another's times."""
    with board.starts(-3600.0):
        board.hears()
        _, opened_at = board.alert()
    board.kernel = "b"
    with board.starts(WRONG["1970"]) as store:
        store.interrupt_open(
            lambda stored: Draft(f"{stored.event.id}/close", "alert", stored.event.seen, "{}")
        )
        board.hears()
        closed = store.outbox.pending()[-1]
        assert (closed.boot, closed.clock) == (1, "synced")
        assert closed.time == pytest.approx(opened_at, abs=1e-3)


def test_steps_without_a_server_are_not_heard_and_a_servers_are(board: Board) -> None:
    with board.starts() as store:
        board.clock.step_wall(0.0, synced=True)
        board.keeper.look()
        assert board.clock.correction == Correction(0.0, True)
        for step in (TEN_YEARS, -2 * TEN_YEARS):
            board.clock.step_wall(step, synced=False)
            board.keeper.look()
            assert board.clock.correction == Correction(0.0, True)
        board.clock.step_wall(TEN_YEARS + 3600.0, synced=True)
        board.keeper.look()
        assert board.clock.correction == Correction(3600.0, True)
        board.clock.step_wall(STEP_S / 2, synced=True)  # it is steered, not set
        board.keeper.look()
        assert board.clock.correction == Correction(3600.0, True)
        event, _ = board.alert()
        (message,) = store.outbox.pending()
        assert message.clock == "synced"
        assert message.time == pytest.approx(event.opened + 3600.0)


def test_order_of_boot_and_seq_is_the_order_of_writing(board: Board) -> None:
    ids = []
    for wrong_s in (0.0, TEN_YEARS, WRONG["1970"], -3600.0):
        board.kernel += "x"
        with board.starts(wrong_s):
            ids += [board.alert()[0].id for _ in range(3)]
            board.hears()
            ids += [board.alert()[0].id for _ in range(3)]
            board.passes(10.0)
    with open_reader(board.state) as reader:
        messages = reader.messages(1, 1000)
        assert [each.id.split("/")[0] for each in messages] == ids
        assert sorted(messages, key=lambda each: (each.boot, each.seq)) == messages
        assert [stored.event.id for stored in reader.events(EventFilter(limit=None))] == ids[::-1]
        times = [each.time for each in messages]
        assert times == sorted(times)
        assert reader.events(EventFilter(since=NOW - 1.0, limit=None))[-1].event.id == ids[0]
        assert reader.events(EventFilter(since=NOW + 25.0, limit=None))[-1].event.id == ids[18]


def test_why_and_the_ledger_find_a_moment_by_its_true_time(board: Board) -> None:
    with board.starts(WRONG["1970"]) as store:
        began = board.clock.now()
        board.alert()
        board.passes(60.0)
        skip = Judged("skip", "yard", board.clock.now() - 5.0, 7, ())
        row = FramesRow("yard", began, board.clock.now(), 3, {})
        store.record(Batch(judged=(skip,), frames=(row,)))
        board.hears()
    with open_reader(board.state) as reader:
        window = reader.window_at("yard", board.true - 30.0)
        assert window is not None
        assert (window.began, window.ended) == pytest.approx((NOW, NOW + 60.0))
        assert reader.window_at("yard", began + 30.0) is None
        (found,) = (each for each in reader.near("yard", NOW + 55.0) if each.kind == "skip")
        assert found.time == pytest.approx(NOW + 55.0)
        assert reader.last_status().written == pytest.approx(NOW + 60.0)
        assert len(reader.events_before(reader.events()[0].event.pipeline, NOW + 1.0, 5)) == 1


@pytest.mark.parametrize("wrong_s", WRONG.values(), ids=WRONG.keys())
def test_coverage_sums_up_to_the_true_time_across_a_wrong_start(
    board: Board, wrong_s: float
) -> None:
    key = ("yard", "seen")
    with board.starts() as store:
        board.hears()
        began = board.clock.now()
        board.passes(100.0)
        watched = Stretch.of(began, board.clock.now(), WATCHING)
        store.record(Batch(coverage=(CoverageRow(*key, watched),)))
    board.kernel = "b"
    board.true += 5000.0  # without power
    with board.starts(wrong_s) as store:
        since = store.resume_coverage(())[key]
        off = Stretch.of(since.time, board.clock.now(), blind(since.cause))
        assert off.seconds == pytest.approx(0.001, abs=1e-4)  # nobody knows how long it was
        began = board.clock.now()
        board.passes(100.0)
        board.hears()
        watched = Stretch.of(began, board.clock.now(), WATCHING)
        rows = (CoverageRow(*key, off), CoverageRow(*key, watched))
        store.record(Batch(coverage=rows))
    with open_reader(board.state) as reader:
        told = [row.stretch for row in reader.coverage(0.0)]
    assert [each.attention.cause for each in told] == [Cause.NONE, Cause.POWER_OFF, Cause.NONE]
    assert [each.seconds for each in told] == pytest.approx([100.0, 5000.0, 100.0], abs=1e-3)
    assert sum(each.seconds for each in told) == pytest.approx(board.true - NOW, abs=1e-3)
    assert [each.began for each in told[1:]] == pytest.approx([each.ended for each in told[:-1]])


def test_what_a_kill_took_is_declared_however_the_clock_went_since(board: Board) -> None:
    with board.starts(TEN_YEARS) as store:
        store.watching(("yard",), board.clock.now())
        board.passes(20.0)
    with board.starts(WRONG["1970"], up_s=90.0) as store:  # the machine stayed on: it is known
        assert store.declare_unaccounted(board.clock.now(), 61.0) == pytest.approx({"yard": 30.0})
        store.watching(("yard",), board.clock.now())
    board.kernel = "b"
    with board.starts(WRONG["1970"] - 20.0) as store:
        assert store.declare_unaccounted(board.clock.now(), 61.0) == {"yard": 61.0}


# --- retention: the age of rows -------------------------------------------------------------------

DAY_S = 86400.0


def keep(board: Board, days: float) -> int:
    """What is older goes; how many events are left."""
    limits = Limits(quota=64 * MB, keep_s=days * DAY_S, evidence_keep_s=days * DAY_S, floor=0)
    retention = Retention(board.store.database, board.store.outbox, board.store.identity)
    while retention.look(limits, board.clock.now()):
        pass
    with board.store.database.reading() as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def close_all(board: Board) -> None:
    board.store.interrupt_open(lambda stored: None)


def lives(board: Board, days: int) -> None:
    """An event a day, and the ledger's row that tells how long the boot lasted."""
    began = board.clock.now()
    for _ in range(days):
        board.alert()
        board.passes(DAY_S)
    board.store.record(Batch(frames=(FramesRow("yard", began, board.clock.now(), 1, {}),)))


@pytest.mark.parametrize("wrong_s", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("hears", [True, False])
def test_a_wrong_clock_at_a_start_ages_nothing_by_more_than_a_week(
    board: Board, wrong_s: float, hears: bool
) -> None:
    with board.starts():
        board.hears()
        lives(board, 30)
    board.kernel = "b"
    with board.starts(wrong_s):
        close_all(board)
        assert keep(board, 30.5) == 30
        if hears:
            board.hears()
            assert keep(board, 30.5) == 30


def test_a_server_that_lies_by_ten_years_costs_a_week_at_most(board: Board) -> None:
    with board.starts():
        board.hears()
        lives(board, 30)
    board.kernel = "b"
    board.true += TEN_YEARS
    with board.starts():
        board.hears()
        close_all(board)
        assert MOST_AWAY_S == 7 * DAY_S
        assert keep(board, 30.5) == 30 - 7
        board.clock.step_wall(TEN_YEARS)  # in mid-run: nothing
        board.keeper.look()
        assert keep(board, 30.5) == 30 - 7


def test_what_was_kept_in_1970_is_not_kept_for_ever(board: Board) -> None:
    """Its own seconds count, start after start, and no time server ever comes."""
    for number in range(4):
        board.kernel = f"start {number}"
        with board.starts(30.0 - board.true):
            close_all(board)
            lives(board, 10)
            left = keep(board, 15.5)
    assert left == 10 + 5  # and the ten that are open


def test_power_off_between_two_right_clocks_counts(board: Board) -> None:
    with board.starts():
        board.hears()
        lives(board, 5)
    board.kernel, board.true = "b", board.true + 3 * DAY_S
    with board.starts(WRONG["1970"]):
        close_all(board)
        assert keep(board, 5.5) == 5  # nobody knows yet
        board.hears()
        assert keep(board, 5.5) == 2
