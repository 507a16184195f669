"""Samples over MQTT: what a payload says, and a real broker that comes and goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading

import numpy as np
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge_agent.errors import SourceLost
from edge_agent.sources.signal import Framing, Signal
from edge_agent.sources.signal_mqtt import MqttSamples, MqttSpec, samples
from edge_agent.types import Broken

LONG = 20.0


# --- the payload ---------------------------------------------------------------------------------


def said(payload, channels=1, rate_hz=10.0):
    return samples(payload.encode(), MqttSpec("h", 1, "t", rate_hz, channels))


@pytest.mark.parametrize(
    ("payload", "channels", "values"),
    [
        ("21.5", 1, [[21.5]]),
        ("[1, 2, 3]", 1, [[1], [2], [3]]),
        ("[1, 2, 3]", 3, [[1, 2, 3]]),
        ("[[1, 2], [3, 4]]", 2, [[1, 2], [3, 4]]),
        ('{"values": [1, 2]}', 1, [[1], [2]]),
        ('{"t": null, "values": 7}', 1, [[7]]),
    ],
)
def test_what_a_payload_says(payload, channels, values):
    block = said(payload, channels)
    assert block.values.tolist() == values
    assert block.times is None


@pytest.mark.parametrize("t", ["1000.5", '"1970-01-01T00:16:40.5Z"'])
def test_a_time_is_that_of_the_first_sample(t):
    assert said(f'{{"t": {t}, "values": [1, 2, 3]}}').times.tolist() == [1000.5, 1000.6, 1000.7]


@pytest.mark.parametrize("missing", ["null", "NaN", "1e99"])
def test_what_is_missing_is_a_missing_sample(missing):
    block = said(f"[1, {missing}]")
    assert block.values[0, 0] == 1
    assert not np.isfinite(block.values[1, 0])


@pytest.mark.parametrize(
    ("payload", "channels", "reason"),
    [
        ("hello", 1, "it is not JSON"),
        ("", 1, "it is not JSON"),
        ("[" * 100_000, 1, "it is not JSON"),
        ("[]", 1, "it is empty"),
        ("true", 1, "'True' is no number"),
        ('["a"]', 1, "'a' is no number"),
        ("[1, 2]", 3, "a sample has 3 numbers"),
        ("[[1, 2], [3]]", 2, "a sample has 2 numbers"),
        ("[[1], 2]", 1, "a sample has 1 number"),
        ('{"t": 1}', 1, "it has no values"),
        ('{"t": [], "values": 1}', 1, "neither seconds nor RFC 3339"),
        ('{"t": "now", "values": 1}', 1, "neither seconds nor RFC 3339"),
        ("[" + "1," * 2_100_000 + "1]", 1, "it has 4200003 bytes, and 4194304 are the most"),
    ],
)
def test_what_is_no_sample_says_why(payload, channels, reason):
    with pytest.raises(ValueError, match=reason):
        said(payload, channels)


# --- a broker ------------------------------------------------------------------------------------


@pytest.fixture
def sensor():
    """`sensor(port)(topic, document)` publishes."""
    clients = []

    def connect(port, **login):
        client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            client.username_pw_set(**login)
        client.connect("127.0.0.1", port)
        client.loop_start()
        clients.append(client)

        def publish(topic, payload, retain=False):
            text = payload if isinstance(payload, str) else json.dumps(payload)
            client.publish(topic, text, qos=1, retain=retain).wait_for_publish(LONG)

        return publish

    yield connect
    for client in clients:
        client.disconnect()
        client.loop_stop()


def motor(port, topic="hall/motor", stall_s=LONG, **spec):
    made = MqttSamples("motor", MqttSpec("127.0.0.1", port, topic, 100.0, stall_s=stall_s, **spec))
    return Signal("motor", made, Framing(4, 4, 100.0))


def test_messages_become_windows(shared_mosquitto, sensor):
    source = motor(shared_mosquitto.port, "windows/a")
    source.open()
    publish = sensor(shared_mosquitto.port)
    publish("windows/a", 1)
    publish("windows/b", 99)
    publish("windows/a", [2, 3, 4, 5])
    assert source.read().data[:, 0].tolist() == [1, 2, 3, 4]
    source.close()


def test_messages_that_bear_a_time_may_be_stamped_a_little_late(shared_mosquitto, sensor):
    """Eight samples each, stamped up to two periods off: no gap; one that is lost is one."""
    source = motor(shared_mosquitto.port, "late/a")
    source.open()
    publish = sensor(shared_mosquitto.port)
    for number, late in enumerate([0.0, 0.018, -0.012, 0.01, None, 0.0]):
        if late is not None:
            t = 1700000000 + number * 0.08 + late
            publish("late/a", {"t": t, "values": list(range(number * 8, number * 8 + 8))})
    starts = [source.read().data[0, 0] for _ in range(10)]
    assert starts == [0, 4, 8, 12, 16, 20, 24, 28, 40, 44]
    assert source.notes == {"gaps": 1, "jittered_times": 3}
    source.close()


def test_a_bad_message_is_told_and_counted_and_the_rest_is_read(shared_mosquitto, sensor):
    source = motor(shared_mosquitto.port, "bad/a")
    source.open()
    publish = sensor(shared_mosquitto.port)
    for payload in ([1, 2], "oops", [3, 4]):
        publish("bad/a", payload)
    broken, window = source.read(), source.read()
    assert isinstance(broken, Broken)
    assert broken.reason == "a message on bad/a is no sample: it is not JSON"
    assert window.data[:, 0].tolist() == [1, 2, 3, 4]
    assert source.notes == {"bad_messages": 1}
    source.close()


def test_a_retained_message_is_the_past(shared_mosquitto, sensor):
    publish = sensor(shared_mosquitto.port)
    publish("kept/a", [9, 9, 9, 9], retain=True)
    source = motor(shared_mosquitto.port, "kept/a")
    source.open()
    publish("kept/a", [1, 2, 3, 4])
    assert source.read().data[:, 0].tolist() == [1, 2, 3, 4]
    source.close()


def test_a_sensor_that_falls_silent_is_lost(shared_mosquitto):
    source = motor(shared_mosquitto.port, "silent/a", stall_s=0.2)
    source.open()
    with pytest.raises(SourceLost, match=r"nothing came on silent/a for 0\.2 s"):
        source.read()
    source.close()


def test_a_broker_that_dies_is_lost_and_comes_back(new_mosquitto, sensor):
    broker = new_mosquitto().start()
    source = motor(broker.port)
    source.open()
    broker.kill()
    with pytest.raises(SourceLost, match="ended the connection"):
        source.read()
    source.close()
    with pytest.raises(SourceLost, match="cannot be reached: connection refused"):
        source.open()
    broker.start()
    source.open()
    sensor(broker.port)("hall/motor", [5, 6, 7, 8])
    assert source.read().data[:, 0].tolist() == [5, 6, 7, 8]
    source.close()


def test_a_broker_that_wants_a_password(new_mosquitto, tmp_path, mosquitto_program):
    users = tmp_path / "users"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("no mosquitto_passwd here")
    subprocess.run([tool, "-b", "-c", users, "motor", "secret"], check=True)
    broker = new_mosquitto(f"password_file {users}\n").start()
    with pytest.raises(SourceLost, match="refuses the connection: Not authorized"):
        motor(broker.port).open()
    source = motor(broker.port, username="motor", password="secret")
    source.open()
    source.close()


def test_closing_from_another_thread_ends_a_read(shared_mosquitto):
    source = motor(shared_mosquitto.port, "closed/a")
    source.open()
    threading.Timer(0.1, source.close).start()
    with pytest.raises(SourceLost, match="was closed"):
        source.read()


def test_nobody_reads_what_a_password_is():
    assert "secret" not in repr(MqttSpec("h", 1, "t", 1.0, password="secret"))
