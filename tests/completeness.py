"""A receiver that knows only the contract, and proves that it has everything.

`Completeness` is fed envelopes (docs/mqtt.md) in any order, repeats and all. `Collector` subscribes
with QoS 1 and a persistent session and feeds one.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Completeness:
    """What of one store came, and what of it was declared lost."""

    def __init__(self) -> None:
        self.topics: dict[int, str] = {}  # delivered, by seq
        self.bodies: dict[str, dict[str, Any]] = {}  # by id
        self.lost: set[int] = set()
        self.lost_counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.previous_stores: list[str] = []
        self.repeats = 0

    def take(self, topic: str, envelope: dict[str, Any]) -> None:
        seq = envelope["seq"]
        if seq is None:
            return
        if envelope["id"] in self.bodies:
            self.repeats += 1
            assert self.topics[seq] == topic, "an id came with two numbers"
            return
        assert seq not in self.topics, f"seq {seq} came with two ids"
        self.bodies[envelope["id"]] = envelope["data"]
        self.topics[seq] = topic
        if topic == "lost":
            self._declare(envelope["data"])

    def _declare(self, data: dict[str, Any]) -> None:
        declared = {seq for first, last in data["ranges"] for seq in range(first, last + 1)}
        assert sum(data["counts"].values()) == len(declared - self.lost), "the counts do not add up"
        self.lost |= declared
        self.lost_counts.update(data["counts"])
        self.reasons[data["reason"]] += len(declared)
        if data["previous_store"]:
            self.previous_stores.append(data["previous_store"])

    def missing(self, until: int | None = None) -> set[int]:
        """Numbers of which nothing is known, up to the highest that came or `until`."""
        highest = max([0, *self.topics, *self.lost]) if until is None else until
        return set(range(1, highest + 1)) - set(self.topics) - self.lost


class Collector:
    """Subscribed to one device; a completeness per store."""

    def __init__(self, port: int, device: str, name: str = "collector") -> None:
        self._base = f"edge/v1/{device}/"
        self._lock = threading.Lock()
        self.stores: dict[str, Completeness] = {}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{name}-{device}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = lambda client, *_: client.subscribe(self._base + "#", qos=1)
        self._client.on_message = self._message
        self._port = port

    def connect(self) -> Collector:
        """Begin, or come back after `leave`; the broker has kept what came meanwhile."""
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=kept)
        self._client.loop_start()
        return self

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        envelope = json.loads(message.payload)
        if envelope.get("seq") is None:  # retained ones, commands and their replies
            return
        with self._lock:
            known = self.stores.setdefault(envelope["store"], Completeness())
            known.take(message.topic.removeprefix(self._base), envelope)

    def of(self, store: str) -> Completeness:
        with self._lock:
            return self.stores.setdefault(store, Completeness())
