"""What a connection to a broker is made of, in words that do not need paho.

paho, and with it ssl and the HTTP of the standard library, are loaded by `client.py` when the
first connection is made: until then, and on a device without a broker for ever, nobody waits for
them. Read `client.py` next.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.uplink.outbox import Meter, Pace, Unmetered

if TYPE_CHECKING:
    import ssl

Protocol: TypeAlias = Literal["5", "3.1.1"]


@frozen
class Tls:
    """Files of the TLS connection; without `ca` the system's authorities count."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Certificate and host name are always checked. Raises OSError for an unusable file."""
        import ssl

        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


@frozen
class Broker:
    """Where and how to connect. `protocol` auto: 5, then 3.1.1 where the broker refuses 5."""

    host: str
    port: int = 1883
    client_id: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    transport: Literal["tcp", "websockets"] = "tcp"
    keepalive_s: int = 30
    connect_timeout_s: float = 10.0
    discovery: str | None = None  # the prefix under which Home Assistant looks for devices
    pace: Pace = field(default_factory=Pace)
    meter: Meter = field(default_factory=Unmetered)  # what may leave in a day

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@frozen
class Packet:
    """What one PUBLISH carries."""

    topic: str
    payload: bytes
    retain: bool
    correlation: bytes | None = None  # of a reply; MQTT 5 alone carries it


@frozen
class Answer:
    """The broker's PUBACK to the packet `mid`: taken, or refused for a reason in words.

    `code`: MQTT 5's; under 3.1.1 always 0.
    """

    mid: int
    refused: str | None
    code: int = 0


@frozen
class Refusal:
    """A CONNACK that says no. `code` is MQTT 5's, whatever the protocol."""

    code: int
    words: str


class Disconnected(Exception):
    """The connection ended; the message says why, in words."""
