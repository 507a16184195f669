"""Receiving by MQTT 5: acknowledged to the broker only after it is in the archive.

Rules: a stable client id and a session that outlives us, so that the broker keeps what comes while
we are away; every message is acknowledged by hand, after the commit that holds it (a PUBACK is not
delivery, not ours either). One thread drives the socket; a turn takes what has come, commits it as
one batch, and acknowledges it. What is no message is kept aside and acknowledged too: it must not
come again and again. Protocol: MQTT 5 (OASIS, 2019).
"""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.errors import EdgeError, UsageError
from edge_agent.policy.backoff import Backoff
from edge_fleet.archive import Archive, Kept
from edge_fleet.entries import Rejected
from edge_fleet.healer import Healer
from edge_fleet.message import Malformed, from_topic

log = logging.getLogger("edge_fleet.collect")

#: What is counted, and what tells how far the counting went.
TOPICS = ("alert", "summary", "ota", "lost", "status", "health")
#: Where devices answer a `resend`.
REPLIES = "reply/+"
#: The broker keeps the session, and what comes for it, for so long.
SESSION_S = 30 * 86_400
#: Messages of one commit at most.
BATCH = 500
WAIT_S = 0.2
CONNECT_S = 10.0
KEEPALIVE_S = 30


@dataclass(frozen=True, slots=True)
class Address:
    """The broker, and who we are to it."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


class Unreachable(EdgeError):
    """No connection this time."""

    code = "mqtt_unreachable"


class Subscriber:
    """Fills the archive from one broker. `counted` is what came so far."""

    def __init__(self, address: Address, archive: Archive, healer: Healer | None = None) -> None:
        self._address = address
        self._archive = archive
        self._healer = healer
        self._backoff = Backoff()
        self.counted = Kept()
        self.rejected = 0

    def run(self, over: Callable[[], bool]) -> None:
        """One connection after another until `over`. Raises NoRoom and what the archive raises.

        The first connection must succeed: a mistyped address should not wait for ever.
        """
        self._connected(over)
        while not over():
            until = time.monotonic() + self._backoff.delay(random.random())
            while not over() and time.monotonic() < until:
                time.sleep(WAIT_S / 4)
            if over():
                return
            try:
                self._connected(over)
            except Unreachable as reason:
                log.warning("no connection: %s", reason.message)
                self._backoff = self._backoff.failed()

    def _connected(self, over: Callable[[], bool]) -> None:
        began = time.monotonic()
        link = Link(self._address, TOPICS if self._healer is None else (*TOPICS, REPLIES))
        try:
            link.open()
            log.info("receiving from %s:%d", self._address.host, self._address.port)
            while not over():
                came = self.turn(link)
                if self._healer is not None and came:
                    self._healer.arrived(time.monotonic())
                elif self._healer is not None:
                    self._healer.step(link, self._archive, time.monotonic())
        except Lost as end:
            log.warning("the connection ended: %s", end)
        finally:
            link.close()
        self._backoff = self._backoff.ended(time.monotonic() - began)

    def turn(self, link: Link) -> int:
        """Take what came, keep it, acknowledge it; how many. Raises Lost."""
        arrived = link.receive(WAIT_S)
        if not arrived:
            return 0
        messages, rejected = [], []
        for each in arrived:
            if self._healer is not None and "/reply/" in each.topic:
                self._healer.replied(each.topic, bytes(each.payload))
                continue
            try:
                messages.append(from_topic(each.topic, bytes(each.payload)))
            except Malformed as fault:
                rejected.append(Rejected(each.topic, str(fault), bytes(each.payload)))
                log.warning("no message: topic=%s reason=%s", each.topic, fault)
        kept = self._archive.keep(messages, "mqtt", time.time(), rejected)
        for each in arrived:
            link.acknowledge(each)
        self.counted = Kept(
            self.counted.new + kept.new,
            self.counted.repeated + kept.repeated,
            self.counted.conflicting + kept.conflicting,
        )
        self.rejected += len(rejected)
        return len(arrived)


class Lost(Exception):
    """The connection ended; the message says why."""


class Link:
    """One connection, over paho's external loop."""

    def __init__(self, address: Address, topics: tuple[str, ...] = TOPICS) -> None:
        self._address = address
        self._topics = topics
        self._answer: Any = None  # of CONNECT
        self._subscribed: list[Any] | None = None
        self._arrived: list[paho.MQTTMessage] = []
        self._ended = ""
        self._client = self._new_client()

    def _new_client(self) -> paho.Client:
        address = self._address
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.username, client.password = address.username, address.password
        if address.tls is not None:
            client.tls_set_context(address.tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: self._arrived.append(message)
        client.on_disconnect = self._on_disconnect
        return client

    def open(self) -> None:
        """Connected and subscribed on return. Raises Unreachable, UsageError, Lost."""
        address = self._address
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        lasting.SessionExpiryInterval = SESSION_S
        lasting.ReceiveMaximum = BATCH
        try:
            self._client.connect(
                address.host, address.port, KEEPALIVE_S, clean_start=False, properties=lasting
            )
        except (OSError, ValueError) as fault:
            raise Unreachable(
                f"{address.host}:{address.port} cannot be reached: {fault}",
                "check --broker, and that the broker runs",
            ) from fault
        self._until(lambda: self._answer is not None, "CONNECT")
        if self._answer.is_failure:
            raise UsageError(
                f"{address.host}:{address.port} refuses the connection: {self._answer.getName()}",
                "check --username, --password-file, and that the broker speaks MQTT 5",
            )
        self._client.subscribe([(f"edge/v1/+/{topic}", 1) for topic in self._topics])
        self._until(lambda: self._subscribed is not None, "SUBSCRIBE")
        if refused := [code.getName() for code in self._subscribed or () if code.is_failure]:
            raise UsageError(
                f"the broker refuses the subscription: {refused[0]}",
                "allow this user to read edge/v1/# (configs/mosquitto.acl)",
            )

    def receive(self, wait_s: float) -> list[paho.MQTTMessage]:
        """What came within `wait_s`, and all that stands behind it, at most BATCH. Raises Lost."""
        self._turn(wait_s if not self._arrived else 0.0)
        before = -1
        while before < len(self._arrived) < BATCH:
            before = len(self._arrived)
            self._turn(0.0)
        arrived, self._arrived = self._arrived, []
        return arrived

    def command(self, device: str, name: str, payload: bytes, expiry_s: int) -> None:
        """Ask a device for something; it answers on its own `reply/<id>`."""
        about = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        about.MessageExpiryInterval = expiry_s
        self._client.publish(f"edge/v1/{device}/cmd/{name}", payload, qos=1, properties=about)

    def acknowledge(self, message: paho.MQTTMessage) -> None:
        """The broker may forget it. Where the connection is gone it comes again, as a repeat."""
        self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        """Say goodbye; the session stays with the broker."""
        self._client.disconnect()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + CONNECT_S
        while not condition():
            if time.monotonic() > deadline:
                raise Unreachable(f"no answer to {what} within {CONNECT_S:g} s", "check --broker")
            self._turn(WAIT_S)

    def _turn(self, wait_s: float) -> None:
        result = self._client.loop(wait_s)
        if self._answer is not None and self._answer.is_failure:
            return  # `open` tells it
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or self._ended:
            raise Lost(self._ended or paho.error_string(result))

    def _on_connect(self, *arguments: Any) -> None:
        _, _, flags, self._answer, _ = arguments
        if not self._answer.is_failure and not flags.session_present:
            log.warning(
                "the broker knows no session of %s: this is the first time, or what came while"
                " this collector was away is missing (see --gaps)",
                self._address.client_id,
            )

    def _on_subscribe(self, *arguments: Any) -> None:
        self._subscribed = list(arguments[3])

    def _on_disconnect(self, *arguments: Any) -> None:
        self._ended = arguments[3].getName()
