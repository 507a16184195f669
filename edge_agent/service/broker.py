"""The configuration's `mqtt` in the words of the uplink; the password is read here only."""

from __future__ import annotations

from pathlib import Path

from edge_agent.config.schema import Mqtt
from edge_agent.uplink.link import Broker, Tls
from edge_agent.uplink.outbox import Pace


def broker_of(mqtt: Mqtt, device: str) -> Broker:
    """Raises UsageError when the password's file or credential cannot be read."""
    host, port = mqtt.address
    tls = None
    if mqtt.tls is not None:
        tls = Tls(*(_path(name) for name in (mqtt.tls.ca, mqtt.tls.cert, mqtt.tls.key)))
    return Broker(
        host=host,
        port=port,
        client_id=f"edge-agent-{device}",
        username=mqtt.username,
        password=None if mqtt.password is None else mqtt.password.reveal(),
        tls=tls,
        protocol=mqtt.protocol,
        transport=mqtt.transport,
        discovery=mqtt.discovery,
        pace=Pace(
            rate_msgs=mqtt.drain.rate_msgs,
            state_bytes=None if mqtt.state.kb_per_day is None else 1000 * mqtt.state.kb_per_day,
        ),
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
