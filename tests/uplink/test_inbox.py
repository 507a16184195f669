"""Commands by a real broker: allowed ones are run once, replies find who asked, floods end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
import pytest
from broker import PATIENCE_S, eventually
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.cli.schema import names
from edge_agent.errors import UsageError
from edge_agent.uplink.inbox import REMEMBERED, REPLIES, WAITING, Arrived, Inbox

BASE = "edge/v1/dock-07"


class Asker:
    """Somebody who sends commands and waits for replies."""

    def __init__(self, port: int, device: str, protocol: int = MQTTProtocolVersion.MQTTv5) -> None:
        self.base = f"edge/v1/{device}"
        self.replies: list[tuple[str, dict[str, Any], bytes | None]] = []
        self._is_5 = protocol == MQTTProtocolVersion.MQTTv5
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_message = self._message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(f"{self.base}/reply/#", 1), (f"asked/{device}", 1)])
        assert self._subscribed.wait(PATIENCE_S)

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        self.replies.append((message.topic, json.loads(message.payload), correlation))

    def say(self, name: str, payload: bytes, retain: bool = False, **about: Any) -> None:
        properties = None
        if self._is_5:
            properties = Properties(PacketTypes.PUBLISH)
            for key, value in about.items():
                setattr(properties, key, value)
        topic = f"{self.base}/cmd/{name}"
        sent = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        sent.wait_for_publish(PATIENCE_S)

    def ask(self, name: str, id_: str, **args: Any) -> dict[str, Any]:
        self.say(name, json.dumps({"id": id_, "args": args}).encode())
        return self.reply(id_)

    def reply(self, id_: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((each for _, each, _ in self.replies if each["id"] == id_), None)

        answer: dict[str, Any] = eventually(found, f"a reply to {id_}")
        return answer

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def asking() -> Iterator[Callable[..., Asker]]:
    askers: list[Asker] = []

    def start(*arguments: Any) -> Asker:
        askers.append(Asker(*arguments))
        return askers[-1]

    yield start
    for asker in askers:
        asker.close()


class Handlers:
    """`echo` and `fail`, counted; `slow` waits until it is let go."""

    def __init__(self) -> None:
        self.runs: list[Mapping[str, Any]] = []
        self.go = threading.Event()

    def every(self) -> dict[str, Any]:
        return {"ping": self.echo, "detail": self.fail, "pause": self.slow, "resume": self.crash}

    def echo(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        self.runs.append(args)
        return {"echo": dict(args)}

    def fail(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise UsageError("no such event", "see: events list")

    def slow(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        self.runs.append(args)
        self.go.wait(PATIENCE_S)
        return {}

    def crash(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ZeroDivisionError("ours")


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    made = Handlers()
    yield made
    made.go.set()


@pytest.fixture
def device_with(publish: Any, device: str, handlers: Handlers) -> Iterator[Callable[..., Any]]:
    """A publisher that takes commands, in its threads."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def start(port: int, **broker: Any) -> Inbox:
        inbox = Inbox(f"edge/v1/{device}", handlers.every())
        publish(port, inbox=inbox, **broker)
        threads.append(threading.Thread(target=inbox.run, args=(stop,), daemon=True))
        threads[-1].start()
        return inbox

    yield start
    stop.set()
    handlers.go.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def ready(asker: Asker) -> None:
    """The device listens: it is asked until it answers."""

    def answered() -> bool:
        asker.say("ping", b'{"id":"ready"}')
        return any(reply["id"] == "ready" for _, reply, _ in asker.replies)

    eventually(answered, "the device takes commands")
    asker.ask("ping", "synced")  # what was answered before has come by then
    asker.replies.clear()


def follows_its_schema(reply: dict[str, Any]) -> None:
    assert "mqtt-reply" in names()
    from importlib import resources

    file = resources.files("edge_agent") / "schemas" / "mqtt-reply.json"
    jsonschema.Draft202012Validator(json.loads(file.read_text("utf-8"))).validate(reply)


def test_a_command_is_run_and_its_reply_finds_who_asked(
    shared_mosquitto, device_with, asking, device, handlers
) -> None:
    device_with(shared_mosquitto.port)
    asker = asking(shared_mosquitto.port, device)
    ready(asker)
    assert asker.ask("ping", "1", a="人")["data"] == {"echo": {"a": "人"}}
    assert asker.replies[-1][0] == f"edge/v1/{device}/reply/1"
    asker.say("ping", b'{"id":"2"}', ResponseTopic=f"asked/{device}", CorrelationData=b"\x00c")
    asker.reply("2")
    topic, reply, correlation = asker.replies[-1]
    assert (topic, correlation, reply["ok"]) == (f"asked/{device}", b"\x00c", True)
    failed = asker.ask("detail", "3")
    assert failed["error"] == {
        "code": "usage", "message": "no such event", "next": "see: events list",
    }  # fmt: skip
    crashed = asker.ask("resume", "4")
    assert "failed in the agent" in crashed["error"]["message"]
    for _, each, _ in asker.replies:
        follows_its_schema(each)


def test_what_is_not_allowed_is_not_even_heard(
    shared_mosquitto, device_with, asking, device, handlers
) -> None:
    device_with(shared_mosquitto.port)
    asker = asking(shared_mosquitto.port, device)
    ready(asker)
    asker.say("label", b'{"id":"no"}')
    asker.ask("ping", "yes")
    assert [reply["id"] for _, reply, _ in asker.replies] == ["yes"]


def test_nonsense_is_answered_with_an_error(shared_mosquitto, device_with, asking, device) -> None:
    device_with(shared_mosquitto.port)
    asker = asking(shared_mosquitto.port, device)
    ready(asker)
    asker.say("ping", b"nonsense", CorrelationData=b"7")
    eventually(lambda: asker.replies, "an answer")
    topic, reply, correlation = asker.replies[0]
    assert topic == f"edge/v1/{device}/reply/malformed"
    assert correlation == b"7"
    assert reply["error"]["code"] == "malformed"
    follows_its_schema(reply)
    # A reply that asks to become a command goes to its ordinary topic.
    asker.say("ping", b'{"id":"9"}', ResponseTopic=f"edge/v1/{device}/cmd/ping")
    asker.reply("9")
    assert asker.replies[-1][0] == f"edge/v1/{device}/reply/9"


def test_the_same_command_again_is_answered_and_not_run(
    shared_mosquitto, device_with, asking, device, handlers
) -> None:
    device_with(shared_mosquitto.port)
    asker = asking(shared_mosquitto.port, device)
    ready(asker)
    before = len(handlers.runs)
    for replies in (1, 2, 3):  # one that comes while it is being run shares the reply
        asker.say("ping", b'{"id":"once"}')
        eventually(lambda n=replies: len(asker.replies) == n, f"reply {replies}")
    assert len(handlers.runs) == before + 1


def test_an_expired_command_is_not_run(
    shared_mosquitto, device_with, asking, device, handlers
) -> None:
    """It waits behind another one for longer than it may."""
    device_with(shared_mosquitto.port)
    asker = asking(shared_mosquitto.port, device)
    ready(asker)
    before = len(handlers.runs)
    asker.say("pause", b'{"id":"slow"}')
    eventually(lambda: len(handlers.runs) == before + 1, "the slow one is at work")
    asker.say("ping", b'{"id":"late"}', MessageExpiryInterval=1)
    time.sleep(1.2)
    handlers.go.set()
    assert asker.reply("late")["error"]["code"] == "expired"
    assert len(handlers.runs) == before + 1


def test_a_retained_command_is_not_run(
    shared_mosquitto, device_with, asking, device, handlers
) -> None:
    asker = asking(shared_mosquitto.port, device)
    asker.say("ping", b'{"id":"kept"}', retain=True)
    device_with(shared_mosquitto.port)
    ready(asker)
    assert not any(reply["id"] == "kept" for _, reply, _ in asker.replies)
    asker.say("ping", b"", retain=True)


def test_a_flood_is_bounded(shared_mosquitto, device_with, asking, device, handlers) -> None:
    inbox = device_with(shared_mosquitto.port)
    asker = asking(shared_mosquitto.port, device)
    ready(asker)
    before = len(handlers.runs)
    for number in range(60):
        asker.say("ping", json.dumps({"id": f"f{number}"}).encode())
    eventually(lambda: len(asker.replies) + inbox.dropped == 60, "each is answered or counted")
    busy = [reply for _, reply, _ in asker.replies if not reply["ok"]]
    assert {reply["error"]["code"] for reply in busy} == {"busy"}
    assert len(handlers.runs) - before < 30


def test_every_queue_is_bounded_when_nobody_runs_or_sends() -> None:
    inbox = Inbox(BASE, {"ping": lambda args: {}})
    for number in range(1000):
        at = number * 10.0  # slow enough for the budget
        payload = json.dumps({"id": str(number)}).encode()
        inbox.offer(Arrived(f"{BASE}/cmd/ping", payload, False, at))
    assert len(inbox._waiting) == WAITING
    assert len(inbox._replies) == REPLIES
    assert inbox.dropped == 1000 - WAITING - REPLIES
    while inbox._waiting:
        inbox.step(0.0)
        inbox.take_reply()
    assert len(inbox._known) <= REMEMBERED


def test_by_mqtt_3_a_command_is_answered_on_its_own_topic(
    shared_mosquitto, device_with, asking, device
) -> None:
    device_with(shared_mosquitto.port, protocol="3.1.1")
    asker = asking(shared_mosquitto.port, device, MQTTProtocolVersion.MQTTv311)
    ready(asker)
    assert asker.ask("ping", "1", x=1)["data"] == {"echo": {"x": 1}}


def test_a_reply_that_the_broker_would_not_take_says_so(
    new_mosquitto, device_with, asking, device, handlers
) -> None:
    broker = new_mosquitto("max_packet_size 2000\n").start()
    device_with(broker.port)
    asker = asking(broker.port, device)
    ready(asker)
    assert asker.ask("ping", "b", pad="y" * 1860)["error"]["code"] == "too_large"


def test_rows_that_were_sent_go_once_more_when_asked_to(
    shared_mosquitto, receive, publish, outbox, device
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    running = publish(shared_mosquitto.port, outbox)
    kept = [running.put() for _ in range(5)]
    eventually(lambda: len(receiver.on("alert")) == 5, "five alerts")
    eventually(lambda: not outbox.rows, "all are acknowledged")
    for message in kept[1:3]:
        outbox.rows[message.seq] = message  # as `resend` of the store does
    outbox.rows = dict(sorted(outbox.rows.items()))
    running.publisher.resend()
    eventually(lambda: len(receiver.on("alert")) == 7, "two of them again")
    assert [envelope["seq"] for envelope in receiver.on("alert")] == [1, 2, 3, 4, 5, 2, 3]
    running.put()
    eventually(lambda: len(receiver.on("alert")) == 8, "and what comes after it")
    assert receiver.on("alert")[-1]["seq"] == 6
