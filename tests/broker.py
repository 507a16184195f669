"""A real mosquitto on a free port, and a receiver that knows only the contract.

A pytest plugin (`tests/conftest.py` loads it): `eventually`, `new_mosquitto`, `shared_mosquitto`,
`receive`.
"""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

PATIENCE_S = 20.0


def eventually(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The condition's value once it is true; a failure that says what never came."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail(f"within {patience_s:g} s never: {what}")


@pytest.fixture(name="eventually", scope="session")
def eventually_fixture() -> Callable[..., Any]:
    return eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- mosquitto -----------------------------------------------------------------------------------


class Mosquitto:
    """One broker process that can be killed and started again on the same port."""

    def __init__(self, program: str, folder: Path, extra: str = "") -> None:
        self.port = free_port()
        self._program = program
        self.config = folder / f"mosquitto-{self.port}.conf"
        access = "" if "password_file" in extra else "allow_anonymous true\n"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\n{access}user {getpass.getuser()}\n"
            f"max_queued_messages 1000000\n{extra}"  # not 0: see configs/mosquitto.conf
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self.config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._listens, "mosquitto listens")
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def mosquitto_program() -> str:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("these tests need a real broker: sudo apt-get install mosquitto")
    return program


@pytest.fixture
def new_mosquitto(mosquitto_program: str, tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """`new_mosquitto(extra)`: a broker with these lines in its configuration, not yet started."""
    made: list[Mosquitto] = []

    def make(extra: str = "") -> Mosquitto:
        made.append(Mosquitto(mosquitto_program, tmp_path, extra))
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture(scope="session")
def shared_mosquitto(
    mosquitto_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mosquitto]:
    """One broker for all tests that only use it; each test has a device name of its own."""
    broker = Mosquitto(mosquitto_program, tmp_path_factory.mktemp("mosquitto")).start()
    yield broker
    broker.kill()


# --- who receives --------------------------------------------------------------------------------


class Receiver:
    """A subscriber that knows only the contract; it subscribes again after every reconnect."""

    def __init__(self, port: int, device: str) -> None:
        self._base = f"edge/v1/{device}/"
        self._lock = threading.Lock()
        self._got: list[tuple[str, dict[str, Any], bool]] = []
        self.subscriptions = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = lambda client, *_: client.subscribe(self._base + "#", qos=0)
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        eventually(lambda: self.subscriptions, "the receiver is subscribed")

    def _subscribed(self, *_: Any) -> None:
        self.subscriptions += 1

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(self._base)
        with self._lock:
            self._got.append((topic, json.loads(message.payload), message.retain))

    def on(self, topic: str) -> list[dict[str, Any]]:
        """The envelopes that came on a topic, in order, repeats and all."""
        with self._lock:
            return [envelope for name, envelope, _ in self._got if name == topic]

    def was_retained(self, topic: str) -> bool:
        with self._lock:
            return any(retained for name, _, retained in self._got if name == topic)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def receive() -> Iterator[Callable[[int, str], Receiver]]:
    receivers: list[Receiver] = []

    def start(port: int, device: str) -> Receiver:
        receivers.append(Receiver(port, device))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.close()
