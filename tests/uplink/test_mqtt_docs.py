"""docs/mqtt.md against the code: its examples are what is sent, and its receiver receives."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from edge_agent.policy.envelope import ALERT_LIMIT, SUMMARY_LIMIT, Sender, envelope
from edge_agent.policy.sketch import parse, quantile
from edge_agent.policy.summary import Window, WindowAccount, document
from edge_agent.types import Message
from edge_agent.uplink.outbox import Pace

PAGE = (Path(__file__).parents[2] / "docs/mqtt.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_envelope_of_the_page_is_the_one_that_is_sent() -> None:
    shown = json.loads(blocks("json")[0])
    message = Message(41, "0123456789abcdef/open", "alert", 1, False, 1_700_000_000.0, {}, boot=7)
    assert shown == envelope(message, Sender("dock-07", shown["store"], 3), message.time)


def test_the_summary_of_the_page_has_the_keys_of_a_summary() -> None:
    shown = json.loads(blocks("json")[1])
    assert list(shown) == list(document(Window("people", 0.0), 300.0, WindowAccount()))
    assert parse(shown["score"]).count == sum(shown["labels"].values())
    assert parse(shown["latency"]).count == shown["ledger"]["inferred"]
    median = quantile(parse(shown["latency"]), 0.5)
    assert median is not None
    assert 5 < median < 20


def test_the_limits_and_waits_of_the_page_are_those_of_the_code() -> None:
    assert f"at most {ALERT_LIMIT} bytes" in PAGE
    assert f"at most {SUMMARY_LIMIT} bytes" in PAGE
    assert f"no PUBACK within {Pace().ack_timeout_s:g} s" in PAGE
    assert Pace().tries == 5
    assert "tried five times" in PAGE
    assert Pace().reconnect.cap_s == 60
    assert "back off to one a minute" in PAGE


def test_the_receiver_of_the_page_receives(
    shared_mosquitto, publish, device, tmp_path: Path, eventually
) -> None:
    (code,) = blocks("python")
    for shown, here in {
        'client.connect("broker.local")': f'client.connect("127.0.0.1", {shared_mosquitto.port})',
        '"edge/v1/#"': f'"edge/v1/{device}/alert"',
        "client.loop_forever()": 'print("ready", flush=True)\nclient.loop_forever()',
    }.items():
        assert shown in code
        code = code.replace(shown, here)
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        running = publish(shared_mosquitto.port)

        def received() -> list[int]:
            running.put()  # again and again: the receiver subscribes when it is connected
            with sqlite3.connect(tmp_path / "received.db") as db:
                return [seq for (seq,) in db.execute("SELECT seq FROM messages ORDER BY seq")]

        seqs = eventually(lambda: len(received()) >= 5 and received(), "five messages are kept")
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
