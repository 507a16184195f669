"""The one writer: what a batch leaves behind, and what a refused one does not."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.errors import EdgeError
from edge_agent.policy.documents import About, event_document
from edge_agent.store import decisions
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Draft, FramesRow, Judged, Opened, Summary
from edge_agent.types import Decision, Event, Priority


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.database.reading() as connection:
        return connection.execute(sql).fetchall()


def counts(store: Store) -> dict[str, int]:
    tables = ("events", "outbox", "decisions", "frames", "summaries")
    return {name: rows(store, f"SELECT count(*) FROM {name}")[0][0] for name in tables}


def test_event_and_its_message_are_recorded_together(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    event = device.event(1)
    assert store.record(device.opening(event)) == (1,)
    with open_reader(state) as reader:
        stored = reader.event(event.id)
    assert (stored.event, stored.about, stored.boot) == (event, device.ABOUT, 1)
    (message,) = store.outbox.pending()
    assert (message.id, message.topic, message.boot) == (f"{event.id}/open", "alert", 1)
    assert message.body["phase"] == "open"


def test_closing_brings_the_final_values(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    event = device.event(1)
    store.record(device.opening(event))
    why = (*event.decisions, Decision("close", "cleared", {"gone_s": 3.0}))
    final = replace(device.closed(event), count=4, text="four persons", decisions=why)
    assert store.record(device.closing(final)) == (2,)
    with open_reader(state) as reader:
        assert reader.event(event.id).event == final
        assert reader.open_events() == ()


def test_event_that_opens_and_closes_in_one_frame(store: Store, device: SimpleNamespace) -> None:
    event = device.event(1)
    end = device.closed(event, after=1.0)
    batch = Batch(
        opened=(Opened(event, device.ABOUT),),
        closed=(end,),
        messages=(device.message(event), device.message(end)),
    )
    assert store.record(batch) == (1, 2)


def test_open_event_is_kept_up_to_date_and_a_closed_one_is_not_touched(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    one, two = device.event(1), device.event(2)
    store.record(device.opening(one))
    store.record(device.opening(two))
    end = device.closed(two)
    store.record(device.closing(end))
    later = replace(one, seen=one.seen + 60, score_max=0.95, count=2)
    store.record(Batch(seen=(later, replace(two, seen=two.seen + 60))))
    with open_reader(state) as reader:
        assert reader.event(one.id).event == later
        assert reader.event(two.id).event == end


def test_same_event_twice_is_refused_and_nothing_is_written(
    store: Store, device: SimpleNamespace
) -> None:
    store.record(device.opening(device.event(1)))
    before = counts(store)
    again = device.opening(device.event(1))
    with pytest.raises(EdgeError, match="is in this store already") as refused:
        store.record(replace(again, messages=()))
    assert "--store" in refused.value.next
    assert counts(store) == before


def test_closing_what_is_not_open_is_our_own_mistake(store: Store, device: SimpleNamespace) -> None:
    event = device.event(1)
    with pytest.raises(LookupError, match="is not open"):
        store.record(device.closing(device.closed(event)))
    store.record(device.opening(event))
    store.record(device.closing(device.closed(event)))
    with pytest.raises(LookupError, match="is not open"):
        store.record(device.closing(device.closed(event)))
    assert [message.seq for message in store.outbox.pending()] == [1, 2]


@pytest.mark.parametrize("id_", ["{0}/close", "ffff/open", "summary"])
def test_alert_of_no_event_in_its_batch_is_refused(
    store: Store, device: SimpleNamespace, id_: str
) -> None:
    event = device.event(1)
    stray = Draft(id_.format(event.id), "alert", 1.0, "{}", 0)
    with pytest.raises(ValueError, match="belongs to no event"):
        store.record(replace(device.opening(event), messages=(stray,)))
    twice = device.message(event)
    with pytest.raises(ValueError, match="belongs to no event"):
        store.record(replace(device.opening(event), messages=(twice, twice)))
    assert counts(store)["events"] == 0


def test_id_of_any_other_message_is_unique(store: Store, device: SimpleNamespace) -> None:
    one = Draft("summary/1", "summary", 1.0, "{}")
    assert store.record(Batch(messages=(one,))) == (1,)
    with pytest.raises(sqlite3.IntegrityError):
        store.record(replace(device.flush(1), messages=(replace(one, body='{"a":1}'),)))
    assert counts(store)["frames"] == 0
    assert store.record(Batch(messages=(replace(one, id="summary/2"),))) == (2,)


def test_ledger_row_counts_what_was_decided(state: Path, store: Store) -> None:
    row = FramesRow("people", 0.0, 60.0, 20, {"motion": 270, "rate": 8}, failed=2, pending=1)
    store.record(Batch(frames=(row,), summaries=(Summary("people", 0.0, 60.0, '{"a":1}'),)))
    assert rows(store, "SELECT captured, inferred, failed, pending, boot FROM frames") == [
        (300, 20, 2, 1, 1)
    ]
    assert rows(store, "SELECT pipeline, body FROM summaries") == [("people", '{"a":1}')]
    with open_reader(state) as reader:
        assert reader.windows() == (row,)


def test_misses_are_pruned_per_pipeline_and_events_keep_their_reasons(
    state: Path, store: Store, device: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "KEPT", 20)
    event = device.event(1)
    store.record(device.opening(event))
    store.record(Batch(judged=(Judged("skip", "other", 0.0, 1, ()),)))
    for number in range(100):
        store.record(device.flush(number))
    times = rows(store, "SELECT time FROM decisions WHERE kind = 'miss' ORDER BY n")
    assert 20 <= len(times) <= 22
    assert times[-1] == (60.0 * 99,)
    assert rows(store, "SELECT count(*) FROM decisions WHERE kind = 'skip'") == [(1,)]
    with open_reader(state) as reader:
        assert reader.event(event.id).event.decisions == event.decisions


def test_what_a_crash_left_open_is_closed_as_interrupted(
    state: Path, device: SimpleNamespace
) -> None:
    alert, notice = device.event(1), device.event(2, priority=Priority.NOTICE)
    seen = replace(alert, seen=alert.seen + 30)
    done = device.event(3)
    with open_store(state) as store:
        store.start()
        store.record(device.opening(alert))
        store.record(Batch(opened=(Opened(notice, device.ABOUT),), seen=(seen,)))
        store.record(device.opening(done))
        store.record(device.closing(device.closed(done)))
    with open_store(state) as store:
        store.start()
        store.record(device.opening(device.event(4)))  # of this boot: not touched
        told = store.interrupt_open(
            lambda stored: (
                device.message(stored.event) if stored.event.priority is Priority.ALERT else None
            )
        )
        last = store.outbox.pending()[-1]
    assert [(each.event.id, each.boot) for each in told] == [(alert.id, 1), (notice.id, 1)]
    with open_reader(state) as reader:
        closed = reader.event(alert.id).event
        assert (closed.closed, closed.close_reason) == (seen.seen, "interrupted")
        assert reader.event(notice.id).event.close_reason == "interrupted"
        assert [stored.event.id for stored in reader.open_events()] == [device.event(4).id]
    # Its times are on the clock of the boot that it happened in.
    assert (last.seq, last.id, last.boot) == (5, f"{alert.id}/close", 1)
    assert last.body["close_reason"] == "interrupted"


def test_clean_start_writes_nothing(state: Path, device: SimpleNamespace) -> None:
    with open_store(state) as store:
        store.start()
        assert store.interrupt_open(lambda stored: device.message(stored.event)) == ()
        assert counts(store)["outbox"] == 0


def test_text_behind_a_config_is_kept_once_it_is_known(
    state: Path, store: Store, device: SimpleNamespace
) -> None:
    sha = device.ABOUT.config_sha256
    store.record(device.opening(device.event(1)))
    with open_reader(state) as reader:
        assert reader.config(sha) is None
        store.keep_config(sha, '{"rules":[]}')
        store.keep_config("ef" * 32, "{}")
        assert reader.config(sha) == '{"rules":[]}'
        assert reader.config("ef" * 32) == "{}"
        assert reader.config("00" * 32) is None
    assert rows(store, "SELECT count(*) FROM configs") == [(2,)]


def test_models_and_configs_are_stored_once(store: Store, device: SimpleNamespace) -> None:
    other = replace(device.ABOUT, version="1.3.0")
    for number in range(6):
        about = other if number % 2 else device.ABOUT
        event = device.event(number)
        store.record(Batch(opened=(Opened(event, about),), messages=(device.message(event),)))
    assert rows(store, "SELECT version FROM models ORDER BY n") == [("1.2.0",), ("1.3.0",)]
    assert rows(store, "SELECT count(*) FROM configs") == [(1,)]


def test_newest_outbox_row_cannot_be_deleted(store: Store, device: SimpleNamespace) -> None:
    """The highest seq lives in the table itself: a clean-up of sent rows cannot lose it."""
    for number in range(3):
        store.record(device.opening(device.event(number)))
    with (
        pytest.raises(sqlite3.IntegrityError, match="must stay"),
        store.database.transaction() as c,
    ):
        c.execute("DELETE FROM outbox")
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM outbox WHERE seq < 3")
    assert store.record(device.opening(device.event(9))) == (4,)


def test_many_threads_share_one_sequence(store: Store, device: SimpleNamespace) -> None:
    seqs: list[int] = []

    def work(worker: int) -> None:
        for number in range(20):
            one = device.event(number, worker)
            given = store.record(device.opening(one))
            store.outbox.acknowledge(given)
            given += store.record(device.closing(device.closed(one)))
            seqs.extend(given)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 241))
    assert store.outbox.depth().depth == 120
    assert rows(store, "SELECT count(*) FROM events WHERE closed IS NULL") == [(0,)]


def test_alert_costs_at_most_25_kb(store: Store, device: SimpleNamespace) -> None:
    """Bytes handed to write(), checkpoint included: opened, closed and both acknowledged."""

    def handed_over() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["wchar"])

    before = handed_over()
    for number in range(200):
        event = device.event(number)
        store.outbox.acknowledge(store.record(device.opening(event)))
        store.outbox.acknowledge(store.record(device.closing(device.closed(event))))
    store.outbox.settle()
    with store.database.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert (handed_over() - before) / 200 <= 25_000


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.floats(-1e6, 1e6) | st.integers(-(10**9), 10**9) | st.booleans() | st.none() | text
unit = st.floats(0, 1)


def test_what_a_boot_took_with_it_is_declared_once(tmp_path: Path) -> None:
    def boot(
        *rows: FramesRow, watches: float | None = 940.0, stops: bool = False
    ) -> dict[str, float]:
        """Start at second 1000, watch, write rows, and end; what was declared at the start."""
        with open_store(tmp_path) as store:
            store.start()
            declared = store.declare_unaccounted(1000.0, 61.0)
            if watches is not None:
                store.watching(("people", "cars"), watches)
            store.record(Batch(frames=rows))
            if stops:
                store.settled()
        return declared

    assert boot(FramesRow("people", 0.0, 980.0, 1, {})) == {}  # there was no boot before
    # "people" wrote 20 s ago; "cars" never did, so all that it watched is gone.
    assert boot(stops=True) == {"people": 20.0, "cars": 60.0}
    assert boot(FramesRow("people", 980.0, 2000.0, 1, {}), watches=0.0) == {}  # a clean stop
    # The clock stands before the last window of one, so it tells nothing: a flush at most is gone.
    assert boot(watches=None) == {"people": 61.0, "cars": 61.0}
    assert boot(watches=988.0) == {}  # the one before failed at its start and watched nothing
    assert boot(stops=True) == {"people": 12.0, "cars": 12.0}  # killed after 12 s, not after 61
    with open_reader(tmp_path) as reader:
        declared = [row for row in reader.windows() if row.unaccounted_s]
        assert all(row.captured == 0 for row in declared)
        assert FramesRow("people", 980.0, 1000.0, 0, {}, unaccounted_s=20.0) in declared


def test_a_pipeline_of_a_reload_loses_from_the_reload_on(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.start()
        store.watching(("people",), 100.0)
        store.watching(("people", "cars"), 150.0)
    with open_store(tmp_path) as store:
        store.start()
        assert store.declare_unaccounted(160.0, 61.0) == {"cars": 10.0, "people": 60.0}


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    times = sorted(draw(st.tuples(*[st.floats(-1e9, 4e9)] * 3)))
    closed = draw(st.none() | st.just(times[2]))
    return Event(
        id=f"{draw(st.integers(0, 2**64 - 1)):016x}",
        pipeline=draw(text),
        source=draw(text),
        rule=draw(text),
        priority=draw(st.sampled_from(Priority)),
        label=draw(st.none() | text),
        zone=draw(st.none() | text),
        text=draw(text),
        opened=times[0],
        seen=times[1],
        closed=closed,
        close_reason=None if closed is None else "cleared",
        score_max=draw(unit),
        score_median=draw(unit),
        track=draw(st.none() | st.integers(0, 2**40)),
        count=draw(st.integers(0, 10**6)),
        box=draw(st.none() | st.tuples(unit, unit, unit, unit)),
        frame=draw(st.integers(0, 2**40)),
        input=draw(st.none() | text),
        evidence=draw(st.sampled_from([(), ({"path": "人.jpg", "bytes": 3},)])),
        decisions=tuple(
            Decision(stage, verdict, numbers)
            for stage, verdict, numbers in draw(
                st.lists(
                    st.tuples(text, text, st.dictionaries(text, number, max_size=3)), max_size=3
                )
            )
        ),
        advice=draw(st.none() | text),
    )


@given(events=st.lists(any_event(), min_size=1, max_size=3, unique_by=lambda event: event.id))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_document_of_a_stored_event_is_the_document_of_the_event(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    about = About("人", "1", "ab" * 32, "litert 2.3.0", "cd" * 32)
    state = tmp_path_factory.mktemp("state")
    with open_store(state) as store:
        store.record(Batch(opened=tuple(Opened(event, about) for event in events)))
    with open_reader(state) as reader:
        for event in events:
            stored = reader.event(event.id)
            document = event_document(event, about)
            assert json.dumps(event_document(stored.event, stored.about)) == json.dumps(document)


def test_of_a_locked_file_only_the_first_waits(state: Path, store: Store) -> None:
    """Many threads that waited one after the other would count as hanging."""

    def patience_ms() -> int:
        return int(rows(store, "PRAGMA busy_timeout")[0][0])

    frames = Batch(frames=(FramesRow("dock", 0.0, 1.0, 1, {}),))
    patient = patience_ms()
    other = sqlite3.connect(state / "edge.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(EdgeError, match="locked"):
        store.record(frames)
    assert patience_ms() < patient / 10
    other.execute("ROLLBACK")
    other.close()
    store.record(frames)
    assert patience_ms() == patient
