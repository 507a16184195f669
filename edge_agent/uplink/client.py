"""One MQTT connection from CONNECT to its end, over paho, driven by the caller's own thread.

Rules: a new `Session` (and a new paho client) for every connection, so that nothing of paho's own
queue outlives one; everything leaves with QoS 1 and is answered by a PUBACK or not at all; no
call blocks longer than it says, but for `open`, which `connect.py` runs apart.
Protocol: MQTT 5 (OASIS, 2019) and MQTT 3.1.1 (OASIS, 2014). Read `connect.py` next.
"""

from __future__ import annotations

import logging
import math
import select
import time
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.policy import wire
from edge_agent.policy.commands import LARGEST
from edge_agent.uplink.bell import Bell
from edge_agent.uplink.inbox import Arrived
from edge_agent.uplink.link import Answer, Broker, Disconnected, Packet, Protocol, Refusal

log = logging.getLogger("edge_agent.uplink")

#: More in flight is no faster (measured), and every one of them is sent again after a break.
WINDOW = 20
#: A broker need not bring us anything larger than a command with its topics and properties.
_ROOM_FOR_TOPICS = 4096
_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class Session:
    """One connection. `answered` once CONNACK came; `refusal` when it said no."""

    def __init__(self, broker: Broker, protocol: Protocol, will: Packet | None, bell: Bell) -> None:
        self.protocol = protocol
        self.answered = False
        self.refusal: Refusal | None = None
        self.window = WINDOW
        self.keepalive_s = broker.keepalive_s
        self._broker = broker
        self._bell = bell
        self._max_packet: int | None = None
        self._answers: list[Answer] = []
        self._arrived: list[Arrived] = []
        self._ended: str | None = None
        self._client = self._new_client(will)

    def _new_client(self, will: Packet | None) -> paho.Client:
        broker = self._broker
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=_VERSIONS[self.protocol],
            transport=broker.transport,
            reconnect_on_failure=False,
        )
        client.connect_timeout = broker.connect_timeout_s
        client.max_inflight_messages = 0  # no queue of paho's: the window is ours
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.username = broker.username
        client.password = broker.password
        if broker.tls is not None:
            client.tls_set_context(broker.tls.context())
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    # --- what the caller does ---------------------------------------------------------------

    def open(self) -> None:
        """Name lookup, TCP, TLS, CONNECT. Blocks; raises OSError or ValueError."""
        broker = self._broker
        bounds = None
        if self.protocol == "5":
            bounds = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            bounds.MaximumPacketSize = LARGEST + _ROOM_FOR_TOPICS
            bounds.ReceiveMaximum = WINDOW
        self._client.connect(broker.host, broker.port, broker.keepalive_s, properties=bounds)

    def subscribe(self, topics: tuple[str, ...]) -> None:
        """Ask for what is sent to us; `arrived` has it."""
        if topics:
            self._client.subscribe([(topic, 1) for topic in topics])

    def arrived(self) -> list[Arrived]:
        """What came since the last call."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def fits(self, packet: Packet) -> bool:
        """Whether the broker would take a packet of this size; it hangs up on a larger one."""
        return self._max_packet is None or self.size(packet) <= self._max_packet

    def size(self, packet: Packet) -> int:
        """The bytes of its PUBLISH."""
        correlation = None if packet.correlation is None else len(packet.correlation)
        return wire.publish(
            packet.topic, len(packet.payload), version=self.protocol, correlation=correlation
        )

    def publish(self, packet: Packet) -> int:
        """Send it now; the number that its answer will bear. Raises Disconnected."""
        about = None
        if packet.correlation is not None and self.protocol == "5":
            about = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            about.CorrelationData = packet.correlation
        info = self._client.publish(
            packet.topic, packet.payload, qos=1, retain=packet.retain, properties=about
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Disconnected(self._ended or "connection lost")
        return info.mid

    def wait(self, timeout_s: float) -> list[Answer]:
        """Until answers come, the bell rings or the time is over. Raises Disconnected."""
        if self._ended is None:
            self._turn(timeout_s)
        if self._answers:
            answers, self._answers = self._answers, []
            return answers
        if self._ended is not None:
            raise Disconnected(self._ended)
        return []

    def close(self, timeout_s: float) -> None:
        """Say DISCONNECT, so that the broker forgets the last will; then `abort`."""
        deadline = time.monotonic() + timeout_s
        if self._ended is None:
            self._client.disconnect()
        while self._client.socket() is not None and time.monotonic() < deadline:
            self._turn(0.05)
        self.abort()

    def abort(self) -> None:
        """Close the socket as it is: the broker then publishes the last will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._end("closed")

    # --- one turn of the loop ----------------------------------------------------------------

    def _turn(self, timeout_s: float) -> None:
        """Paho's external loop: read what came, write what waits, keep alive."""
        sock = self._client.socket()
        if sock is None:
            self._end("connection lost")
        elif self._is_readable(sock, timeout_s):
            self._client.loop_read()
        if self._client.want_write():
            self._client.loop_write()
        self._client.loop_misc()

    def _is_readable(self, sock: Any, timeout_s: float) -> bool:
        if hasattr(sock, "pending") and sock.pending():
            return True  # TLS has deciphered more than was read; the socket itself stays silent
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poll.register(self._bell, select.POLLIN)
        ready = dict(poll.poll(math.ceil(timeout_s * 1000)))
        self._bell.hush()
        return bool(ready.get(sock.fileno(), 0) & ~select.POLLOUT)

    # --- what paho calls ---------------------------------------------------------------------

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.answered = True
        if reason.is_failure:
            self.refusal = Refusal(reason.value, _words(reason, properties))
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self._max_packet = getattr(properties, "MaximumPacketSize", None)

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        refused = _words(reason, properties) if reason.is_failure else None
        self._answers.append(Answer(mid, refused, reason.value))

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                log.warning("no commands: the broker refuses the subscription reason=%s", reason)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        about = message.properties
        self._arrived.append(
            Arrived(
                message.topic,
                bytes(message.payload),
                message.retain,
                time.monotonic(),
                getattr(about, "MessageExpiryInterval", None),
                getattr(about, "ResponseTopic", None),
                getattr(about, "CorrelationData", None),
            )
        )

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        lost = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
        by_broker = flags.is_disconnect_packet_from_server
        self._end(
            "connection lost" if reason == lost and not by_broker else _words(reason, properties)
        )

    def _end(self, words: str) -> None:
        if self._ended is None:
            self._ended = words


def _words(reason: ReasonCode, properties: Properties | None) -> str:
    """`Not authorized`, with the broker's own sentence where it gives one."""
    said = getattr(properties, "ReasonString", None)
    return f"{reason.getName()} ({said})" if said else reason.getName()
