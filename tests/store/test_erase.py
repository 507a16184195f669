"""Erased is gone: no byte of it in database, log or evidence; receivers are told its numbers."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from completeness import Completeness

from edge_agent.errors import EdgeError, UsageError
from edge_agent.policy.envelope import Sender, encode
from edge_agent.store import erase as erasing
from edge_agent.store.erase import erase
from edge_agent.store.evidence import STILLS_FOLDER
from edge_agent.store.labels import Label
from edge_agent.store.record import Store
from edge_agent.store.rows import Batch, Opened
from edge_agent.types import Decision, Priority

SECRET = "Q7-the-person-with-the-red-hat"


def secret_event(device: SimpleNamespace, state: Path, number: int) -> object:
    """One with its secret everywhere: text, label, decisions, picture."""
    path = Path(f"evidence/2023/11/{device.event(number).id}.jpg")
    (state / path).parent.mkdir(parents=True, exist_ok=True)
    for end in (".jpg", ".json"):
        (state / path).with_suffix(end).write_text(SECRET * 50)
    return device.event(
        number, text=SECRET * 40, label=SECRET, decisions=(Decision("gate", SECRET, {}),),
        evidence=({"kind": "snapshot", "path": str(path)},),
    )  # fmt: skip


def left(state: Path) -> list[str]:
    """Files in which a part of the secret still stands."""
    return [
        path.name
        for path in state.rglob("*")
        if path.is_file() and SECRET[:12].encode() in path.read_bytes()
    ]


@pytest.fixture
def secret(store: Store, device: SimpleNamespace, state: Path) -> str:
    """Its id: between others, closed, its opening sent and its closing not."""
    event = secret_event(device, state, 500)
    for number in range(30):
        store.record(device.opening(device.event(number)))
        store.record(device.closing(device.closed(device.event(number))))
    (seq,) = store.record(device.opening(event))
    store.outbox.acknowledge([seq])
    store.record(device.closing(device.closed(event)))
    store.label(Label(event.id, True, 1.7e9, "cli"))
    asked_for = state / STILLS_FOLDER / "1.jpg"
    asked_for.parent.mkdir(parents=True)
    asked_for.write_text(SECRET)
    for number in range(30, 60):
        store.record(device.opening(device.event(number)))
    with store.database.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    assert set(left(state)) >= {"edge.db", f"{event.id}.jpg"}
    return str(event.id)


def test_no_byte_of_it_is_left_and_receivers_are_told(
    store: Store, device: SimpleNamespace, state: Path, secret: str
) -> None:
    done = erase(store, [secret], 1e9)
    assert (done.events, done.messages, done.files) == (1, 2, 3)
    assert left(state) == []
    came = Completeness()
    for message in store.outbox.pending(1000):
        came.take(message.topic, {"seq": message.seq, "id": message.id, "data": dict(message.body)})
    assert came.reasons == {"erased": 2}
    assert came.lost == {61, 62}
    assert came.missing(store.outbox.depth().last_seq) == set()
    assert came.bodies[f"lost/{store.identity.store[:8]}/61"]["counts"] == {"alert": 2}
    with store.database.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (60,)
        assert connection.execute("SELECT count(*) FROM labels").fetchone() == (0,)


def test_an_alert_whose_messages_were_evicted_is_named_by_its_id(
    store: Store, device: SimpleNamespace, secret: str
) -> None:
    """The receiver still has them, and their numbers are not known any more."""
    with store.database.transaction() as connection:
        connection.execute("DELETE FROM outbox WHERE id = ?", (f"{secret}/open",))
    whole = device.event(3).id
    done = erase(store, [whole, secret], 1e9)
    assert (done.events, done.messages) == (2, 3)
    (told,) = [each for each in store.outbox.pending(1000) if each.topic == "lost"]
    assert told.seq == done.lost_seq
    assert told.body["events"] == [secret]
    assert told.body["counts"] == {"alert": 3}
    schema = resources.files("edge_agent") / "schemas" / "mqtt-lost.json"
    sent = json.loads(encode(told, Sender("dock", store.identity.store, 1), told.time))
    jsonschema.validate(sent, json.loads(schema.read_text("utf-8")))


def test_many_that_are_named_are_told_in_parts_and_what_was_no_alert_is_not(
    store: Store, device: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "NAMED", 2)
    low = device.event(99, priority=Priority.NOTICE)
    for event in (*map(device.event, range(5)), low):
        store.record(Batch(opened=(Opened(event, device.ABOUT),)))
        store.record(Batch(closed=(device.closed(event),)))
    ids = [device.event(number).id for number in range(5)]
    done = erase(store, [*ids, low.id], 1e9)
    told = store.outbox.pending(100)
    assert [each.body["events"] for each in told] == [ids[:2], ids[2:4], ids[4:]]
    assert (done.messages, done.lost_seq) == (0, told[0].seq)
    assert all(each.body["ranges"] == [] for each in told)


def test_an_old_copy_in_the_log_goes_too(
    store: Store, device: SimpleNamespace, state: Path, secret: str
) -> None:
    """A database that was set aside, and what an update left on free pages."""
    (state / "edge.db.damaged-1").write_text(SECRET)
    with store.database.transaction() as connection:
        connection.execute("UPDATE events SET advice = ? WHERE id = ?", (SECRET * 90, secret))
        connection.execute("UPDATE events SET advice = NULL WHERE id = ?", (secret,))
    erase(store, [secret], 1e9)
    assert left(state) == []


def test_an_open_event_is_left_alone(store: Store, device: SimpleNamespace, secret: str) -> None:
    still_open = device.event(45).id
    with pytest.raises(UsageError, match="still open"):
        erase(store, [secret, still_open], 1e9)
    with store.database.reading() as connection:  # all or nothing
        assert connection.execute("SELECT count(*) FROM events WHERE id = ?", (secret,)).fetchone()[
            0
        ]


def test_a_reader_in_the_way_is_named(
    store: Store, state: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "PATIENCE_S", 0.1)
    store.database.wait_at_most(0.1)
    with closing(sqlite3.connect(state / "edge.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(EdgeError, match="keeps old pages"):
            erase(store, [secret], 1e9)
    other = store.database.connection.execute("SELECT id FROM events WHERE closed > 0").fetchone()
    erase(store, [other[0]], 1e9)
    assert left(state) == []
