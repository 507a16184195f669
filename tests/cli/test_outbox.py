"""`edge-agent outbox`: a site without a network, as its technician uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.policy import stick
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft

Ask = Callable[..., Any]
SCHEMAS = Path(__file__).parents[2] / "edge_agent/schemas"


def follows(name: str, text: str) -> Any:
    document = json.loads(text)
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Three messages wait; an agent named dock-07 was here."""
    with open_store(tmp_path / "state") as store:
        store.start()
        store.named("dock-07")
        drafts = [Draft(f"m/{n}", "summary", 1.7e9 + n, "{}") for n in range(2)]
        urgent = Draft("lost/1", "lost", 1.7e9, json.dumps({"ranges": []}), priority=0)
        store.record(Batch(messages=(*drafts, urgent)))
    return tmp_path / "state"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


def receipt(media: Path) -> Path:
    """What the desk writes onto the stick."""
    (folder,) = (media / stick.FOLDER).iterdir()
    (name,) = stick.newest(path.name for path in folder.iterdir())
    manifest, tags = stick.read_manifest((folder / name).read_bytes()), {}
    for part in manifest.parts:
        for line in (folder / part.file).read_bytes().splitlines():
            sent = json.loads(line)
            topic = sent["schema"].removeprefix("mqtt-").removesuffix("/1")
            content = (sent["store"], sent["seq"], sent["id"], topic, sent["data"])
            tags[sent["seq"]] = stick.tag(*content)
    path = folder / stick.RECEIPT
    path.write_bytes(stick.write_receipt(stick.receipt_for(manifest, tags, "2026")))
    return path


def test_the_queue_in_words_and_as_json(ask: Ask, state: Path) -> None:
    shown = ask("outbox", "list")
    assert shown.code == 0
    assert [line.split()[:2] for line in shown.out.splitlines()[1:4]] == [
        ["3", "lost"],
        ["1", "summary"],
        ["2", "summary"],
    ]
    assert "3 messages wait (1 lost, 2 summary); the newest number given is 3" in shown.out
    assert shown.widest <= 80
    assert "1 more than these" in ask("outbox", "list", "-n", "2").out
    listed = follows("outbox", ask("outbox", "list", "--json").out)
    assert [message["seq"] for message in listed["messages"]] == [3, 1, 2]
    assert listed["topics"] == {"lost": 1, "summary": 2}


def test_from_the_device_to_the_desk_and_back(ask: Ask, state: Path, media: Path) -> None:
    out = ask("outbox", "export", media)
    assert out.code == 0
    assert "on the stick: 3 messages" in out.out
    assert f"edge-fleet collect --from {media}" in " ".join(out.out.split())
    follows("outbox-exported", ask("outbox", "export", media, "--json").out)
    (manifest,) = media.rglob("manifest-*.json")
    assert follows("outbox-export", manifest.read_text("utf-8"))["device"] == "dock-07"
    confirmed = receipt(media)
    follows("outbox-receipt", confirmed.read_text("utf-8"))
    acked = ask("outbox", "ack", confirmed)
    assert acked.code == 0
    assert "delivered by this receipt: 3 messages" in acked.out
    assert "nothing waits" in ask("outbox", "list").out
    again = follows("outbox-acknowledged", ask("outbox", "ack", media, "--json").out)
    assert (again["confirmed"], again["known"]) == (0, 3)
    assert "taken away, as confirmed: 3 messages" in ask("outbox", "export", media).out


def test_mistakes_have_their_sentence_and_exit_code(ask: Ask, state: Path, media: Path) -> None:
    absent = ask("outbox", "export", media / "not-mounted")
    assert absent.code == 2
    assert "mount the stick" in absent.err
    assert ask("outbox", "export", media).code == 0
    missing = ask("outbox", "ack", media / "receipt.json")
    assert missing.code == 2
    path = receipt(media)
    path.write_bytes(path.read_bytes().replace(b"dock-07", b"dock-08"))
    forged = ask("outbox", "ack", path, "--json")
    assert forged.code == 4
    assert "does not agree with its sha256" in json.loads(forged.err)["error"]["message"]
    assert "3 messages wait" in ask("outbox", "list").out
    nobody = ask("outbox", "list", "--state", media)
    assert nobody.code == 2


def test_a_bound_that_is_too_small_is_exit_code_5(ask: Ask, state: Path, media: Path) -> None:
    with open_store(state) as store:
        store.record(
            Batch(messages=(Draft("big", "summary", 1.7e9, '{"x":"' + "y" * 2000 + '"}'),))
        )
    full = ask("outbox", "export", media, "--max-mb", "0.001")
    assert full.code == 5
    assert "is full: 1 of 4 waiting messages are on it" in full.err
    assert "next: take it to the desk" in full.err


def test_a_store_in_which_no_agent_ran_takes_the_name_of_the_configuration(
    ask: Ask, tmp_path: Path, config: Path, media: Path
) -> None:
    with open_store(tmp_path / "state") as store:
        store.record(Batch(messages=(Draft("m", "summary", 1.7e9, "{}"),)))
    nameless = ask("outbox", "export", media)
    assert nameless.code == 2
    config.write_text(f"device: {{id: gate-3}}\n{config.read_text('utf-8')}", "utf-8")
    named = ask("outbox", "export", media, "-c", config, "--state", tmp_path / "state")
    assert named.code == 0
    (part,) = media.rglob("*.jsonl")
    assert json.loads(part.read_text("utf-8"))["device"] == "gate-3"
