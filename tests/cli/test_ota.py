"""`edge-agent ota`: what is offered to this device, by a stick and over http; how it went."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from file_server import serving
from signed_repository import SignedRepository, rollout

from edge_agent.policy.rollout import Mode, Stage

CONFIG = """\
device: {{id: dock-07, tags: {{line: a}}, timezone: Asia/Tokyo}}
sources: {{yard: {{kind: scene}}}}
pipelines: {{people: {{source: yard, model: scene-detector}}}}
ota: {{repository: "{address}", root: root.json, window: "00:00-24:00"}}
"""


@pytest.fixture
def signed(tmp_path: Path) -> SignedRepository:
    """Good for ten days from now; one rollout is for everybody, one for another line."""
    made = SignedRepository(tmp_path / "stick", datetime.now(UTC) + timedelta(days=10))
    made.put_model()
    made.put_rollout(rollout())
    other = Stage("other line", Mode.SHADOW, tags={"line": "b"})
    made.put_rollout(replace(rollout("people-b"), stages=(other,)))
    made.publish("models", "rollouts")
    (tmp_path / "root.json").write_bytes(made.bootstrap)
    return made


def configured(folder: Path, address: str) -> Path:
    path = folder / "ota.yaml"
    path.write_text(CONFIG.format(address=address), "utf-8")
    return path


def document(name: str, text: str) -> dict:
    found = json.loads(text)
    schema = resources.files("edge_agent") / "schemas" / f"{name}.json"
    jsonschema.validate(found, json.loads(schema.read_text("utf-8")))
    return found


def test_what_a_stick_offers(ask, tmp_path: Path, signed: SignedRepository) -> None:
    config = configured(tmp_path, "https://models.invalid/tuf")
    answer = ask("ota", "check", signed.folder, "-c", config)
    assert answer.code == 0, answer.err
    assert answer.widest <= 80
    assert "people-1.1  model people 1.1  all (1 of 1)" in answer.out
    assert "for dock-07" in answer.out
    found = document("ota-check", ask("ota", "check", signed.folder, "-c", config, "--json").out)
    modes = {each["rollout"]["id"]: (each["member"], each["mode"]) for each in found["orders"]}
    assert modes == {"people-1.1": (True, "charge"), "people-b": (False, None)}
    assert found["orders"][0]["target"]["path"] == "models/people/1.1.tar"


def test_over_http_and_what_status_tells_of_it(
    ask, tmp_path: Path, signed: SignedRepository
) -> None:
    with serving(signed.folder) as server:
        config = configured(tmp_path, server.url)
        before = document("ota-status", ask("ota", "status", "-c", config, "--json").out)
        assert (before["checked"], before["orders"]) == (None, [])
        assert "never" in ask("ota", "status", "-c", config).out
        assert ask("ota", "check", "-c", config).code == 0
    good = document("ota-status", ask("ota", "status", "-c", config, "--json").out)
    assert good["failure"] is None
    assert good["spent_mb"] > 0
    assert good["versions"]["rollouts"] == 2
    answer = ask("ota", "check", "-c", config)  # the server is gone
    assert answer.code == 1
    assert "127.0.0.1" in answer.err
    assert "next: nothing changed here" in answer.err
    bad = document("ota-status", ask("ota", "status", "-c", config, "--json").out)
    assert bad["failure"]["code"] == "unreachable"
    assert bad["good"] == good["good"]
    assert bad["orders"] == good["orders"]
    text = ask("ota", "status", "-c", config)
    assert text.widest <= 80
    assert "failed " in text.out


def test_a_refusal_is_exit_4_and_says_why(ask, tmp_path: Path, signed: SignedRepository) -> None:
    config = configured(tmp_path, str(signed.folder))
    signed.keys["timestamp"] = ["thief"]
    signed.stamp()
    answer = ask("ota", "check", "-c", config)
    assert answer.code == 4
    assert "not signed by enough of the trusted keys" in answer.err


def test_what_is_not_there(ask, tmp_path: Path, signed: SignedRepository) -> None:
    config = configured(tmp_path, str(tmp_path / "unplugged"))
    answer = ask("ota", "check", "-c", config)
    assert (answer.code, "there is no folder" in answer.err) == (2, True)
    plain = tmp_path / "plain.yaml"
    plain.write_text("".join(CONFIG.format(address="").splitlines(keepends=True)[:3]), "utf-8")
    answer = ask("ota", "check", "-c", plain)
    assert (answer.code, "no repository is configured" in answer.err) == (2, True)
    answer = ask("ota", "check", signed.folder, "-c", plain)
    assert (answer.code, "/etc/edge-agent/root.json" in answer.err) == (2, True)
    assert "none is configured" in ask("ota", "status", "-c", plain).out


def test_status_loads_no_tuf(edge, tmp_path: Path, signed: SignedRepository) -> None:
    """140 ms and 20 MB: only who talks to a repository pays."""
    import subprocess
    import sys

    config = configured(tmp_path, str(signed.folder))
    code = (
        "import sys; from edge_agent.cli import obey;"
        f"obey(['ota', 'status', '-c', {str(config)!r}, '--state', {str(tmp_path)!r}]);"
        "print([m for m in ('tuf', 'urllib3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
