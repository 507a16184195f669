"""Quota, age, floor and a full disk: what goes, in which order, and that all of it is declared."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from completeness import Completeness

from edge_agent.errors import NoRoom
from edge_agent.policy.coverage import WATCHING, Stretch
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.envelope import Sender, encode
from edge_agent.policy.summary import Window, WindowAccount, document
from edge_agent.store import eviction
from edge_agent.store.clocks import Reading
from edge_agent.store.eviction import HARMLESS, PAINFUL, Sweep, unsent_summaries
from edge_agent.store.record import Store, open_store
from edge_agent.store.retention import MB, RESERVE, Limits, Retention
from edge_agent.store.rows import Batch, CoverageRow, Draft, Opened
from edge_agent.types import Ledger, Priority

NOW = 1_700_100_000.0
FOREVER = 1e9
ROOMY = Limits(quota=64 * MB, keep_s=FOREVER, evidence_keep_s=FOREVER, floor=0)


class Life:
    """A device that records, and what a receiver of it got."""

    def __init__(self, store: Store, device: SimpleNamespace, state: Path) -> None:
        self.store, self.device, self.state = store, device, state
        self.keeper = Retention(store.database, store.outbox, store.identity)
        self.came = Completeness()
        self.number = 0

    def alert(self, **changes: Any) -> None:
        event = self.device.event(self.number, **changes)
        self.number += 1
        messages = (self.device.message(event),) if event.priority is Priority.ALERT else ()
        self.store.record(Batch(opened=(Opened(event, self.device.ABOUT),), messages=messages))
        closed = self.device.closed(event)
        messages = (self.device.message(closed),) if event.priority is Priority.ALERT else ()
        self.store.record(Batch(closed=(closed,), messages=messages))

    def picture(self, size: int, **changes: Any) -> Path:
        """An event with a picture of so many bytes."""
        path = Path("evidence/2023/11") / f"{self.number:016x}.jpg"
        (self.state / path).parent.mkdir(parents=True, exist_ok=True)
        (self.state / path).write_bytes(bytes(size))
        (self.state / path).with_suffix(".json").write_text("{}")
        self.alert(evidence=({"kind": "snapshot", "path": str(path)},), **changes)
        return self.state / path

    def summary(self, number: int, pipeline: str = "yard") -> None:
        window = Window(pipeline, NOW + 60 * number)
        window.labels["person"] = 2
        window.score.add(0.5)
        body = document(window, NOW + 60 * number + 60, WindowAccount(Ledger(10, 4, {"motion": 6})))
        draft = Draft(f"summary/1/{number}/{pipeline}", "summary", NOW, json.dumps(body))
        self.store.record(Batch(messages=(draft,)))

    def fill(self) -> None:
        while True:
            self.alert()
            self.drain()

    def hold(self, limits: Limits, now: float = NOW) -> None:
        while self.keeper.look(limits, now):
            pass

    def drain(self) -> None:
        """Everything that waits goes to the receiver, as it stands on the wire."""
        sender = Sender("dock", self.store.identity.store, 1)
        while messages := self.store.outbox.pending(500):
            for message in messages:
                envelope = json.loads(encode(message, sender, message.time))
                self.came.take(message.topic, envelope)
            self.store.outbox.acknowledge([message.seq for message in messages if message.seq])

    def proves(self) -> None:
        """Delivered and lost are everything that ever had a number."""
        self.drain()
        assert self.came.missing(self.store.outbox.depth().last_seq) == set()
        assert not set(self.came.topics) & self.came.lost

    def count(self, sql: str) -> int:
        with self.store.database.reading() as connection:
            return int(connection.execute(sql).fetchone()[0])

    @property
    def on_disk(self) -> int:
        return sum(each.stat().st_size for each in self.state.rglob("*") if each.is_file()
                   and each.name not in ("edge.db-shm", RESERVE))  # fmt: skip


@pytest.fixture
def life(store: Store, device: SimpleNamespace, state: Path) -> Life:
    store.start_clock(Reading("a", 0.0, NOW - 100_000.0))
    return Life(store, device, state)


def test_ten_times_the_quota_stays_within_it_and_everything_is_accounted_for(life: Life) -> None:
    """No network, ten times what fits: the oldest alerts go, and the receiver hears of each."""
    limits = replace(ROOMY, quota=8 * MB)
    most, written = 0, 0
    while written < 10 * limits.quota:
        life.alert(text="x" * 20_000)  # twice in the outbox, once in events
        written += 60_000
        if life.number % 4 == 0:
            life.hold(limits)
            most = max(most, life.on_disk)
    assert most <= 1.05 * limits.quota
    assert life.count("SELECT count(*) FROM outbox WHERE sent IS NULL AND topic = 'alert'") > 50
    life.proves()
    assert set(life.came.reasons) == {"quota"}
    assert life.came.lost_counts["alert"] > 1000
    assert len([topic for topic in life.came.topics.values() if topic == "lost"]) <= 20


def test_what_is_needed_least_goes_first(life: Life) -> None:
    """Each kind in turn: nothing of the next is touched while there is something of this one."""
    low = [life.picture(100_000, priority=Priority.NOTICE) for _ in range(5)]
    for number in range(30):
        life.summary(number)
    life.alert()
    life.drain()
    assert life.count("SELECT count(*) FROM outbox") >= 32
    high = [life.picture(100_000) for _ in range(5)]
    for number in range(30, 60):
        life.summary(number)
    life.store.record(Batch(messages=(Draft("ota/1", "ota", NOW, "{}"),)))
    life.alert()

    def left() -> tuple[int, int, int, int, int, int, int]:
        count = life.count
        return (
            count("SELECT count(*) FROM outbox WHERE sent IS NOT NULL"),
            sum(path.exists() for path in low),
            count("SELECT count(*) FROM events WHERE priority <> 'alert'"),
            # One cannot be folded any further.
            count(
                "SELECT max(count(*), 1) - 1 FROM outbox WHERE sent IS NULL AND topic = 'summary'"
            ),
            sum(path.exists() for path in high),
            count("SELECT count(*) FROM outbox WHERE topic = 'ota'"),
            count("SELECT count(*) FROM outbox WHERE sent IS NULL AND topic = 'alert'"),
        )

    seen = [left()]
    while life.keeper._evict_first(HARMLESS + PAINFUL, NOW, 3):
        seen.append(left())
    whole = seen[0]
    assert whole[1:] == (5, 5, 29, 5, 1, 12)
    for now in seen:
        untouched = next((at for at, (a, b) in enumerate(zip(now, whole, strict=True)) if a), 7)
        assert now[untouched + 1 :] == whole[untouched + 1 :], seen
    assert seen[-1][:3] == (0, 0, 0)
    life.proves()
    assert {"folded", "quota"} == set(life.came.reasons)


def test_folded_summaries_add_up(life: Life) -> None:
    for number in range(40):
        life.summary(number, "yard" if number % 2 else "gate")
    while life.keeper._evict_first((unsent_summaries,), NOW, 400):
        pass
    life.proves()
    bodies = [body for body in life.came.bodies.values() if "labels" in body]
    assert len(bodies) == 2
    for body in bodies:
        assert body["labels"] == {"person": 40}
        assert body["ledger"] == {
            "captured": 200, "inferred": 80, "skipped": {"motion": 120}, "failed": 0,
        }  # fmt: skip
        assert sum(body["score"]["counts"]) == 20
    assert min(body["from"] for body in bodies) == rfc3339(NOW)
    assert max(body["to"] for body in bodies) == rfc3339(NOW + 2400)
    assert life.came.lost_counts["summary"] >= 40
    assert set(life.came.reasons) == {"folded"}


def test_age_holds_and_what_was_unsent_is_declared(life: Life) -> None:
    old = life.picture(1000)
    for _ in range(20):
        life.alert()
    fresh = life.picture(1000, opened=NOW - 100, seen=NOW - 100)
    life.hold(replace(ROOMY, keep_s=3600.0, evidence_keep_s=1800.0))
    assert life.count("SELECT count(*) FROM events") == 1
    assert (old.exists(), fresh.exists()) == (False, True)
    life.proves()
    assert life.came.reasons == {"quota": 42}


def test_the_proof_of_watching_has_the_age_of_events(life: Life) -> None:
    ends = (NOW - 7200, NOW - 100)
    rows = tuple(
        CoverageRow("people", f"rule-{ended}", Stretch.of(ended - 60, ended, WATCHING))
        for ended in ends
    )
    life.store.record(Batch(coverage=rows))
    life.hold(replace(ROOMY, keep_s=3600.0))
    assert life.count("SELECT count(*) FROM coverage") == 1
    assert life.count(f"SELECT count(*) FROM coverage WHERE ended > {NOW - 3600}") == 1


def test_pictures_have_an_age_of_their_own(life: Life) -> None:
    old = life.picture(1000)
    life.hold(replace(ROOMY, evidence_keep_s=3600.0))
    assert not old.exists()
    assert not old.with_suffix(".json").exists()
    assert life.count("SELECT count(*) FROM events WHERE evidence = '[]'") == 1


def test_a_picture_without_an_event_is_removed_later(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, orphan = life.picture(1000), life.state / "evidence/2023/11" / f"{99:016x}.jpg"
    orphan.write_bytes(b"x")
    with life.store.database.transaction() as connection:
        connection.execute("UPDATE events SET id = ?", (known.stem,))
    os.utime(orphan, (1e9, 1e9))  # what a file's date says is nothing after a clock's step
    life.hold(ROOMY)
    assert (known.exists(), orphan.exists()) == (True, True)
    monkeypatch.setattr("edge_agent.store.retention.COUNT_EVERY_S", 0.0)
    life.hold(ROOMY)
    assert (known.exists(), orphan.exists()) == (True, False)


def test_the_floor_of_the_disk_takes_nothing_that_somebody_waits_for(life: Life) -> None:
    picture = life.picture(1_000_000, priority=Priority.NOTICE)
    for _ in range(50):
        life.alert()
    life.hold(replace(ROOMY, floor=1 << 60, quota=8 * MB))
    assert not picture.exists()
    assert life.store.outbox.depth().depth == 100


def test_free_pages_go_back_to_the_disk(life: Life) -> None:
    for _ in range(60):
        life.alert(text="x" * 20_000)
    life.drain()
    before = life.keeper.usage().file
    life.hold(replace(ROOMY, quota=1 * MB))
    with life.store.database.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert before > 3 * MB
    assert (life.state / "edge.db").stat().st_size < 1.05 * MB
    assert (
        life.count("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") == 0
    )


@pytest.mark.slow
def test_a_full_disk_is_emptied_with_the_reserve(
    state: Path, device: SimpleNamespace, mounted: Callable[..., None]
) -> None:
    """2 MB, filled to the last byte by our own rows, all of them sent."""
    state.mkdir()
    mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", state)
    with open_store(state) as store:
        store.start()
        life = Life(store, device, state)
        life.keeper.keep_reserve()
        assert (state / RESERVE).stat().st_size == 256 * 1024
        with pytest.raises(NoRoom, match="no space is left"):
            life.fill()
        recorded = life.number
        assert life.keeper.make_room(NOW)
        assert (state / RESERVE).stat().st_size == 256 * 1024
        for _ in range(20):
            life.alert()
        assert life.number == recorded + 20
    with closing(sqlite3.connect(state / "edge.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_one_sweep_looks_through_does_not_grow_with_the_store(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts are passed over in search of what nobody waits for."""
    monkeypatch.setattr(eviction, "WINDOW", 100)

    def most_steps(events: int) -> int:
        """Of SQLite's machine in one sweep, until every harmless kind was found empty."""
        made = [life.device.event(life.number + number) for number in range(events)]
        life.number += events
        life.store.record(Batch(opened=tuple(Opened(each, life.device.ABOUT) for each in made)))
        closed = tuple(life.device.closed(each) for each in made)
        life.store.record(Batch(closed=closed, messages=tuple(map(life.device.message, closed))))
        most, cursors = 0, dict[str, int]()
        for evict in HARMLESS:
            goes_on = True
            while goes_on:
                with life.store.database.transaction() as connection:
                    steps = _Steps(connection)
                    goes_on = evict(Sweep(connection, life.store.identity, NOW, 40, cursors))
                    most = max(most, steps.count())
        return most

    few = most_steps(300)
    assert most_steps(5000) < 1.5 * few


class _Steps:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self._seen = connection, 0
        connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self._seen += 10
        return 0

    def count(self) -> int:
        self._connection.set_progress_handler(None, 0)
        return self._seen


def test_what_is_sent_behind_the_search_is_found(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for sent messages came to the end; then the oldest of all are sent."""
    monkeypatch.setattr(eviction, "WINDOW", 10)
    for _ in range(30):
        life.alert()
    harmless = replace(ROOMY, floor=1 << 60, quota=1 * MB)  # what nobody waits for
    life.hold(harmless)
    assert life.count("SELECT count(*) FROM outbox") == 60
    first = life.store.outbox.pending(10)
    life.store.outbox.acknowledge([each.seq for each in first if each.seq])
    life.store.outbox.settle()
    life.hold(harmless)
    assert life.count("SELECT count(*) FROM outbox") == 50


def test_an_event_that_closes_behind_the_search_goes_before_what_somebody_waits_for(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eviction, "WINDOW", 10)
    for _ in range(30):
        life.alert()
    notice = life.device.event(life.number, priority=Priority.NOTICE)
    life.store.record(Batch(opened=(Opened(notice, life.device.ABOUT),)))
    life.number += 1
    life.alert()
    harmless = replace(ROOMY, floor=1 << 60, quota=1 * MB)
    life.hold(harmless)
    life.store.record(Batch(closed=(life.device.closed(notice),)))
    life.hold(harmless)
    assert life.count("SELECT count(*) FROM events WHERE priority = 'notice'") == 0
