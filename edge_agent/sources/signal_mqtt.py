"""Samples that a sensor publishes over MQTT: one topic, a JSON payload.

    21.5                                   one sample of one channel
    [0.1, 0.2, 0.3]                        samples in a row; with channels=3 one sample of three
    [[0.1, 9.8], [0.2, 9.7]]               samples in a row of two channels
    {"t": 1700000000.25, "values": ...}    the same, with the time of the first sample

`null` is a missing sample, `t` are seconds or RFC 3339. Rules: a client of its own, driven by the
thread that reads; nothing is queued here, so what is not taken in time waits at the broker, which
drops at its own limit. A retained message is the past and is passed over. What is no such payload
is damage. MQTT 3.1.1, QoS 1 for what the broker holds back during a short break.
"""

from __future__ import annotations

import json
import math
import select
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import SourceLost
from edge_agent.frozen import frozen
from edge_agent.policy.documents import parse_rfc3339
from edge_agent.sources.signal import Block, Damage, SamplesInfo
from edge_agent.sources.signal_tcp import dial
from edge_agent.sources.wake import Wake, Wakeable

CONNECT_S = 10.0
#: So often paho must see whether it has to send a sign of life.
KEEP_ALIVE_S = 5.0
#: Bytes of a message at most: taken apart it is thirty times as large.
LARGEST_MESSAGE = 1 << 22
#: What float32 holds.
_LARGEST = 3e38


@frozen
class MqttSpec:
    host: str
    port: int
    topic: str
    rate_hz: float
    channels: int = 1
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    stall_s: float = 10.0


class MqttSamples(Wakeable):
    """One topic as samples."""

    live = True

    def __init__(self, name: str, spec: MqttSpec) -> None:
        super().__init__()
        self._subject = f"source {name}: {spec.host}:{spec.port}"
        self._spec = spec
        self._client: Any = None
        self._refused = ""
        self._subscribed = False
        self._ready: deque[Block | Damage] = deque()
        self._counts: Counter[str] = Counter()

    @property
    def notes(self) -> Mapping[str, int]:
        return self._counts

    def open(self) -> SamplesInfo:
        self.close()
        with self._busy:
            self._ready.clear()
            self._subscribed, self._refused = False, ""
            wake = self._wake = Wake()
            deadline = monotonic() + CONNECT_S
            self._client = self._connected(wake, deadline)
            while not self._subscribed:
                self._turn(wake, deadline)
                if monotonic() > deadline:
                    raise SourceLost(f"{self._subject} does not answer within {CONNECT_S:g} s")
        return SamplesInfo(None, self._spec.channels)

    def read(self) -> Block | Damage:
        """Raises SourceLost where no message came for `stall_s`, or the connection ended."""
        spec = self._spec
        with self._busy:
            deadline = monotonic() + spec.stall_s
            while not self._ready:
                if self._wake is None or monotonic() > deadline:
                    why = f"nothing came on {spec.topic} for {spec.stall_s:g} s"
                    raise SourceLost(f"{self._subject}: {why if self._wake else 'it was closed'}")
                self._turn(self._wake, deadline)
            return self._ready.popleft()

    # --- the connection --------------------------------------------------------------------------

    def _connected(self, wake: Wake, deadline: float) -> Any:
        """A client that has sent CONNECT. Raises SourceLost."""
        from paho.mqtt import client as paho  # heavy: only where it is asked for
        from paho.mqtt.enums import CallbackAPIVersion

        spec = self._spec
        # Paho's own connect cannot be given up: it is asked only where somebody answers.
        with dial((spec.host, spec.port), self._subject, wake, deadline) as answered:
            host = answered.getpeername()[0]
        client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.connect_timeout = max(0.1, deadline - monotonic())
        client.username, client.password = spec.username, spec.password
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        try:
            client.connect(host, spec.port)
        except OSError as fault:
            reason = fault.strerror or str(fault)
            raise SourceLost(f"{self._subject} cannot be reached: {reason}") from None
        return client

    def _turn(self, wake: Wake, deadline: float) -> None:
        """Paho's external loop: read what came, write what waits, keep alive."""
        client, sock = self._client, self._client and self._client.socket()
        if sock is not None:
            events = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
            if wake.wait_for(sock.fileno(), events, min(deadline - monotonic(), KEEP_ALIVE_S)):
                client.loop_read()
            if client.want_write():
                client.loop_write()
            client.loop_misc()
        if wake.over:
            raise SourceLost(f"{self._subject} was closed")
        if self._refused:
            raise SourceLost(f"{self._subject} {self._refused}")
        if client is None or client.socket() is None:
            raise SourceLost(f"{self._subject} ended the connection")

    def _give_back(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            if self._client.socket() is not None:
                self._client.socket().close()
        self._client = None

    # --- what paho calls -------------------------------------------------------------------------

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            self._refused = f"refuses the connection: {reason.getName()}"
        else:
            client.subscribe(self._spec.topic, qos=1)

    def _on_subscribe(self, _client: Any, _data: Any, _id: int, reasons: Any, _more: Any) -> None:
        if not reasons or reasons[0].is_failure:
            why = reasons[0].getName() if reasons else "without a reason"
            self._refused = f"refuses the topic {self._spec.topic}: {why}"
        self._subscribed = True

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if message.retain:
            return
        try:
            block = samples(message.payload, self._spec)
        except ValueError as fault:
            self._counts["bad_messages"] += 1
            self._ready.append(Damage(f"a message on {message.topic} is no sample: {fault}"))
        else:
            self._ready.append(block)


# --- the payload -------------------------------------------------------------------------------


def samples(payload: bytes, spec: MqttSpec) -> Block:
    """What a message says. Raises ValueError with what is wrong with it."""
    if len(payload) > LARGEST_MESSAGE:
        raise ValueError(f"it has {len(payload)} bytes, and {LARGEST_MESSAGE} are the most")
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    moment = None
    if isinstance(said, dict):
        if "values" not in said:
            raise ValueError("it has no values")
        moment, said = _moment(said.get("t")), said["values"]
    values = _table(said, spec.channels)
    if moment is None:
        return Block(values)
    times = moment + np.arange(len(values)) / spec.rate_hz
    return Block(values, times, stamped_once=len(values) > 1)


def _table(said: Any, channels: int) -> NDArray[np.float32]:
    rows = said if isinstance(said, list) else [said]
    if not any(isinstance(row, list) for row in rows):
        rows = [rows] if channels > 1 else [[number] for number in rows]
    if not rows:
        raise ValueError("it is empty")
    for row in rows:
        if not isinstance(row, list) or len(row) != channels:
            raise ValueError(f"a sample has {channels} number{'s' * (channels > 1)}")
    return np.array([[_number(each) for each in row] for row in rows], np.float32)


def _number(said: Any) -> float:
    if said is None:
        return math.nan
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise ValueError(f"{str(said)[:20]!r} is no number")
    return float(said) if abs(said) < _LARGEST else math.nan


def _moment(said: Any) -> float | None:
    if said is None:
        return None
    if isinstance(said, int | float) and not isinstance(said, bool) and abs(said) < _LARGEST:
        return float(said)
    try:
        return parse_rfc3339(said, UTC)
    except (TypeError, ValueError):
        raise ValueError("its t is neither seconds nor RFC 3339") from None
