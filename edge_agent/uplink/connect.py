"""How a connection comes about, or why it does not, in one sentence for a person.

Rules: an attempt takes at most `connect_timeout_s` and ends at once when asked to, although a name
lookup cannot be interrupted: the blocking part runs in a thread of its own, at most one at a time.
MQTT 5 is tried first, every time: only under 5 does a broker say that it refused a message.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_agent.errors import EdgeError
from edge_agent.uplink.bell import Bell
from edge_agent.uplink.link import Broker, Disconnected, Packet, Protocol, Refusal

if TYPE_CHECKING:
    from edge_agent.uplink.client import Session

#: How often a wait looks whether it should end.
_SLICE_S = 0.05
_UNSUPPORTED_PROTOCOL = 0x84
_LOGIN = (0x86, 0x87, 0x8C)  # bad user name or password, not authorized, bad method
#: An old broker may just hang up on version 5. Once may be an accident, so 3.1.1 is tried only
#: when it happened this often in a row.
_HANG_UPS = 2


class ConnectFailed(EdgeError):
    """No connection this time; the publisher backs off and tries again."""

    code = "mqtt_unreachable"


class _ProtocolRefused(ConnectFailed):
    """The broker does not speak this version."""


class _HungUp(ConnectFailed):
    """The broker closed the connection instead of answering CONNECT."""


class Connector:
    """Makes connections to one broker, one at a time."""

    def __init__(self, broker: Broker, bell: Bell) -> None:
        self._broker = broker
        self._bell = bell
        self._dial: _Dial | None = None
        self._hang_ups = 0

    def connect(self, will: Packet | None, stop: Callable[[], bool]) -> Session | None:
        """A session that the broker accepted; None when `stop` said so. Raises ConnectFailed.

        `will` is what the broker publishes should we vanish; None: nothing.
        """
        if self._broker.protocol != "auto":
            return self._attempt(self._broker.protocol, will, stop)
        try:
            return self._attempt("5", will, stop)
        except _ProtocolRefused:
            return self._attempt("3.1.1", will, stop)
        except _HungUp:
            self._hang_ups += 1
            if self._hang_ups < _HANG_UPS:
                raise
            return self._attempt("3.1.1", will, stop)

    def _attempt(
        self, protocol: Protocol, will: Packet | None, stop: Callable[[], bool]
    ) -> Session | None:
        deadline = time.monotonic() + self._broker.connect_timeout_s
        session = self._new_session(protocol, will)
        accepted = False
        try:
            accepted = self._dialled(session, deadline, stop) and self._accepted(
                session, deadline, stop
            )
        finally:
            if not accepted:
                session.abort()
        return session if accepted else None

    def _new_session(self, protocol: Protocol, will: Packet | None) -> Session:
        from edge_agent.uplink.client import Session  # and paho: see link.py

        try:
            return Session(self._broker, protocol, will, self._bell)
        except OSError as error:
            raise ConnectFailed(
                f"the TLS files cannot be used: {error}", "check mqtt.tls: ca, cert and key"
            ) from error

    def _dialled(self, session: Session, deadline: float, stop: Callable[[], bool]) -> bool:
        """The blocking part, in its thread. False when asked to stop."""
        if self._dial is not None and self._dial.is_alive():
            raise ConnectFailed(f"the lookup of {self._broker.host} still hangs", _CHECK_NETWORK)
        self._dial = dial = _Dial(session)
        dial.start()
        while dial.is_alive() and not stop() and time.monotonic() < deadline:
            dial.join(_SLICE_S)
        if dial.is_alive():
            dial.abandon()
            if stop():
                return False
            raise _no_answer(self._broker)
        if dial.error is not None:
            raise explained(dial.error, self._broker) from dial.error
        return True

    def _accepted(self, session: Session, deadline: float, stop: Callable[[], bool]) -> bool:
        """Wait for CONNACK. False when asked to stop."""
        try:
            while not session.answered and not stop():
                if time.monotonic() > deadline:
                    raise _no_answer(self._broker)
                session.wait(_SLICE_S)
        except Disconnected as end:
            if session.refusal is None:
                raise _HungUp(
                    f"{self._broker.address} closed the connection before it answered ({end})",
                    "is it an MQTT broker, and does this port want TLS?",
                ) from end
        if session.refusal is not None:
            raise _refused(session.refusal, session.protocol, self._broker)
        self._hang_ups = 0
        return session.answered


class _Dial(threading.Thread):
    """`Session.open`, which nothing can interrupt. When it is abandoned it tidies up by itself."""

    def __init__(self, session: Session) -> None:
        super().__init__(name="uplink-dial", daemon=True)
        self.error: OSError | ValueError | None = None
        self._session = session
        self._lock = threading.Lock()
        self._abandoned = False

    def run(self) -> None:
        try:
            self._session.open()
        except (OSError, ValueError) as error:
            self.error = error
        with self._lock:
            if self._abandoned:
                self._session.abort()

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True


_CHECK_NETWORK = "check mqtt.host and this device's network"


def _no_answer(broker: Broker) -> ConnectFailed:
    return ConnectFailed(
        f"{broker.address} does not answer within {broker.connect_timeout_s:g} s", _CHECK_NETWORK
    )


def _refused(refusal: Refusal, protocol: Protocol, broker: Broker) -> ConnectFailed:
    """A CONNACK that says no, in words."""
    said = f"{broker.address} refuses the connection: {refusal.words}"
    if refusal.code == _UNSUPPORTED_PROTOCOL:
        return _ProtocolRefused(f"{said} (MQTT {protocol})", "set mqtt.protocol: auto")
    if refusal.code in _LOGIN:
        return ConnectFailed(said, "check mqtt.username, mqtt.password and the broker's users")
    return ConnectFailed(said, "look at the broker's log")


def explained(error: OSError | ValueError, broker: Broker) -> ConnectFailed:
    """Why name lookup, TCP or TLS failed, in words."""
    import ssl

    match error:
        case socket.gaierror():
            return ConnectFailed(
                f"the name {broker.host} cannot be resolved: {error.strerror}", _CHECK_NETWORK
            )
        case ssl.SSLCertVerificationError():
            return ConnectFailed(
                f"the certificate of {broker.address} is not accepted: {error.verify_message}",
                "check mqtt.tls.ca, mqtt.host and this device's clock",
            )
        case ssl.SSLError():
            return ConnectFailed(
                f"TLS with {broker.address} failed: {error.reason or error}",
                "does this port speak TLS, and does the broker want a client certificate?",
            )
        case TimeoutError():
            return _no_answer(broker)
        case ConnectionRefusedError():
            return ConnectFailed(
                f"{broker.address} refuses connections", "start the broker, or check mqtt.port"
            )
        case OSError():
            return ConnectFailed(
                f"{broker.address} cannot be reached: {error.strerror or error}", _CHECK_NETWORK
            )
        case _:
            return ConnectFailed(f"{broker.host!r} is no host name: {error}", "correct mqtt.host")
