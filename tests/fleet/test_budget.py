"""The day's budget is spent: alerts arrive, the rest is folded, every number is accounted for."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desk import NOW, QUICK, Device, only, partition
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_agent.host.fake import FakeClock
from edge_agent.policy.documents import dump
from edge_agent.policy.summary import Window, WindowAccount, document
from edge_agent.service.spending import CALM_S, Spending
from edge_agent.store import outbox, sparing
from edge_agent.store.clocks import Reading
from edge_agent.store.retention import Retention
from edge_agent.store.rows import Batch, Draft
from edge_agent.types import Ledger
from edge_agent.uplink.link import Broker
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher
from edge_fleet.archive import Archive
from edge_fleet.message import read

STEP_S = 300.0
MB_PER_DAY = 0.03
PIPELINES = ("yard", "gate")


class Site:
    """A device whose hours pass as the test says, a broker, and all that arrives behind it."""

    def __init__(self, device: Device, port: int, name: str) -> None:
        self.device, self.store, self.name = device, device.store, name
        self.now = NOW
        self.made: Counter[str] = Counter()
        self.came: list[dict[str, Any]] = []
        self.store.start_clock(Reading("kernel", 0.0, NOW))
        self._port = port
        self._subscriber = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5
        )
        ready = threading.Event()
        self._subscriber.on_message = lambda client, data, message: self.came.append(
            json.loads(message.payload)
        )
        self._subscriber.on_subscribe = lambda *_: ready.set()
        self._subscriber.connect("127.0.0.1", port)
        self._subscriber.subscribe(f"edge/v1/{name}/#", qos=1)
        self._subscriber.loop_start()
        assert ready.wait(20)
        self.keeper = Retention(self.store.database, self.store.outbox, self.store.identity)
        self.start()

    def start(self) -> None:
        self.spending = Spending(self.store, MB_PER_DAY, lambda: self.now)
        identity = self.store.identity
        who = Identity(self.name, identity.store, identity.boot, "0.1")
        broker = Broker("127.0.0.1", self._port, f"edge-{self.name}", pace=QUICK)
        broker = replace(broker, meter=self.spending)
        self.publisher = Publisher(broker, who, self.store.outbox, FakeClock(NOW))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.publisher.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self.spending.keep()

    def close(self) -> None:
        self.stop()
        self._subscriber.loop_stop()

    def step(self, number: int) -> None:
        """Five minutes: a summary of each pipeline, now and then an alert, and something else."""
        self.now += STEP_S
        drafts = []
        for pipeline in PIPELINES:
            window = Window(pipeline, self.now - STEP_S)
            window.labels["person"] = number
            window.score.add(0.5)
            body = document(window, self.now, WindowAccount(Ledger(10, 4, {"motion": 6})))
            drafts.append(Draft(f"summary/{number}/{pipeline}", "summary", self.now, dump(body)))
        if number % 5 == 0:
            drafts.append(Draft(f"ota/{number}", "ota", self.now, "{}"))
        self.store.record(Batch(messages=tuple(drafts)))
        self.made["summary"] += len(PIPELINES)
        self.made["ota"] += number % 5 == 0
        if number % 4 == 0:
            with self.store.database.transaction() as connection:
                alert = Draft(f"alert/{number}/open", "alert", self.now, "{}", priority=0)
                outbox.insert(connection, alert, self.store.identity.boot)
            self.made["alert"] += 1
        self.publisher.notify()

    def spare(self) -> None:
        with self.spending.held_spent() as doubtful:
            if doubtful is not None:
                self.keeper.spare(self.now, doubtful)
        self.publisher.notify()

    @property
    def urgent_is_out(self) -> bool:
        return not self.store.outbox.pending(1, 0, True)

    def on(self, topic: str) -> list[dict[str, Any]]:
        return [each for each in self.came if each["schema"] == f"mqtt-{topic}/1"]


@pytest.fixture
def site(device: Device, shared_mosquitto, request: pytest.FixtureRequest) -> Iterator[Site]:
    site = Site(device, shared_mosquitto.port, request.node.name.replace("_", "-")[:50])
    yield site
    site.close()


def test_alerts_leave_the_rest_is_folded_and_all_of_it_is_proved(
    site: Site, archive: Archive, eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparing, "KEPT", 3)
    for number in range(1, 121):  # ten hours, three times what the budget takes
        site.step(number)
        eventually(lambda: site.urgent_is_out, "alerts and declarations leave")
        if not site.spending.is_spent:
            eventually(lambda: site.store.outbox.depth().depth == 0, "everything leaves")
        if number == 60:
            assert site.spending.is_spent
            before = len(site.on("summary")), site.spending.facts().sent_mb
        if number == 80:  # a restart forgets nothing
            site.stop()
            site.start()
            assert site.spending.is_spent
            assert site.spending.facts().sent_mb >= before[1]
        site.spare()
    eventually(lambda: site.urgent_is_out, "declarations leave")
    assert len(site.on("summary")) == before[0], "spent is spent"
    eventually(lambda: len(site.on("alert")) == site.made["alert"], "every alert arrived")
    waiting = site.store.outbox.depth().depth
    assert waiting <= 2 * 11 * len(PIPELINES) + 3 + 1
    opens = site.spending.facts().opens
    assert opens is not None
    site.now = opens + 24 * 3600.0
    eventually(lambda: site.store.outbox.depth().depth == 0, "it opens, and the rest leaves")
    site.publisher.hand_over(5.0)
    eventually(lambda: accounted(site, archive), "every number is delivered or declared")
    sets = partition(only(archive))
    assert sets["missing"] == sets["pending"] == set()
    (declared,) = only(archive).lost
    assert declared.reason == "budget"
    assert declared.counts["summary"] > 80
    others = len(site.on("ota")) + declared.counts.get("ota", 0)
    assert others == site.made["ota"] > declared.counts["ota"] > 0
    seen: Counter[str] = Counter()
    for body in {each["id"]: each["data"] for each in site.on("summary")}.values():
        seen[body["pipeline"]] += body["labels"]["person"]
    assert seen == dict.fromkeys(PIPELINES, sum(range(1, 121)))


def accounted(site: Site, archive: Archive) -> bool:
    archive.keep([read(dump(each).encode()) for each in site.came], "mqtt", NOW)
    found = only(archive)
    return found.highest == site.store.outbox.depth().last_seq and not found.missing


def test_what_may_have_arrived_is_not_folded(site: Site, eventually) -> None:
    site.step(1)
    eventually(lambda: site.store.outbox.depth().depth == 0, "it leaves")
    site.spending.sent(int(MB_PER_DAY * 1e6))
    for number in range(2, 16):
        site.step(number)
    site.now += CALM_S
    doubtful = [each.seq for each in site.store.outbox.pending(4, 0, False) if each.seq]
    site.spending.doubt(doubtful)
    site.spare()
    left = {each.seq for each in site.store.outbox.pending(100, 0, False)}
    assert left >= set(doubtful)
    site.spending.settled(doubtful[0])
    with site.spending.held_spent() as kept:
        assert kept == frozenset(doubtful[1:])
        site.now += 30 * 3600.0
        assert site.spending.is_spent, "nothing begins to leave while something is folded"
    assert not site.spending.is_spent


def test_nothing_is_folded_that_may_still_be_under_way(site: Site) -> None:
    site.spending.sent(int(MB_PER_DAY * 1e6))
    with site.spending.held_spent() as doubtful:
        assert doubtful is None
    site.now += CALM_S
    with site.spending.held_spent() as doubtful:
        assert doubtful == frozenset()


def test_the_account_is_kept_in_the_store(site: Site, tmp_path: Path) -> None:
    site.spending.sent(12_345)
    site.stop()
    kept = json.loads(site.store.kept_budget())
    assert sum(size for _, size in kept["rooms"]) >= 12_345
    written = site.store.database.connection.total_changes
    site.spending.keep()
    assert site.store.database.connection.total_changes == written, "unchanged, unwritten"
    site.start()
