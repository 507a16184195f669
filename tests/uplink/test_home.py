"""Home Assistant is told at every connect, at its birth, and when rules come and go."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
import pytest
from broker import Mosquitto
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.host.fake import FakeClock
from edge_agent.policy.discovery import Discovered, discovery, keys
from edge_agent.uplink.home import JITTER_S, LISTEN_S, Home
from edge_agent.uplink.link import Broker
from edge_agent.uplink.memory import MemoryOutbox
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher

WHO = Discovered("dock-07", "edge/v1/dock-07", "0.1.0")
CONFIG = "homeassistant/device/dock-07/config"


def message(home: Home, now: float) -> dict[str, Any] | None:
    packet = home.take_due(now)
    if packet is None:
        return None
    assert (packet.topic, packet.retain) == (CONFIG, True)
    told: dict[str, Any] = json.loads(packet.payload)
    return told


def names(told: dict[str, Any] | None) -> set[str]:
    assert told is not None
    return {each["name"] for each in told["cmps"].values() if "name" in each}


def test_nothing_is_told_before_the_rules_are_known_and_then_once() -> None:
    home = Home("homeassistant", WHO, lambda: 0.5)
    home.connected(100.0)
    assert message(home, 200.0) is None
    assert home.tell((("people", "seen"),), ("people",))
    assert not home.tell((("people", "seen"),), ("people",))
    assert "seen" in names(message(home, 200.0))
    assert message(home, 300.0) is None


def test_a_birth_is_answered_with_jitter_and_a_death_is_not() -> None:
    home = Home("homeassistant", WHO, lambda: 0.5)
    home.tell((), ())
    assert message(home, 1.0) is not None
    assert home.hear("homeassistant/status", b"offline", 10.0)
    assert message(home, 100.0) is None
    assert home.hear("homeassistant/status", b"online", 100.0)
    assert message(home, 100.0 + JITTER_S * 0.4) is None
    assert message(home, 100.0 + JITTER_S * 0.6) is not None
    assert not home.hear("edge/v1/dock-07/cmd/ping", b"{}", 0.0)


def test_what_the_broker_kept_tells_which_rules_are_gone() -> None:
    before = discovery(Discovered("dock-07", WHO.base, "0.1.0", rules=(("people", "old"),)))
    (gone,) = (key for key in keys(before) if before["cmps"][key]["name"] == "old")
    home = Home("homeassistant", WHO, lambda: 0.0)
    home.connected(0.0)
    home.tell((("people", "new"),), ("people",))
    assert message(home, LISTEN_S / 2) is None
    home.hear(CONFIG, json.dumps(before).encode(), 0.1)
    told = message(home, LISTEN_S)
    assert told is not None
    assert told["cmps"][gone] == {"p": "binary_sensor"}


@pytest.mark.parametrize("kept", [b"", b"\xff", b"[]", b'{"cmps": [1]}', b'{"cmps": {"a": 1}}'])
def test_a_kept_message_of_somebody_else_does_no_harm(kept: bytes) -> None:
    home = Home("homeassistant", WHO, lambda: 0.0)
    home.tell((), ())
    assert home.hear(CONFIG, kept, 0.0)
    assert message(home, 10.0) is not None


def test_a_real_broker_keeps_it_and_a_birth_brings_it_again(
    shared_mosquitto: Mosquitto, eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.uplink.home.JITTER_S", 0.1)
    monkeypatch.setattr("edge_agent.uplink.home.LISTEN_S", 0.2)
    came: list[dict[str, Any]] = []
    assistant = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    assistant.on_message = lambda _c, _u, each: came.append(json.loads(each.payload))
    assistant.connect("127.0.0.1", shared_mosquitto.port)
    assistant.subscribe(CONFIG, 1)
    assistant.loop_start()
    publisher = Publisher(
        Broker("127.0.0.1", shared_mosquitto.port, client_id="dock", discovery="homeassistant"),
        Identity("dock-07", "s" * 36, 1, "0.1.0", None, {}),
        MemoryOutbox(),
        FakeClock(),
    )
    stop = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop,), daemon=True)
    thread.start()
    try:
        publisher.watches((("people", "seen"), ("people", "侵入")), ("people",))
        eventually(lambda: came and "侵入" in names(came[-1]), "the device", 10)
        told = len(came)
        assistant.publish("homeassistant/status", b"online", 1)
        eventually(lambda: len(came) > told, "the device again", 10)
        publisher.watches((("people", "seen"),), ("people",))
        eventually(lambda: "侵入" not in names(came[-1]), "the rule to go", 10)
        assert {"p": "binary_sensor"} in came[-1]["cmps"].values()
    finally:
        stop.set()
        thread.join(10)
        assistant.loop_stop()
        assistant.disconnect()
