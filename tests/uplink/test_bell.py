"""The bell ends one wait, not the next, and what it announced is heard exactly once."""

from __future__ import annotations

import select
import threading
import time

from edge_agent.uplink.bell import Bell
from edge_agent.uplink.connect import Connector
from edge_agent.uplink.link import Broker, Packet


def test_many_rings_are_one_announcement() -> None:
    bell = Bell()
    assert not bell.heard()
    for _ in range(100_000):  # more than a pipe would hold
        bell.ring()
    assert bell.heard()
    assert not bell.heard()


def test_a_hushed_bell_ends_no_wait_but_is_still_heard() -> None:
    bell = Bell()
    bell.ring()
    assert select.select([bell], [], [], 0)[0]
    bell.hush()
    assert not select.select([bell], [], [], 0)[0]
    assert bell.heard()
    bell.ring()
    assert select.select([bell], [], [], 0)[0]


def test_no_ring_is_lost_between_two_threads() -> None:
    bell, counted, announced = Bell(), 0, [0]

    def announce() -> None:
        for _ in range(5000):
            announced[0] += 1
            bell.ring()

    thread = threading.Thread(target=announce)
    thread.start()
    while counted < 5000:
        assert select.select([bell], [], [], 20)[0], f"nobody rang after {counted}"
        bell.hush()
        if bell.heard():
            counted = announced[0]
    thread.join()


def test_a_ring_ends_the_wait_for_a_silent_broker_once(shared_mosquitto) -> None:
    """Else a publisher with a full window would spin until the next PUBACK."""
    bell = Bell()
    connector = Connector(Broker("127.0.0.1", shared_mosquitto.port), bell)
    session = connector.connect(Packet("edge/v1/none/status", b"", False), lambda: False)
    assert session is not None
    bell.ring()
    began = time.monotonic()
    assert session.wait(60.0) == []
    assert time.monotonic() - began < 30.0
    began = time.monotonic()
    assert session.wait(0.3) == []
    assert time.monotonic() - began >= 0.29
    session.close(1.0)
