"""`edge-fleet collect` as a process: a real broker, a real device, kill -9 in between."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from desk import ROOT, Device, command, surroundings
from paho.mqtt import publish

Collector = Callable[..., "subprocess.Popen[str]"]
Fleet = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def broker(new_mosquitto: Callable[..., Any], tmp_path: Path) -> Any:
    """One that remembers sessions over its own death."""
    kept = f"persistence true\npersistence_location {tmp_path}/\nautosave_interval 1\n"
    return new_mosquitto(kept + "autosave_on_changes true\n").start()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    running: list[subprocess.Popen[str]] = []

    def start(port: int, *more: str) -> subprocess.Popen[str]:
        words = command("collect", "--broker", f"mqtt://127.0.0.1:{port}", *more)
        process = subprocess.Popen(
            words,
            env=surroundings(tmp_path),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        process.said = until_it_receives(process)  # type: ignore[attr-defined]
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until_it_receives(process: subprocess.Popen[str]) -> str:
    """What it says until it is subscribed."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "receiving from" in line:
            break
    return "".join(lines)


def stored(folder: Path) -> int:
    path = folder / "desk.db"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as db:
        try:
            return int(db.execute("SELECT count(*) FROM messages").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # the tables are being made


def proof(fleet: Fleet, code: int) -> Any:
    done = fleet("collect", "--gaps", "--json")
    assert done.returncode == code, done.stderr
    document = json.loads(done.stdout)
    schema = json.loads((ROOT / "edge_agent/schemas/gaps.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["complete"] == (code == 0)
    return document["devices"][0]["stores"][0] if document["devices"] else None


def test_nothing_is_lost_however_often_the_collector_dies(
    broker, collector: Collector, fleet: Fleet, device: Device, tmp_path: Path, eventually
) -> None:
    """kill -9 while messages come; the session stays with the broker, nothing was acked early."""
    process = collector(broker.port)
    assert "knows no session" in process.said
    publisher = device.publish(broker.port)
    total = 0
    for count in (300, 300):
        device.write(count)
        publisher.notify()
        total += count
        before = stored(tmp_path)
        eventually(lambda before=before: stored(tmp_path) > before, "some are stored")
        process.kill()
        process.wait()
        process = collector(broker.port)
    eventually(lambda: stored(tmp_path) == total, "all are stored")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.startswith("received: ")
    assert "knows no session" not in process.said + err
    found = proof(fleet, 0)
    assert found["delivered"]["ranges"] == [[1, total]]


def test_what_a_forgetful_broker_lost_is_named_and_a_stick_closes_it(
    new_mosquitto, collector: Collector, fleet: Fleet, device: Device, media: Path, tmp_path: Path,
    eventually,
) -> None:  # fmt: skip
    """The broker acknowledges, and dies before the collector is back: a PUBACK is not delivery."""
    broker = new_mosquitto().start()
    once = collector(broker.port)
    publisher = device.publish(broker.port)
    device.write(3)
    publisher.notify()
    eventually(lambda: stored(tmp_path) == 3, "the first three are stored")
    once.send_signal(signal.SIGTERM)
    once.communicate(timeout=20)
    device.write(4)
    publisher.notify()
    eventually(lambda: not device.pending, "the broker took four more")
    broker.kill()
    broker.start()
    eventually(lambda: publisher.facts().connected, "the device is back")
    device.write(2)
    publisher.notify()
    # Nobody has subscribed yet: these two are lost, too, and health tells how far it counted.
    eventually(lambda: not device.pending, "the broker took two more")
    again = collector(broker.port)
    eventually(lambda: len(heard(tmp_path)) == 2, "the retained status and health are here")
    publisher.retained("health", {"reasons": [{"code": "x", "since": "2026"}], "expires": []})
    eventually(lambda: '"last_seq":9' in str(heard(tmp_path)), "health says how far it counted")
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=20)
    found = proof(fleet, 1)
    assert found["missing"]["ranges"] == [[4, 9]]
    words = fleet("collect", "--gaps")
    assert words.returncode == 1
    assert "MISSING     6: 4-9" in words.stdout
    # What is sent already is not on a stick; what waits is, and the proof covers both ways.
    device.close()
    device.restart()
    device.write(2)
    device.export(media)
    brought = fleet("collect", "--from", media, "--gaps", "--json")
    assert brought.returncode == 1
    (store,) = json.loads(brought.stdout)["devices"][0]["stores"]
    assert store["delivered"]["ranges"] == [[1, 3], [10, 11]]
    device.ack(media)
    assert device.pending == set()


def heard(folder: Path) -> list[Any]:
    with sqlite3.connect(folder / "desk.db") as db:
        return db.execute("SELECT topic, data FROM latest").fetchall()


def test_nonsense_on_the_topics_stops_nothing(
    new_mosquitto, collector: Collector, fleet: Fleet, device: Device, tmp_path: Path, eventually
) -> None:
    device.name = "nonsense-1"
    port = new_mosquitto().start().port  # the desk judges every device of its broker
    process = collector(port, "--client-id", "nonsense")
    base = "edge/v1/nonsense-1/"
    publisher = device.publish(port)
    for payload in (b"", b"{}", b"\xff\x00", b"[" * 5000, b'{"schema":"mqtt-alert/1"}'):
        publish.single(base + "alert", payload, qos=1, hostname="127.0.0.1", port=port)
    device.write(2)
    publisher.notify()
    eventually(lambda: stored(tmp_path) == 2, "the two messages came through")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    done = fleet("collect", "--gaps", "--json")
    assert json.loads(done.stdout)["refused"] == 5
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("collect",), 2, "nothing to do"),
        (("collect", "--broker", "http://x"), 2, "no broker's address"),
        (("collect", "--broker", "mqtt://a:b@x"), 2, "--password-file"),
        (("collect", "--broker", "mqtt://127.0.0.1:1"), 1, "cannot be reached"),
        (("collect", "--broker", "mqtt://x", "--ca", "y"), 2, "are for TLS"),
        (("collect", "--heal"), 2, "say --broker URL"),
        (("collect", "--from", "not-mounted"), 2, "mount the stick"),
        (("collect", "--gaps", "--store", "postgresql://x"), 2, "write sqlite:///FILE"),
        (("collekt",), 2, "did you mean collect?"),
    ],
)
def test_mistakes_have_their_sentence(
    fleet: Fleet, words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = fleet(*words)
    assert done.returncode == code
    assert done.stderr.startswith("edge-fleet: ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_password_is_told(new_mosquitto, fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    broker = new_mosquitto(f"password_file {tmp_path / 'passwords'}\n").start()
    (tmp_path / "secret").write_text("wrong\n")
    words = ("--broker", f"mqtt://me@127.0.0.1:{broker.port}", "--password-file", "secret")
    done = fleet("collect", *words, "--for", "1")
    assert done.returncode == 2
    assert "refuses the connection: Not authorized" in done.stderr


def test_a_stick_by_the_command(fleet: Fleet, device: Device, media: Path) -> None:
    device.write(3)
    device.export(media)
    done = fleet("collect", "--from", media)
    assert done.returncode == 0
    assert "dock-07: 3 messages, 3 of them new" in done.stdout
    assert f"next: on each device: edge-agent outbox ack {media}" in done.stdout
    again = fleet("collect", "--from", media, "--json")
    document = json.loads(again.stdout)
    schema = json.loads((ROOT / "edge_agent/schemas/collected.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert [(each["messages"], each["new"]) for each in document["stores"]] == [(3, 0)]
    (part,) = media.rglob("*.jsonl")
    part.write_bytes(part.read_bytes()[:-1])
    damaged = fleet("collect", "--from", media)
    assert damaged.returncode == 4
    assert "not believed" in damaged.stderr
    assert proof(fleet, 0)["delivered"]["ranges"] == [[1, 3]]


def test_heal_closes_every_gap_by_resend(
    new_mosquitto, collector: Collector, fleet: Fleet, device: Device, tmp_path: Path, eventually
) -> None:
    """What the broker lost comes again; what the device keeps no more is declared."""
    broker = new_mosquitto().start()
    device.publish(broker.port, commands=("resend",))
    device.write(8)
    eventually(lambda: not device.pending, "the broker took eight, and nobody was there")
    device.store.outbox.settle()
    with device.store.database.transaction() as connection:
        connection.execute("DELETE FROM outbox WHERE seq IN (3, 4)")  # as the quota does
    process = collector(broker.port, "--heal")
    six = "six came again, and the declaration of two"
    eventually(lambda: stored(tmp_path) == 7, six, 60.0)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert "asked dock-07 to send again: 1-8" in err
    assert "dock-07 sends 6 again, and has 2 no more" in err
    found = proof(fleet, 0)
    assert found["delivered"]["ranges"] == [[1, 2], [5, 9]]
    (lost,) = found["lost"]
    assert (lost["ranges"], lost["reason"], lost["counts"]) == ([[3, 4]], "quota", {"unknown": 2})
