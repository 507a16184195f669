"""The bytes that are counted are the bytes that leave: paho's own packets, seen on their way."""

from __future__ import annotations

import pytest

from edge_agent.uplink.bell import Bell
from edge_agent.uplink.client import Session
from edge_agent.uplink.link import Broker, Packet


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_message_is_as_long_as_it_is_counted(
    shared_mosquitto, proxy_to, device, version, eventually
) -> None:
    proxy = proxy_to(shared_mosquitto.port)
    session = Session(Broker("127.0.0.1", proxy.port, device), version, None, Bell())
    session.open()
    eventually(lambda: session.wait(0.05) or session.answered, "the connection")
    for size in (0, 1, 100, 127, 128, 16_000, 16_383, 16_500, 40_000):
        for correlation in (None, b"", b"c" * 9):
            packet = Packet(f"edge/v1/{device}/人", b"x" * size, False, correlation)
            before = len(proxy.sent)
            counted = session.size(packet)
            session.publish(packet)
            eventually(lambda: session.wait(0.05), "its answer")
            assert len(proxy.sent) - before == counted
    session.abort()
