"""A damaged database is set aside and salvaged; the service gets a store in every case."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from completeness import Completeness

from edge_agent.errors import EdgeError
from edge_agent.store.record import Store, open_store
from edge_agent.store.salvage import MARKER, mark, open_sound

ALERTS = 60


@pytest.fixture
def lived(state: Path, device: SimpleNamespace) -> SimpleNamespace:
    """A store with events, half of whose messages were sent; it ended by a power cut."""
    store = open_store(state)
    store.start()
    for number in range(ALERTS):
        event = device.event(number)
        store.record(device.opening(event))
        store.record(device.closing(device.closed(event)))
        store.record(device.flush(number))
        if number == ALERTS // 2:
            store.outbox.acknowledge(range(1, ALERTS + 1))
    with store.database.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    name = store.identity.store
    store.record(device.opening(device.event(ALERTS)))  # stands in the log only
    shutil.copytree(state, state.with_name("cut"))  # as the power leaves it: with its log
    store.close()
    state = state.with_name("cut")
    (state / "edge.db-shm").unlink()
    return SimpleNamespace(state=state, name=name, messages=2 * ALERTS + 1, events=ALERTS + 1)


def overwritten(path: Path) -> None:
    chance, size = random.Random(5), path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(8):
            file.seek(chance.randrange(4096, size))
            file.write(chance.randbytes(900))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 3 // 4)


def without_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def nonsense(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def zeroed_log(path: Path) -> None:
    log = path.with_name("edge.db-wal")
    log.write_bytes(bytes(log.stat().st_size))


def check(store: Store) -> dict[str, int]:
    with store.database.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("events", "frames", "decisions", "outbox")
        }


@pytest.mark.parametrize("damage", [overwritten, truncated, without_header, nonsense])
def test_what_can_be_read_is_carried_over_and_the_rest_declared(
    lived: SimpleNamespace, device: SimpleNamespace, damage: Callable[[Path], None]
) -> None:
    for end in ("edge.db-wal", "edge.db-shm"):  # it would heal the file
        (lived.state / end).unlink(missing_ok=True)
    damage(lived.state / "edge.db")
    with open_sound(lived.state) as store:
        assert [each.code for each in store.troubles] == ["database_salvaged"]
        assert store.identity.store != lived.name
        store.start()
        store.interrupt_open(lambda stored: device.message(stored.event))
        counts = check(store)
        assert (lived.state / "edge.db.damaged-1").exists()
        assert not (lived.state / MARKER).exists()
        if damage is nonsense:
            assert counts["events"] == 0
            return
        least = ALERTS if damage is without_header else ALERTS // 4
        assert counts["events"] >= least
        assert counts["frames"] >= least
        came = Completeness()
        first, *others = store.outbox.pending(1000)
        assert first.topic == "lost"
        assert first.body["reason"] == "salvage"
        assert first.body["previous_store"] == lived.name
        assert first.body["previous_seq"] > 20
        numbers = {n for a, b in first.body["ranges"] for n in range(a, b + 1)}
        unsent = set(range(ALERTS + 1, first.body["previous_seq"] + 1))
        assert unsent <= numbers
        assert all(message.topic == "alert" for message in others)
        for message in (first, *others):
            envelope = {"seq": message.seq, "id": message.id, "data": message.body}
            if message.topic != "lost":
                came.take(message.topic, envelope)
        assert len(came.bodies) == len(others)
        assert came.missing(len(others) + 1) == {1}
        store.record(device.opening(device.event(999)))
    with open_sound(lived.state) as again:
        assert again.troubles == ()


def test_a_zeroed_log_costs_what_stood_in_it_and_no_more(
    lived: SimpleNamespace, device: SimpleNamespace
) -> None:
    zeroed_log(lived.state / "edge.db")
    with open_sound(lived.state) as store:
        assert check(store)["events"] == ALERTS
        assert store.identity.store == lived.name  # the file itself is sound


def test_a_sound_store_is_only_opened(lived: SimpleNamespace) -> None:
    with open_sound(lived.state) as store:
        assert store.identity.store == lived.name
        assert store.troubles == ()
        assert check(store)["events"] == lived.events


def test_a_crash_in_the_middle_begins_the_salvage_anew(
    lived: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are moved, half of the rows are carried over, and the power goes."""
    mark(lived.state)
    copied: list[str] = []

    def cut(old: object, database: object, table: str) -> int:
        copied.append(table)
        if len(copied) == 3:
            raise KeyboardInterrupt
        return copy(old, database, table)

    from edge_agent.store import salvage

    copy = salvage._copy
    monkeypatch.setattr(salvage, "_copy", cut)
    with pytest.raises(KeyboardInterrupt):
        open_sound(lived.state)
    monkeypatch.setattr(salvage, "_copy", copy)
    with open_sound(lived.state) as store:
        assert check(store)["events"] == lived.events
    assert [path.name for path in lived.state.glob("*damaged*")] == ["edge.db.damaged-1"]


def test_damage_that_is_met_while_it_runs_is_kept_for_the_next_start(
    lived: SimpleNamespace,
) -> None:
    with open_store(lived.state) as store:
        with store.database.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        overwritten(lived.state / "edge.db")

        def read_everything() -> None:
            with store.database.reading() as connection:
                connection.execute("PRAGMA shrink_memory")
                for table in ("events", "outbox", "decisions"):
                    connection.execute(f"SELECT * FROM {table}").fetchall()

        with pytest.raises(EdgeError) as met:
            read_everything()
        assert met.value.code == "damaged"
        assert store.database.refusal is met.value
