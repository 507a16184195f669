"""The broker configuration that ships: receivers that were away, devices that speak for others."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def shipped(new_mosquitto, tmp_path: Path, device: str):
    """`configs/mosquitto.conf` as it is, but for its port and its paths."""
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not here: sudo apt-get install mosquitto")
    passwords = tmp_path / "passwords"
    passwords.touch()
    for user in (device, "collector"):
        subprocess.run([tool, "-b", str(passwords), user, "secret"], check=True)
    broker = new_mosquitto()
    text = (CONFIGS / "mosquitto.conf").read_text()
    for shipped_line, here in {
        "listener 1883": f"listener {broker.port} 127.0.0.1",
        "password_file /etc/mosquitto/passwords": f"password_file {passwords}",
        "acl_file /etc/mosquitto/acl": f"acl_file {CONFIGS / 'mosquitto.acl'}",
        "persistence_location /var/lib/mosquitto/": f"persistence_location {tmp_path}/",
    }.items():
        assert f"\n{shipped_line}\n" in text
        text = text.replace(f"\n{shipped_line}\n", f"\n{here}\n")
    broker.config.write_text(f"{text}\nuser {getpass.getuser()}\n")
    return broker.start()


@pytest.fixture
def collector(shipped) -> Iterator[Callable[[], tuple[paho.Client, list[bytes]]]]:
    """Connects with a stable id and a persistent session, as receivers must."""
    clients: list[paho.Client] = []

    def connect() -> tuple[paho.Client, list[bytes]]:
        got: list[bytes] = []
        subscribed = threading.Event()
        client = paho.Client(
            CallbackAPIVersion.VERSION2, "collector-1", protocol=MQTTProtocolVersion.MQTTv5
        )
        clients.append(client)
        client.username, client.password = "collector", "secret"
        client.on_message = lambda _client, _data, message: got.append(message.payload)
        client.on_connect = lambda client, *_: client.subscribe("edge/v1/+/alert", qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", shipped.port, clean_start=False, properties=lasting)
        client.loop_start()
        assert subscribed.wait(20)
        return client, got

    yield connect
    for client in clients:
        client.disconnect()
        client.loop_stop()


def test_a_receiver_that_was_away_gets_all_three_thousand(
    shipped, collector, publish, outbox, device, eventually
) -> None:
    away, _ = collector()
    away.disconnect()
    away.loop_stop()
    for _ in range(3000):
        outbox.fill()
    publish(shipped.port, outbox, username=device, password="secret")
    eventually(lambda: not outbox.rows, "all are acknowledged", 60.0)
    _, got = collector()
    eventually(lambda: len(got) >= 3000, "all arrived", 60.0)
    assert len(set(got)) == 3000


def test_a_device_cannot_speak_for_another(shipped, publish, device, eventually) -> None:
    other = publish(shipped.port, username="collector", password="secret")
    other.put()
    eventually(lambda: other.publisher.facts().set_aside == 1, "the alert is refused")
    other.stop()
    honest = publish(shipped.port, username=device, password="secret")
    honest.put()
    eventually(lambda: not honest.outbox.rows, "the device's own alert is accepted")
