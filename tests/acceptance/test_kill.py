"""kill -9 of the real agent at random instants, a real broker up: nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from completeness import Collector
from running import Service, squares

from edge_agent.service import marker

pytestmark = pytest.mark.slow

#: Lot 0 is the short form; the long one has 200 in four lots, each with its own luck.
KILLS = (5, 50, 50, 50, 50)
#: From a start to its first inference.
START_S = 5.0
#: `awake` opens an event at the very first inference.
CONFIG = """\
device: {{id: {device}}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=12&fps=20"}}
  motor: {{kind: signal, uri: "built-in:"}}
store: {{flush_s: 1}}
summary: {{every_s: 1}}
mqtt: {{host: 127.0.0.1, port: {port}}}
pipelines:
  motor:
    source: motor
    model: machine-anomaly
    rules: [{{name: awake, score_above: 0, clear_below: 0, priority: alert}}]
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 0, motion: false, stationary: false}}
"""


@pytest.mark.parametrize(
    "lot",
    [
        pytest.param(lot, marks=pytest.mark.acceptance(minutes=5) if lot else ())
        for lot in range(len(KILLS))
    ],
)
def test_kill_at_any_instant_loses_nothing_acknowledged(
    lot: int,
    service: Callable[..., Service],
    shared_mosquitto: Any,
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    device = f"kill-{lot}"
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(device=device, port=shared_mosquitto.port) + squares())
    collector = Collector(shared_mosquitto.port, device).connect()
    chance, starts, work = random.Random(7 + lot), [], []
    log = tmp_path / "state.log"
    for kill in range(KILLS[lot]):
        began, size = time.monotonic(), log.stat().st_size if log.exists() else 0
        running = service(config)
        if kill % 4 == 3:  # at any instant of the start
            time.sleep(chance.uniform(0.0, 1.5))
        else:
            while b"rule=awake" not in log.read_bytes()[size:]:
                assert running.process.poll() is None, log.read_text("utf-8")[-2000:]
                assert time.monotonic() - began < 60
                time.sleep(0.02)
            starts.append(time.monotonic() - began)
            work.append(cpu_s(running.process.pid))
            time.sleep(chance.uniform(0.0, 1.5))
        running.kill()
        if kill % 2:  # three ends in a row with the same model at hand would look like its fault
            (running.state / marker.FILE).unlink(missing_ok=True)
    size = log.stat().st_size
    last = service(config)
    eventually(lambda: b"connected broker=" in log.read_bytes()[size:], "the broker", 30)
    state = last.state
    assert last.stop()[0] == 0

    logged = set(re.findall(r"event opened id=(\w+)", log.read_text("utf-8")))
    rows, messages = what_is_kept(state)
    with sqlite3.connect(state / "edge.db") as database:
        (store,) = database.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
    came = collector.of(store)
    eventually(lambda: not came.missing(len(messages)), "everything at the receiver", 60)
    collector.leave()
    print(
        f"{KILLS[lot]} kills: {len(logged)} events acknowledged, {len(logged - set(rows))} lost;"
        f" {len(messages)} messages, {came.repeats} repeats dropped by id;"
        f" to the first inference {statistics.median(starts):.2f} s, {max(starts):.2f} s at most,"
        f" of CPU {statistics.median(work):.2f} s, {max(work):.2f} s at most"
    )
    assert logged <= set(rows)
    assert set(came.bodies) == set(messages)
    assert not came.lost
    assert len(logged) > len(starts)
    assert max(work) <= START_S  # on a busy machine the wall clock tells of others


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def what_is_kept(state: Path) -> tuple[dict[str, str], list[str]]:
    """Events with their priority, the ids of messages by seq; the laws hold among them."""
    with sqlite3.connect(state / "edge.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = dict(database.execute("SELECT id, priority FROM events").fetchall())
        outbox = database.execute("SELECT seq, id FROM outbox ORDER BY seq").fetchall()
        assert not database.execute("SELECT id FROM events WHERE closed IS NULL").fetchall()
    assert [seq for seq, _ in outbox] == list(range(1, len(outbox) + 1))
    messages = [id_ for _, id_ in outbox]
    assert len(set(messages)) == len(messages)
    due = {f"{id_}/{phase}" for id_, priority in rows.items() if priority == "alert"
           for phase in ("open", "close")}  # fmt: skip
    alerts = {id_ for id_ in messages if id_.endswith(("/open", "/close"))}
    assert alerts == due
    return rows, messages
