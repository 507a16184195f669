"""A broker killed again and again, and a receiver that is away: what is missing is known by number.

The real agent, mosquitto with and without persistence, kill -9 at random instants. What the broker
acknowledged and lost, the receiver names exactly, and `resend` brings it.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from completeness import Collector
from paho.mqtt import publish
from running import Service, squares

pytestmark = pytest.mark.slow

KILLS = {"short": 2, "long": 20}
CONFIG = """\
device: {{id: {device}}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=12&fps=20"}}
store: {{flush_s: 1}}
summary: {{every_s: 1}}
mqtt: {{host: 127.0.0.1, port: {port}, commands: [resend]}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 0, motion: false, stationary: false}}
"""
KINDS = {"persistent": "persistence true\nautosave_interval 1\n", "forgetful": ""}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("forgetful", "short"),
        pytest.param("forgetful", "long", marks=pytest.mark.acceptance(minutes=2)),
        pytest.param("persistent", "long", marks=pytest.mark.acceptance(minutes=2)),
    ],
)
def test_what_a_killed_broker_lost_is_named_and_resend_closes_it(
    form: str,
    kind: str,
    new_mosquitto: Callable[..., Any],
    service: Callable[..., Service],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    device, chance = f"broker-{kind}-{form}", random.Random(11)
    extra = KINDS[kind] + (f"persistence_location {tmp_path}/\n" if KINDS[kind] else "")
    broker = new_mosquitto(extra).start()
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(device=device, port=broker.port) + squares())
    collector = Collector(broker.port, device).connect()
    running = service(config)
    eventually(lambda: running.log.exists() and running.said("connected broker"), "it", 60)
    for kill in range(KILLS[form]):
        if kill % 2:
            collector.leave()
        time.sleep(chance.uniform(0.5, 2.5))
        broker.kill()
        time.sleep(chance.uniform(0.0, 0.5))
        broker.start()
        if kill % 2:
            collector.connect()
    database = running.state / "edge.db"
    eventually(lambda: has_sent_everything(database), "all sent", 90)
    store, last, kept = facts(database)
    came = collector.of(store)
    time.sleep(1.0)  # what is under way arrives
    missing = came.missing(last)
    assert missing <= kept  # each can be brought
    for again in range(20):  # the device, or its request, may have been away
        if not came.missing(last):
            break
        ask(broker.port, device, (store, again), came.missing(last))
        time.sleep(3.0)
    assert came.missing(last) == set()
    print(
        f"{kind}: {KILLS[form]} kills, {last} messages, {came.repeats} repeats,"
        f" {len(missing)} lost by the broker, named and resent"
    )
    assert not came.lost
    assert running.stop()[0] == 0
    collector.leave()


def has_sent_everything(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as db:
        waiting = db.execute("SELECT count(*) FROM outbox WHERE sent IS NULL").fetchone()[0]
    return bool(waiting < 5)  # a summary a second, and acknowledgements ride with the next commit


def facts(database: Path) -> tuple[str, int, set[int]]:
    """The store's name, the last number that was sent, and the numbers that are kept."""
    with closing(sqlite3.connect(database)) as db:
        (store,) = db.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
        (last,) = db.execute(
            "SELECT coalesce(min(seq) - 1, (SELECT max(seq) FROM outbox)) FROM outbox"
            " WHERE sent IS NULL"
        ).fetchone()
        kept = {seq for (seq,) in db.execute("SELECT seq FROM outbox")}
    return store, last, kept


def ask(port: int, device: str, request: tuple[str, int], missing: set[int]) -> None:
    store, number = request
    ranges = [[seq, seq] for seq in sorted(missing)]
    body = json.dumps({"id": f"again-{number}", "args": {"ranges": ranges, "store": store}})
    publish.single(f"edge/v1/{device}/cmd/resend", body, qos=1, hostname="127.0.0.1", port=port)
