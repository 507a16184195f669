"""How many bytes of MQTT a message is, without TCP and TLS beneath it.

Pure. MQTT 5 (OASIS, 2019) 3.3 PUBLISH, 3.4 PUBACK, 3.12 PINGREQ; 3.1.1 has no properties.
"""

from __future__ import annotations

#: The broker's answer to a message; a question whether it is there, and its answer.
PUBACK, PING = 4, 4
#: The identifier of correlation data, and its length.
_CORRELATION = 3


def publish(topic: str, payload: int, *, version: str = "5", correlation: int | None = None) -> int:
    """A PUBLISH with QoS 1. `payload`, `correlation`: bytes of them."""
    rest = 2 + len(topic.encode()) + 2 + payload
    if version == "5":
        about = 0 if correlation is None else _CORRELATION + correlation
        rest += length(about) + about
    return 1 + length(rest) + rest


def length(size: int) -> int:
    """Bytes of MQTT's variable byte integer."""
    return 1 + (size > 127) + (size > 16_383) + (size > 2_097_151)
