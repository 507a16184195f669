"""A device with a real store and every way out of it, and the desk's command; see `tests/fleet`."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from edge_agent.config.commands import Allowed
from edge_agent.host.fake import FakeClock
from edge_agent.policy import spans
from edge_agent.policy.backoff import Backoff
from edge_agent.policy.envelope import Sender, encode
from edge_agent.policy.lost import lost_document
from edge_agent.service.commands import Reach, handlers
from edge_agent.service.receipt import acknowledge, find_receipt, load_receipt
from edge_agent.service.stick import export
from edge_agent.store import outbox
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft
from edge_agent.uplink.inbox import Inbox
from edge_agent.uplink.link import Broker
from edge_agent.uplink.outbox import Identity, Pace
from edge_agent.uplink.publisher import Publisher
from edge_fleet.archive import Archive, Stream
from edge_fleet.completeness import Account, account

ROOT = Path(__file__).parents[1]
NOW = 1_700_000_000.0
QUICK = Pace(
    ack_every_s=0.02,
    retained_every_s=0.05,
    poll_s=0.2,
    reconnect=Backoff(base_s=0.05, cap_s=0.2, floor_s=0.02, stable_s=0.5),
)


class Device:
    """A store, and every way out of it."""

    def __init__(self, state: Path, name: str = "dock-07") -> None:
        self.state = state
        self.name = name
        self._made = 0
        self._stop: threading.Event | None = None
        self._threads: list[threading.Thread] = []
        self.restart()

    def restart(self) -> None:
        if self._made or self.state.exists():
            self.store.close()
        self.store = open_store(self.state)
        self.store.start()
        self.store.named(self.name)

    def write(self, count: int, topic: str = "summary", size: int = 1) -> None:
        drafts = []
        for _ in range(count):
            self._made += 1
            name = f"{topic}/{self.store.identity.store[:8]}/{self._made}"
            body = json.dumps({"n": self._made, "人": "x" * size}, ensure_ascii=False)
            drafts.append(Draft(name, topic, NOW, body))
        self.store.record(Batch(messages=tuple(drafts)))

    def drop(self, seqs: set[int]) -> None:
        self.store.outbox.give_up(seqs, "quota", NOW)

    def erase(self, seqs: set[int]) -> None:
        """As `events erase` does: sent ones, too."""
        with self.store.database.transaction() as connection:
            marks = ",".join(map(str, seqs))
            rows = connection.execute(
                f"SELECT seq, topic FROM outbox WHERE topic <> 'lost' AND seq IN ({marks})"
            ).fetchall()
            if rows:
                body = json.dumps(lost_document(rows, "erased"))
                outbox.declare(connection, rows[0][0], body, NOW)
                connection.executemany(
                    "DELETE FROM outbox WHERE seq = ?", [row[:1] for row in rows]
                )

    def send(self, limit: int = 1000) -> list[tuple[str, bytes]]:
        """What a broker takes now: topics and payloads. It acknowledged them."""
        sender = Sender(self.name, self.store.identity.store, 1)
        waiting = self.store.outbox.pending(limit)
        self.store.outbox.acknowledge([message.seq for message in waiting if message.seq])
        base = f"edge/v1/{self.name}/"
        return [(base + each.topic, encode(each, sender, NOW)) for each in waiting]

    def export(self, media: Path, limit: int | None = None) -> None:
        with open_reader(self.state) as reader:
            self.store.outbox.settle()
            export(reader, self.name, media, NOW, limit)

    def ack(self, media: Path) -> None:
        with open_reader(self.state) as reader:
            self.store.outbox.settle()
            path = find_receipt(media, self.store.identity.store)
            acknowledge(self.store, reader, load_receipt(path))

    @property
    def pending(self) -> set[int]:
        return {each.seq for each in self.store.outbox.pending(100_000) if each.seq}

    @property
    def last_seq(self) -> int:
        return self.store.outbox.depth().last_seq

    def publish(self, port: int, commands: tuple[str, ...] = ()) -> Publisher:
        """Send by MQTT in a thread until `close`, and take these commands."""
        identity = self.store.identity
        who = Identity(self.name, identity.store, identity.boot, "0.1")
        broker = Broker("127.0.0.1", port, client_id=f"edge-agent-{self.name}", pace=QUICK)
        reach = Reach(
            state=self.state,
            store=self.store,
            now=lambda: NOW,
            told=lambda time: time,
            runners=dict,
            pause=lambda name: {},
            resume=lambda name: {},
            resent=lambda: publisher.resend(),
            check=dict,
            rollback=lambda args: {},
            rollback_policy=lambda args: {},
        )
        inbox = Inbox(who.base, handlers(Allowed(commands), reach))
        publisher = Publisher(broker, who, self.store.outbox, FakeClock(NOW), inbox)
        self._stop = threading.Event()
        for work in (publisher.run, inbox.run):
            thread = threading.Thread(target=work, args=(self._stop,), daemon=True)
            self._threads.append(thread)
            thread.start()
        publisher.retained("health", {"reasons": [], "expires": []})
        return publisher

    def close(self) -> None:
        if self._stop is not None:
            self._stop.set()
            for thread in self._threads:
                thread.join(20)
                assert not thread.is_alive()
        self.store.close()


def only(archive: Archive) -> Account:
    """The account of the one stream there is."""
    (stream,) = archive.streams()
    return account(stream.heard)


def of_store(archive: Archive, store: str) -> Stream:
    return next(each for each in archive.streams() if each.store == store)


def partition(found: Account) -> dict[str, set[int]]:
    """The account as sets, having checked the law: disjoint, and together everything."""
    lost = spans.joined(span for each in found.lost for span in each.seqs)
    parts = {
        "delivered": found.delivered,
        "lost": lost,
        "superseded": found.superseded,
        "pending": found.pending,
        "missing": found.missing,
    }
    sets = {name: set(spans.numbers(seqs)) for name, seqs in parts.items()}
    assert sum(map(len, sets.values())) == found.highest
    assert set().union(*sets.values()) == set(range(1, found.highest + 1))
    return sets


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "edge_fleet", *map(str, arguments)]


def surroundings(folder: Path) -> dict[str, Any]:
    paths = [str(ROOT), str(ROOT / "ota"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "EDGE_FLEET_STORE": f"sqlite:///{folder / 'desk.db'}",
        "NO_COLOR": "1",
    }
