"""Until when a certificate is good: the broker's, and the one that this device shows.

The standard library parses only a certificate that a TLS handshake has verified. So our own one is
verified by itself, in a handshake in memory: nothing leaves the process. RFC 5280, 8446.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from edge_agent.uplink.link import Broker, Tls

#: More turns than any handshake takes.
_STEPS = 20


def broker_certificate(broker: Broker, tls: Tls) -> float:
    """When the broker's certificate ends, seconds since the epoch.

    Raises OSError as `Session.open` does: also for one that is expired, or for another name.
    """
    address = (broker.host, broker.port)
    with (
        socket.create_connection(address, broker.connect_timeout_s) as plain,
        tls.context().wrap_socket(plain, server_hostname=broker.host) as wrapped,
    ):
        return _end(wrapped.getpeercert())


def own_certificate(cert: Path, key: Path | None) -> float:
    """When a client's certificate ends. Raises ssl.SSLError: also where it is expired, or the key
    is another's."""
    shows = _context(ssl.PROTOCOL_TLS_CLIENT, cert, key)
    shows.check_hostname = False
    shows.verify_mode = ssl.CERT_NONE
    sees = _context(ssl.PROTOCOL_TLS_SERVER, cert, key)
    sees.verify_mode = ssl.CERT_REQUIRED
    sees.load_verify_locations(cert)
    sees.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # itself is all that it must lead to
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = shows.wrap_bio(back, there)
    server = sees.wrap_bio(there, back, server_side=True)
    for _ in range(_STEPS):
        if _shaken(server):
            return _end(server.getpeercert())
        _shaken(client)
    raise ssl.SSLError("the handshake in memory did not come to its end")


def _shaken(side: ssl.SSLObject) -> bool:
    """Take the handshake as far as it goes now; True at its end. Raises ssl.SSLError."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False  # it is the other side's turn
    return True


def _context(protocol: int, cert: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.load_cert_chain(cert, key)
    return context


def _end(certificate: object) -> float:
    assert isinstance(certificate, dict)  # verified, so it is there
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
