"""How fast the outbox drains, against a bare paho loop with 20 in flight in the same run.

    python benchmarks/uplink.py [--messages 20000] [--rounds 3]

All send the same alerts with QoS 1 to the same local mosquitto, nobody listens. `bare`: paho's own
thread, payloads made before. `memory`: the publisher with an outbox in memory: session, envelope
and JSON. `store`: the same from SQLite, acknowledgements written. The median of the rounds counts;
the contract of the offline buffer asks for at least 0.25 of the bare loop.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import tell
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_agent.host.clock import Clock
from edge_agent.policy.documents import About, dump, event_document
from edge_agent.policy.envelope import Sender, encode
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft
from edge_agent.types import Event, Message, Priority
from edge_agent.uplink.link import Broker
from edge_agent.uplink.memory import MemoryOutbox
from edge_agent.uplink.outbox import Identity, Outbox
from edge_agent.uplink.publisher import Publisher

IDENTITY = Identity("bench", "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", boot=1, version="0")
WINDOW = 20


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--messages", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    ways: dict[str, Callable[[int, int], float]] = {
        "bare": bare,
        "memory": from_memory,
        "store": from_store,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with mosquitto() as port:
        for _ in range(given.rounds):
            for name, way in ways.items():
                rates[name].append(given.messages / way(port, given.messages))
    bare_rate = statistics.median(rates["bare"])
    print(f"{given.messages} alerts of {len(payload())} bytes, median of {given.rounds} rounds")
    for name, measured in rates.items():
        rate = statistics.median(measured)
        print(f"{name:7} {rate:8.0f} acknowledged messages/s   {rate / bare_rate:5.2f} of bare")
        if name != "bare":
            tell(f"outbox over MQTT / bare paho loop, {name}", rate / bare_rate, 0.25, least=True)


def bare(port: int, messages: int, topic: str = "edge/v1/bench/alert") -> float:
    """Seconds until paho, with its own thread, has an answer to every message."""
    room, answered, done = threading.Semaphore(WINDOW), [0], threading.Event()

    def on_publish(*_: object) -> None:
        answered[0] += 1
        room.release()
        if answered[0] == messages:
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages = 0
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    data = payload()
    began = time.perf_counter()
    for _ in range(messages):
        room.acquire()
        client.publish(topic, data, qos=1)
    done.wait()
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return took


def from_memory(port: int, messages: int) -> float:
    outbox = MemoryOutbox()
    for _ in range(messages):
        outbox.put("alert", BODY, time.time())
    return drained(outbox, port)


def from_store(port: int, messages: int) -> float:
    body = dump(BODY)
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "state") as store:
        store.start()
        for first in range(0, messages, 1000):
            numbers = range(first, min(first + 1000, messages))
            drafts = tuple(Draft(f"s/{n}", "summary", time.time(), body) for n in numbers)
            store.record(Batch(messages=drafts))
        return drained(store.outbox, port)


def drained(outbox: Outbox, port: int) -> float:
    """Seconds from the start of a publisher until nothing is left; the connect is part of it."""
    publisher = Publisher(Broker("127.0.0.1", port, "bench"), IDENTITY, outbox, Clock())
    thread = threading.Thread(target=publisher.run, args=(threading.Event(),))
    began = time.perf_counter()
    thread.start()
    while not publisher.facts().connected:
        time.sleep(0.001)
    if not publisher.hand_over(timeout_s=600.0):
        raise SystemExit("the outbox was not drained")
    took = time.perf_counter() - began
    thread.join()
    return took


def event() -> Event:
    return Event(
        id="0123456789abcdef", pipeline="people", source="dock", rule="person-in-gate",
        priority=Priority.ALERT, label="person", zone="gate", text="person in gate",
        opened=1.7e9, seen=1.7e9, closed=None, close_reason=None, score_max=0.91,
        score_median=0.87, track=12, count=1, box=None, frame=4711,
    )  # fmt: skip


BODY = event_document(event(), About("person", "1.0.0", "ab" * 6, "litert 2.3.0", "cd" * 6))


def payload() -> bytes:
    message = Message(41, "0123456789abcdef/open", "alert", 1, False, time.time(), BODY)
    return encode(message, Sender(IDENTITY.device, IDENTITY.store, 1), time.time())


@contextmanager
def mosquitto() -> Iterator[int]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise SystemExit("This needs a broker: sudo apt-get install mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        config.write("max_queued_messages 1000000\n")
        config.flush()
        broker = subprocess.Popen([program, "-c", config.name], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield port
        finally:
            broker.terminate()
            broker.wait()


def wait_for(port: int) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit("mosquitto does not listen")


if __name__ == "__main__":
    main()
