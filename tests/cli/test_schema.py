"""`edge-agent schema`: every document that anything prints has its schema, and follows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.cli.schema import names
from edge_agent.policy.documents import About, alert_document, event_document
from edge_agent.policy.envelope import Sender, encode
from edge_agent.policy.lost import lost_document
from edge_agent.types import Decision, Event, Message, Priority

Ask = Callable[..., Any]
PACKAGE = Path(__file__).parents[2] / "edge_agent"
#: Files of the state directory that nothing but the agent itself reads.
INTERNAL = {
    "measurements",
    "ota-checked",
    "ota-spent",
    "ota-trusted",
    "passed",
    "slots",
    "verdicts",
}

NAME = st.text(min_size=1, max_size=64)
HASH = st.text("0123456789abcdef", min_size=64, max_size=64)
ABOUT = st.builds(About, NAME, NAME, HASH, st.just("litert"), HASH)
SNAPSHOT = st.fixed_dictionaries(
    {
        "kind": st.just("snapshot"),
        "path": NAME,
        "sha256": HASH,
        "bytes": st.integers(0, 10**6),
        "width": st.integers(1, 4000),
        "height": st.integers(1, 4000),
    }
)
EVENTS = st.builds(
    Event,
    id=st.just("0123456789abcdef"),
    pipeline=NAME,
    source=NAME,
    rule=NAME,
    priority=st.sampled_from(Priority),
    label=st.none() | NAME,
    zone=st.none() | NAME,
    text=st.text(max_size=300),
    opened=st.floats(0, 4e9),
    seen=st.just(0.0),
    closed=st.none() | st.floats(0, 4e9),
    close_reason=st.sampled_from([None, "interrupted", "cleared", "storm"]),
    score_max=st.floats(0, 1),
    score_median=st.floats(0, 1),
    track=st.none() | st.integers(0, 10**9),
    count=st.integers(0, 10**6),
    box=st.none() | st.tuples(*[st.floats(0, 1)] * 4),
    frame=st.integers(0, 10**9),
    input=st.none() | NAME,
    evidence=st.lists(SNAPSHOT, max_size=1).map(tuple),
    decisions=st.just((Decision("zone", "pass", {"zone": "門", "x": 0.1, "distance": None}),)),
    advice=st.none() | st.text(max_size=300),
)


def schema(name: str) -> Any:
    return json.loads((PACKAGE / "schemas" / f"{name}.json").read_text("utf-8"))


def checked(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(name))


EVENT, ALERT = checked("event"), checked("mqtt-alert")


@pytest.mark.parametrize("name", names())
def test_a_schema_is_one_and_names_its_document(ask: Ask, name: str) -> None:
    printed = ask("schema", name)
    assert printed.code == 0
    assert printed.out == (PACKAGE / "schemas" / f"{name}.json").read_text("utf-8")
    found = json.loads(printed.out)
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["title"]
    assert found["properties"]["schema"]["const"] == f"{name}/1"
    assert "schema" in found["required"]
    assert ask("schema", f"{name}/1").out == printed.out


def test_every_document_of_the_program_has_a_schema(ask: Ask) -> None:
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "ota").rglob("*.py")]
    text = "".join(path.read_text("utf-8") for path in files)
    printed = set(re.findall(r'(?:"schema":|SCHEMA =) "([a-z-]+)/1"', text)) - INTERNAL
    assert printed
    topics = {"status", "alert", "summary", "ota", "lost", "state", "health", "doctor"}
    listed = ask("schema").out.split()
    assert printed | {f"mqtt-{topic}" for topic in topics} == set(listed)


@given(EVENTS, ABOUT)
@settings(max_examples=50)
def test_an_event_follows_its_schema(event: Event, about: About) -> None:
    EVENT.validate(event_document(event, about))


@given(EVENTS, ABOUT, st.booleans())
@settings(max_examples=150)
def test_an_alert_follows_its_schema_however_it_was_cut(
    event: Event, about: About, late: bool
) -> None:
    body = alert_document(event, about)
    message = Message(41, f"{event.id}/open", "alert", 1, False, 1e9, body, boot=7)
    sender = Sender("d" * 64, "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", 3)
    ALERT.validate(json.loads(encode(message, sender, 1e9 + 120 * late)))


def test_an_alert_that_is_not_cut_must_be_whole() -> None:
    """The schema tells a shortened alert from a wrong one."""
    event = Event(
        id="0123456789abcdef", pipeline="p", source="s", rule="r", priority=Priority.ALERT,
        label=None, zone=None, text="", opened=0.0, seen=0.0, closed=None, close_reason=None,
        score_max=0.5, score_median=0.5, track=None, count=1, box=None, frame=0,
    )  # fmt: skip
    body = alert_document(event, About("m", "1", "a" * 64, "litert", "b" * 64))
    message = Message(41, f"{event.id}/open", "alert", 1, False, 1e9, body, boot=7)
    sender = Sender("d", "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", 3)
    whole = json.loads(encode(message, sender, 1e9))
    ALERT.validate(whole)
    for wrong in (
        {**whole["data"], "config_sha256": "b" * 12},
        {key: value for key, value in whole["data"].items() if key != "advice"},
        {**whole["data"], "close_reason": "inter…"},
        {**whole["data"], "decisions": []},
    ):
        with pytest.raises(jsonschema.ValidationError):
            ALERT.validate({**whole, "data": wrong})


def test_a_declaration_of_loss_follows_its_schema() -> None:
    body = lost_document([(3, "summary"), (4, "summary"), (9, "alert")], "quota", None)
    message = Message(10, "lost/1/10", "lost", 1, False, 1e9, body, boot=7)
    sender = Sender("d", "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", 3)
    checked("mqtt-lost").validate(json.loads(encode(message, sender, 1e9)))


def test_the_small_documents_follow_theirs(ask: Ask, config: Path) -> None:
    checked("version").validate(json.loads(ask("version", "--json").out))
    sources = json.loads(ask("sources", "list", "-c", config, "--json").out)
    checked("sources").validate(sources)
    assert sources["sources"] == [
        {"name": "yard", "kind": "scene", "uri": "built-in:?seed=11", "pipelines": ["yard"]}
    ]
    listed = ask("sources", "list", "-c", config)
    assert listed.out.splitlines()[1].split() == ["yard", "scene", "built-in:?seed=11", "yard"]
