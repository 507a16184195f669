"""The queue: order, acknowledgements that ride along, and how deep it is."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_agent.service.scribe import Scribe
from edge_agent.store import outbox, renew, wal
from edge_agent.store.db import Tuning
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Depth, Draft


@pytest.fixture
def ten(store: Store, device: SimpleNamespace) -> Store:
    """A store with ten unsent alerts, seq 1 to 10."""
    for number in range(10):
        store.record(device.opening(device.event(number)))
    return store


def seqs(store: Store, *arguments: int) -> list[int | None]:
    return [message.seq for message in store.outbox.pending(*arguments)]


def in_file(state: Path) -> int:
    """How much is unsent by what stands in the database."""
    with open_reader(state) as reader:
        return reader.last_status().outbox.depth


def test_messages_come_in_the_order_of_their_seq(ten: Store) -> None:
    assert seqs(ten) == list(range(1, 11))
    assert seqs(ten, 3) == [1, 2, 3]
    assert seqs(ten, 3, 8) == [9, 10]


def test_message_comes_back_as_it_was_drafted(store: Store) -> None:
    draft = Draft("s/1", "summary", 12.5, '{"labels":{"人":3}}', priority=2, clock="unsynced")
    store.record(Batch(messages=(draft,)))
    (message,) = store.outbox.pending()
    assert (message.id, message.topic, message.time) == ("s/1", "summary", 12.5)
    assert (message.qos, message.retain) == (1, False)
    assert (message.boot, message.clock) == (1, "unsynced")
    assert message.body == {"labels": {"人": 3}}


def test_acknowledged_is_never_offered_again_and_rides_with_the_next_write(
    state: Path, ten: Store, device: SimpleNamespace
) -> None:
    ten.outbox.acknowledge([1, 2, 5])
    assert seqs(ten) == [3, 4, 6, 7, 8, 9, 10]
    assert seqs(ten, 3) == [3, 4, 6]
    assert ten.outbox.depth() == Depth(7, 3, 10, 10)
    assert in_file(state) == 10  # no write of its own
    ten.record(device.flush(0))
    assert in_file(state) == 7
    assert ten.outbox.depth() == Depth(7, 3, 10, 10)


def test_settling_writes_at_once(state: Path, ten: Store) -> None:
    ten.outbox.acknowledge(range(1, 11))
    ten.outbox.settle()
    assert in_file(state) == 0
    assert ten.outbox.depth() == Depth(0, None, None, 10)


def test_backlog_is_acknowledged_by_the_hundred(
    state: Path, ten: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "WAITING", 5)
    ten.outbox.acknowledge([1, 2, 3])
    assert in_file(state) == 10
    ten.outbox.acknowledge([4, 5, 6])
    assert in_file(state) == 4


def test_closing_the_store_settles(state: Path, device: SimpleNamespace) -> None:
    with open_store(state) as store:
        store.outbox.acknowledge(store.record(device.opening(device.event(1))))
    assert in_file(state) == 0
    with open_store(state) as store:
        assert store.record(device.opening(device.event(2))) == (2,)


def test_repeated_and_unknown_acknowledgements_change_nothing(ten: Store) -> None:
    ten.outbox.acknowledge([1, 1, 99])
    ten.outbox.settle()
    ten.outbox.acknowledge([1])
    assert ten.outbox.depth() == Depth(9, 2, 10, 10)


def test_failed_write_keeps_the_acknowledgements(
    state: Path, ten: Store, device: SimpleNamespace
) -> None:
    ten.outbox.acknowledge([1, 2])
    with pytest.raises(LookupError):
        ten.record(device.closing(device.closed(device.event(77))))
    assert in_file(state) == 10
    assert ten.outbox.depth().depth == 8
    ten.outbox.settle()
    assert in_file(state) == 8


def test_empty_queue_says_so(store: Store) -> None:
    assert store.outbox.pending() == []
    assert store.outbox.depth() == Depth(0, None, None, 0)


def test_what_the_broker_refused_is_declared_and_kept_like_what_was_sent(ten: Store) -> None:
    declared = ten.outbox.give_up([2, 3, 99], "refused", 5.0)
    assert declared == 11
    assert seqs(ten) == [1, 4, 5, 6, 7, 8, 9, 10, 11]
    assert ten.outbox.pending()[-1].body["ranges"] == [[2, 3]]
    assert ten.outbox.give_up([2], "refused", 6.0) is None
    with ten.database.reading() as connection:
        kept = outbox.rows_between(connection, 1, 4)
    assert [message.seq for message in kept] == [1, 2, 3, 4]


def test_urgent_rows_are_asked_for_apart(ten: Store) -> None:
    drafts = tuple(Draft(f"s/{n}", "summary", 1.0, "{}") for n in range(3))
    ten.record(Batch(messages=drafts))
    assert [m.seq for m in ten.outbox.pending(100, 8, True)] == [9, 10]
    assert [m.seq for m in ten.outbox.pending(100, 0, False)] == [11, 12, 13]
    assert [m.seq for m in ten.outbox.pending(2, 9)] == [10, 11]


def test_no_question_of_the_publisher_looks_at_every_row(ten: Store) -> None:
    with ten.database.reading() as connection:
        for urgent in outbox.URGENCIES:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {outbox._lane(urgent)}", (0, 1))
            steps = [step for *_, step in plan]
            assert any("outbox USING INDEX outbox_unsent" in step for step in steps), steps
            assert not any(step.startswith("SCAN") and "outbox" in step for step in steps), steps


# --- whoever sends never waits for the disk ------------------------------------------------------


def test_the_depth_follows_what_is_rolled_back_and_what_another_process_does(
    state: Path, ten: Store, device: SimpleNamespace
) -> None:
    assert ten.outbox.depth().depth == 10
    with pytest.raises(sqlite3.IntegrityError), ten.database.transaction() as connection:
        connection.execute("DELETE FROM outbox")  # the newest stays, hence all of them
    assert ten.outbox.depth() == Depth(10, 1, 10, 10)
    with suppress(KeyError), ten.database.transaction() as connection:
        connection.execute("DELETE FROM outbox WHERE seq < 5")
        connection.execute("UPDATE outbox SET sent = 1 WHERE seq = 6")
        raise KeyError
    assert ten.outbox.depth() == Depth(10, 1, 10, 10)
    with open_store(state) as other:
        assert other.outbox.give_up([2, 3], "quota", 1.0) == 11
    assert ten.outbox.depth() == Depth(9, 1, 11, 11)
    with ten.database.transaction() as connection:
        connection.execute("UPDATE outbox SET sent = 1 WHERE seq = 4")
        connection.execute("UPDATE outbox SET sent = 2 WHERE seq = 4")
        connection.execute("UPDATE outbox SET sent = 1 WHERE seq = 5")
        connection.execute("UPDATE outbox SET sent = NULL WHERE seq = 5")
    assert ten.outbox.depth() == Depth(8, 1, 11, 11)
    ten.record(device.opening(device.event(99)))
    assert ten.outbox.depth() == Depth(9, 1, 12, 12)


def test_the_depth_follows_into_a_new_file(state: Path, ten: Store) -> None:
    ten.outbox.acknowledge([1])
    assert ten.outbox.depth() == Depth(9, 2, 10, 10)
    renew._exchange(ten.database)
    assert ten.outbox.depth() == Depth(9, 2, 10, 10)
    assert seqs(ten, 2) == [2, 3]
    ten.outbox.settle()
    assert ten.outbox.depth() == Depth(9, 2, 10, 10)


def test_while_somebody_writes_the_queue_is_read_and_acknowledged(ten: Store) -> None:
    assert ten.outbox.depth().depth == 10
    done: list[object] = []

    def send() -> None:
        done.append(seqs(ten, 3))
        ten.outbox.acknowledge([1, 2, 3])
        done.append(ten.outbox.depth())

    with ten.database.transaction() as connection:
        connection.execute("UPDATE outbox SET sent = 1 WHERE seq = 10")
        sender = threading.Thread(target=send)
        sender.start()
        sender.join(20)
        assert done == [[1, 2, 3], Depth(7, 4, 10, 10)]
    assert ten.outbox.depth() == Depth(6, 4, 9, 10)


def test_the_scribe_writes_what_was_acknowledged_and_the_log_before_it_is_full(
    state: Path, device: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, eventually
) -> None:
    monkeypatch.setattr(outbox, "WAITING", 5)
    stop = threading.Event()
    with open_store(state, Tuning(checkpoint_pages=200)) as store:
        store.start()
        scribe = threading.Thread(target=Scribe(store).run, args=(stop,))
        scribe.start()
        for number in range(10):
            store.record(device.opening(device.event(number)))
        store.outbox.acknowledge([1, 2])
        assert in_file(state) == 10
        store.outbox.acknowledge([3, 4, 5])
        eventually(lambda: in_file(state) == 5, "the scribe writes")
        while wal.to_copy(store.database) < wal.EARLY * 200:
            store.keep_wear("x" * 2000)
        eventually(lambda: wal.to_copy(store.database) < 100, "the scribe copies the log")
        stop.set()
        scribe.join(20)
        store.outbox.acknowledge([6, 7, 8, 9, 10])
        assert in_file(state) == 0  # nobody attends: it is written at once
        with store.database.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
