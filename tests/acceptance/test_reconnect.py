"""A real mosquitto goes and comes back: devices with the back-off of production make no storm.

Publishers as the agent has them, each with messages to send, and every attempt of each noted. The
bound of 15 attempts a minute is that of `tests/policy/test_backoff.py`, here against the clock.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.host.clock import Clock
from edge_agent.uplink.link import Broker
from edge_agent.uplink.memory import MemoryOutbox
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher

pytestmark = pytest.mark.slow

MOST_A_MINUTE = 15
KINDS = {"persistent": "persistence true\nautosave_interval 1\n", "forgetful": ""}


class Device:
    """A publisher in its thread; `attempts` are moments, also of those that came to something."""

    def __init__(self, port: int, number: int) -> None:
        name = f"reconnect-{number}"
        self.outbox = MemoryOutbox()
        self.attempts: list[float] = []
        who = Identity(name, "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", boot=1, version="0")
        self._publisher = Publisher(Broker("127.0.0.1", port, name), who, self.outbox, Clock())
        connect = self._publisher._connector.connect
        self._publisher._connector.connect = lambda *args: self._noted(connect, *args)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publisher.run, args=(self._stop,))
        self._thread.start()

    def _noted(self, connect: Callable[..., Any], *args: Any) -> Any:
        self.attempts.append(time.monotonic())
        return connect(*args)

    def put(self) -> None:
        self.outbox.put("alert", {}, time.time())
        self._publisher.notify()

    @property
    def is_there(self) -> bool:
        return self._publisher.facts().connected

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)

    def most(self, seconds: float) -> int:
        """Attempts in any stretch of so many seconds."""
        return max(
            sum(began <= each < began + seconds for each in self.attempts)
            for began in self.attempts
        )


@contextmanager
def devices(port: int, number: int) -> Iterator[list[Device]]:
    started = [Device(port, each) for each in range(number)]
    try:
        yield started
    finally:
        for each in started:
            each._stop.set()
        for each in started:
            each.close()


def everybody(fleet: list[Device], part: float = 1.0) -> bool:
    return sum(each.is_there for each in fleet) >= part * len(fleet)


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("forgetful", 1),
        pytest.param("forgetful", 20, marks=pytest.mark.acceptance),
        pytest.param("persistent", 20, marks=pytest.mark.acceptance),
    ],
)
def test_a_broker_that_is_killed_again_and_again_is_not_stormed(
    kind: str,
    kills: int,
    new_mosquitto: Callable[..., Any],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    chance, back = random.Random(5), []
    extra = KINDS[kind] + (f"persistence_location {tmp_path}/\n" if KINDS[kind] else "")
    broker = new_mosquitto(extra).start()
    with devices(broker.port, 10) as fleet:
        eventually(lambda: everybody(fleet), "all are there", 90)
        for kill in range(kills):
            # Now and then a connection counts as stable, and the back-off begins anew.
            time.sleep(31.0 if kill % 4 == 3 else chance.uniform(0.5, 2.5))
            broker.kill()
            for device in fleet:
                device.put()
            time.sleep(chance.uniform(0.0, 4.0))
            broker.start()
            began = time.monotonic()
            eventually(lambda: everybody(fleet, 0.5), "half of them are back", 90)
            back.append(time.monotonic() - began)
        eventually(lambda: everybody(fleet), "all are back", 90)
        eventually(lambda: not any(each.outbox.rows for each in fleet), "all was sent", 60)
        minute = max(each.most(60.0) for each in fleet)
        seconds = Counter(int(at) for each in fleet for at in each.attempts)
    print(
        f"{kind}: {kills} kills, half of 10 devices back after {statistics.median(back):.1f} s "
        f"(median, at most {max(back):.1f}); of one device at most {minute} attempts in a minute, "
        f"of all at most {max(seconds.values())} in a second"
    )
    assert minute <= MOST_A_MINUTE
    assert all(len(each.outbox.acknowledged) >= kills for each in fleet)


@pytest.mark.acceptance
def test_after_a_long_outage_devices_come_back_spread_over_a_minute(
    new_mosquitto: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    away_s, number = 150.0, 60
    broker = new_mosquitto().start()
    with devices(broker.port, number) as fleet:
        eventually(lambda: everybody(fleet), "all are there", 90)
        broker.kill()
        time.sleep(away_s)
        broker.start()
        began = time.monotonic()
        eventually(lambda: everybody(fleet), "all are back", 90)
        took = time.monotonic() - began
        late = sum(began - 60.0 <= at < began for each in fleet for at in each.attempts)
        seconds = Counter(int(at - began) for each in fleet for at in each.attempts if at >= began)
        minute = max(each.most(60.0) for each in fleet)
    print(
        f"{number} devices, away for {away_s:.0f} s: at most {minute} attempts of one in a minute, "
        f"{late / number:.1f} each in the last minute, all back after {took:.1f} s, "
        f"at most {max(seconds.values())} in a second"
    )
    assert minute <= MOST_A_MINUTE
    assert late <= 4 * number
    assert max(seconds.values()) <= number // 5
