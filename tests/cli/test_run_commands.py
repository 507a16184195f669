"""The service takes commands: a real process, a real broker, one question after another."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from broker import eventually
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from running import Service

from edge_agent.errors import EdgeError
from edge_agent.service.control import ask

pytestmark = pytest.mark.slow
SCHEMAS = Path(__file__).parents[2] / "edge_agent/schemas"

CONFIG = """\
device: {{id: orders-1}}
sources:
  yard: {{kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {{max_fps: 10}}
    rules:
      - {{name: seen, confirm: [2, 3], priority: alert, cooldown_s: 0}}
mqtt: {{host: 127.0.0.1, port: {port}, discovery: homeassistant, commands: [{commands}]}}
"""
HOME = "homeassistant/device/orders-1/config"
EVERYDAY = "ping, detail, snapshot, resend, pause, resume, label"
POLICY = """\
name: night
version: 1
pipelines: {yard: {gate: {max_fps: 5}}}
"""


class Asker:
    def __init__(self, port: int) -> None:
        self._replies: dict[str, Any] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._message
        self._client.message_callback_add(HOME, self._home_told)
        self.home: dict[str, Any] = {}  # the last that Home Assistant was told
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([("edge/v1/orders-1/reply/+", 1), (HOME, 1)])
        self._client.loop_start()
        self._asked = 0

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        reply = json.loads(message.payload)
        self._replies[reply["id"]] = reply

    def _home_told(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.home = json.loads(message.payload)

    @property
    def updates(self) -> set[str]:
        """The update entities that Home Assistant knows."""
        found = self.home.get("cmps", {}).values()
        return {each["name"] for each in found if each["p"] == "update" and "uniq_id" in each}

    def ask(self, name: str, /, **args: Any) -> Any:
        self._asked += 1
        id_ = f"q{self._asked}"
        command = json.dumps({"id": id_, "args": args})
        self._client.publish(f"edge/v1/orders-1/cmd/{name}", command, qos=1)
        return eventually(lambda: self._replies.get(id_), f"a reply to {name}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def asker(shared_mosquitto) -> Iterator[Asker]:
    asker = Asker(shared_mosquitto.port)
    yield asker
    asker.close()


def test_the_service_obeys_what_its_configuration_allows(
    service: Callable[..., Service], shared_mosquitto, receive, asker: Asker, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(port=shared_mosquitto.port, commands=EVERYDAY))
    receiver = receive(shared_mosquitto.port, "orders-1")
    running = service(config)
    alert = eventually(lambda: receiver.on("alert"), "an alert", 60)[0]
    told = asker.ask("ping")["data"]
    assert told["store"] == alert["store"]
    assert told["pending"]["last_seq"] >= alert["seq"]

    detail = asker.ask("detail", event=alert["data"]["id"])["data"]
    schema = json.loads((SCHEMAS / "event.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(detail)
    assert detail["decisions"]

    wanted = {"store": alert["store"], "ranges": [[alert["seq"], alert["seq"]]]}
    eventually(  # one that the broker has acknowledged this moment waits still, by itself
        lambda: asker.ask("resend", **wanted)["data"]["queued"] == 1, "it is queued once more"
    )
    eventually(
        lambda: [each["id"] for each in receiver.on("alert")].count(alert["id"]) == 2,
        "the alert came again",
    )

    entry = asker.ask("snapshot", pipeline="yard")["data"]["evidence"]
    picture = (running.state / entry["path"]).read_bytes()
    assert hashlib.sha256(picture).hexdigest() == entry["sha256"]

    assert asker.ask("pause", pipeline="yard")["data"] == {"paused": ["yard"]}
    assert asker.ask("resume")["data"] == {"paused": []}
    assert asker.ask("pause", pipeline="gate")["error"]["code"] == "usage"
    assert asker.ask("label", event=alert["data"]["id"], label=True)["ok"]
    assert running.stop()[0] == 0
    assert "Traceback" not in running.log.read_text("utf-8")


def test_a_policy_is_taken_back_from_afar(
    service, shared_mosquitto, receive, edge, asker: Asker, tmp_path: Path
) -> None:
    """`rollback`; and Home Assistant's update entity comes and goes with the policy."""
    config, policy = tmp_path / "config.yaml", tmp_path / "night.yaml"
    config.write_text(CONFIG.format(port=shared_mosquitto.port, commands="rollback"))
    policy.write_text(POLICY)
    here = ("-c", config, "--state", tmp_path / "state")
    assert edge("policies", "import", policy, *here).returncode == 0
    assert edge("policies", "activate", "night", *here).returncode == 0
    receiver = receive(shared_mosquitto.port, "orders-1")
    running = service(config)

    def at_work() -> list[str]:
        try:
            return [each["version"] for each in ask(running.state, "status")["policies"]]
        except EdgeError:
            return []

    eventually(lambda: at_work() == ["1"], "the policy at work", 60)
    eventually(lambda: receiver.on("alert"), "an alert: by then it listens", 60)
    both = {"Policy night", "Model scene-detector"}
    eventually(lambda: asker.updates == both, "an update entity each", 60)

    def on_health() -> dict[str, Any]:
        told: dict[str, Any] = receiver.on("health")[-1]["data"]["policies"]
        return told

    eventually(lambda: on_health().get("night", {}).get("version") == "1", "the policy on health")
    refused = asker.ask("rollback", name="night", policy="night")["error"]
    assert (refused["code"], refused["next"][:5]) == ("usage", "write")
    assert asker.ask("rollback")["error"]["code"] == "usage"
    assert asker.ask("rollback", name="night")["error"]["code"] == "usage"  # no model
    assert at_work() == ["1"]
    back = asker.ask("rollback", policy="night", reason="too few frames")
    assert (back["ok"], back["data"]) == (True, {"policy": "night", "version": None})
    assert at_work() == []
    eventually(lambda: asker.updates == {"Model scene-detector"}, "its entity is gone", 60)
    eventually(lambda: on_health() == {}, "no policy on health", 60)
    again = asker.ask("rollback", policy="night")["error"]
    assert again["message"] == "policy night is not in charge"
    assert running.stop()[0] == 0
    with sqlite3.connect(running.state / "edge.db") as store:
        told = store.execute("SELECT step, who, reason FROM audit ORDER BY n DESC").fetchone()
    assert told == ("rolled_back", "command", "too few frames")
