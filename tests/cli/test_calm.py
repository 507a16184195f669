"""The service while nothing happens: what it defers is told, sent, and there after a kill."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Service

pytestmark = pytest.mark.slow

CONFIG = """\
device: {{id: calm-1}}
sources: {{yard: {{kind: scene}}}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 5}}
    rules: [{{name: giant, label: person, min_area: 0.99}}]
store: {{flush_s: 1}}
summary: {{every_s: 2}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""
#: As `python -m edge_agent`, but that it takes a second for ten minutes.
HURRIED = """
from edge_agent.service import housekeeping
housekeeping.CALM_S = 1.0
from edge_agent.__main__ import main
main()
"""


@pytest.fixture
def calm(tmp_path: Path, shared_mosquitto: Any) -> Iterator[subprocess.Popen[bytes]]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=shared_mosquitto.port))
    words = ["run", "-c", str(config), "--state", str(tmp_path / "state")]
    with (tmp_path / "calm.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", HURRIED, *words], stdout=log, stderr=log)
        yield process
        process.kill()
        process.wait()


def rows(state: Path, what: str) -> list[Any]:
    """As a foreign program sees them."""
    with sqlite3.connect(state / "edge.db") as database:
        found = database.execute(what).fetchall()
    database.close()
    return found


def test_what_is_deferred_is_told_sent_and_there_after_a_kill(
    calm: subprocess.Popen[bytes],
    service: Callable[..., Service],
    edge: Callable[..., Any],
    receive: Callable[..., Any],
    eventually: Callable[..., Any],
    shared_mosquitto: Any,
    tmp_path: Path,
) -> None:
    state, receiver = tmp_path / "state", receive(shared_mosquitto.port, "calm-1")
    windows = "SELECT began, ended FROM frames ORDER BY n"

    def deferred() -> bool:
        """More summaries came than a foreign program sees."""
        seen = rows(state, "SELECT coalesce(max(seq), 0) FROM outbox")[0][0]
        return bool(max((each["seq"] for each in receiver.on("summary")), default=0) > seen + 1)

    eventually(lambda: receiver.on("summary"), "the first summary", 90)
    eventually(deferred, "summaries that are not committed", 90)
    before = rows(state, windows)
    document = json.loads(edge("why", "--at", "1s", "--state", state, "--json").stdout)
    assert document["pipeline"] == "yard"
    after = rows(state, windows)  # `why` had it committed
    assert len(after) > len(before)
    eventually(deferred, "more of them", 60)
    calm.send_signal(signal.SIGKILL)
    calm.wait()
    told = {each["seq"]: each["id"] for each in receiver.on("summary")}
    missing = set(told) - {seq for (seq,) in rows(state, "SELECT seq FROM outbox")}
    assert missing
    edge("status", "--state", state)  # whoever reads, finishes what the kill left
    assert told.items() <= dict(rows(state, "SELECT seq, id FROM outbox")).items()
    killed = rows(state, windows)
    assert len(killed) > len(after)

    again = service(tmp_path / "config.yaml")
    eventually(lambda: again.said("boot=2"), "the second start", 60)
    assert again.stop()[0] == 0
    seqs = [seq for (seq,) in rows(state, "SELECT seq FROM outbox ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))
    ((lost,),) = rows(state, "SELECT sum(unaccounted_s) FROM frames")
    assert lost < 15  # a flush, and what a busy machine adds
