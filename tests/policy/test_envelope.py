"""What leaves the device: the envelope's keys, its stability, and an alert's 800 bytes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.documents import About, event_document
from edge_agent.policy.envelope import (
    ALERT_LIMIT,
    OTA_LIMIT,
    SUMMARY_LIMIT,
    Sender,
    cut,
    encode,
    envelope,
)
from edge_agent.policy.ota import Step, Verdict, Version, report
from edge_agent.policy.slots import Order
from edge_agent.policy.summary import Window, WindowAccount, document
from edge_agent.types import Event, Ledger, Message, Priority

STORE = "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2"
SENDER = Sender("dock-07", STORE, session=3)
LONGEST_SENDER = Sender("d" * 64, STORE, session=9_999_999)
ABOUT = About("person-detector", "1.2.0", "a" * 64, "litert 2.3.0", "b" * 64)
NAME = st.text(min_size=1, max_size=64)  # any character, control characters and emoji too


def message(topic: str = "alert", time: float = 1_700_000_000.0, **changes: Any) -> Message:
    plain = Message(
        seq=41, id="0123456789abcdef/open", topic=topic, qos=1, retain=False, time=time,
        body={"a": 1}, boot=7, clock="synced",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def event(**changes: Any) -> Event:
    plain = Event(
        id="0123456789abcdef", pipeline="people", source="dock", rule="person-in-gate",
        priority=Priority.ALERT, label="person", zone="gate", text="person in gate",
        opened=1_700_000_000.0, seen=1_700_000_005.0, closed=None, close_reason=None,
        score_max=0.9123, score_median=0.8712, track=12, count=1, box=(0.1, 0.2, 0.3, 0.4),
        frame=4711, advice="close the gate",
        evidence=({"kind": "snapshot", "path": "evidence/2023-11-14/0123456789abcdef.jpg",
                   "sha256": "c" * 64, "bytes": 48_211},),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def alert_body(event: Event, about: About = ABOUT) -> dict[str, Any]:
    body = {**event_document(event, about), "phase": "open"}
    del body["decisions"]
    return body


def test_the_envelope_has_exactly_the_keys_of_the_contract() -> None:
    sent = envelope(message(), SENDER, now=1_700_000_001.0)
    assert sent == {
        "schema": "mqtt-alert/1",
        "device": "dock-07",
        "store": STORE,
        "boot": 7,
        "session": 3,
        "seq": 41,
        "id": "0123456789abcdef/open",
        "time": "2023-11-14T22:13:20.000Z",
        "clock": "synced",
        "data": {"a": 1},
    }


@pytest.mark.parametrize(("age", "late"), [(0.0, False), (60.0, False), (60.1, True)])
def test_a_message_older_than_a_minute_says_so(age: float, late: bool) -> None:
    sent = envelope(message(time=1000.0), SENDER, now=1000.0 + age)
    assert sent.get("late", False) is late


def test_sending_again_on_another_connection_changes_neither_seq_nor_id() -> None:
    first = envelope(message(), SENDER, now=1_700_000_001.0)
    again = envelope(message(), dataclasses.replace(SENDER, session=4), now=1_700_009_999.0)
    changed = {key for key in again if first.get(key) != again[key]}
    assert changed == {"session", "late"}


def test_names_in_any_script_leave_as_they_are() -> None:
    payload = encode(message(body={"label": "人", "rule": "侵入"}), SENDER, now=0.0)
    assert "人".encode() in payload
    assert b" " not in payload


def test_an_ordinary_alert_keeps_all_that_the_contract_names() -> None:
    plain = event(rule="entered", zone=None, evidence=(), advice=None)
    payload = encode(message(body=alert_body(plain)), SENDER, now=1_700_000_001.0)
    data = json.loads(payload)["data"]
    assert "cut" not in data
    assert data["model"]["sha256"] == "a" * 64
    assert len(payload) <= ALERT_LIMIT


def test_an_alert_that_is_too_long_loses_what_matters_least_first() -> None:
    payload = encode(message(body=alert_body(event())), SENDER, now=1_700_000_001.0)
    data = json.loads(payload)["data"]
    assert data["cut"] is True
    assert data["evidence"] == [
        {"kind": "snapshot", "path": "evidence/2023-11-14/0123456789abcdef.jpg"}
    ]
    assert data["text"] == "person in gate"
    assert data["advice"] == "close the gate"


EVENTS = st.builds(
    event,
    pipeline=NAME, source=NAME, rule=NAME, label=NAME, zone=NAME,
    text=st.text(max_size=400), advice=st.none() | st.text(max_size=400),
    input=st.none() | NAME, track=st.integers(0, 10**9), count=st.integers(0, 10**6),
    evidence=st.lists(
        st.fixed_dictionaries({"kind": NAME, "path": NAME, "sha256": st.just("c" * 64)}),
        max_size=6,
    ).map(tuple),
    closed=st.none() | st.just(1_700_000_100.5), close_reason=st.none() | st.just("interrupted"),
)  # fmt: skip
ABOUTS = st.builds(About, NAME, NAME, st.just("a" * 64), NAME, st.just("b" * 64))


@given(EVENTS, ABOUTS)
@settings(max_examples=150, deadline=None)
def test_no_alert_is_longer_than_800_bytes_and_each_can_be_read(event: Event, about: About) -> None:
    sent = message(body=alert_body(event, about), seq=10**12, boot=10**7, clock="corrected")
    payload = encode(sent, LONGEST_SENDER, now=1_800_000_000.0)
    assert len(payload) <= ALERT_LIMIT
    data = json.loads(payload)["data"]
    assert (data["id"], data["priority"]) == (event.id, "alert")
    assert data["opened"] == "2023-11-14T22:13:20.000Z"


def test_the_widest_names_of_all_still_fit_in_800_bytes() -> None:
    wide = "\x01" * 64  # six bytes a character in JSON
    long = event(
        pipeline=wide, source=wide, rule=wide, label=wide, zone=wide, text=wide * 20, input=wide,
        closed=1_700_000_100.0, close_reason="interrupted", track=10**9, count=10**6,
    )  # fmt: skip
    body = alert_body(long, About(wide, wide, "a" * 64, wide, "b" * 64))
    sent = message(body=body, seq=10**12, boot=10**7, clock="corrected")
    payload = encode(sent, LONGEST_SENDER, now=1_800_000_000.0)
    assert len(payload) <= ALERT_LIMIT


@given(st.text(max_size=200), st.integers(3, 200))
@settings(deadline=None)
def test_a_text_is_cut_between_characters(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert len(json.dumps(kept, ensure_ascii=False).encode()) - 2 <= limit
    assert kept == text or (kept.endswith("…") and text.startswith(kept[:-1]))


def test_half_a_character_of_a_file_name_does_not_stop_a_message() -> None:
    assert b"?.avi" in encode(message(body={"input": "\udce9.avi"}), SENDER, now=0.0)


@given(st.dictionaries(NAME, st.integers(1, 10**6), max_size=40), NAME)
@settings(max_examples=60, deadline=None)
def test_no_summary_is_longer_than_1000_bytes(counts: dict[str, int], pipeline: str) -> None:
    window = Window(pipeline, 1_700_000_000.0)
    for table in (window.labels, window.zones, window.rules):
        table.update(counts)
    for place, value in enumerate((1e-6, 0.3, 0.9, 12.0, 4000.0)):
        for _ in range(place * 7):
            window.score.add(value)
            window.latency.add(value)
    body = document(window, 1_700_000_300.0, WindowAccount(Ledger(10**6, 10**6)))
    sent = message("summary", body=body, seq=10**12, boot=10**7, id="s" * 80)
    assert len(encode(sent, LONGEST_SENDER, now=1_800_000_000.0)) <= SUMMARY_LIMIT


WIDE = st.text(st.characters(min_codepoint=0x10000, max_codepoint=0x1F600), max_size=64)


@given(WIDE, WIDE, st.text(max_size=400), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_no_report_is_longer_than_800_bytes_and_says_what_it_is_about(
    name: str, stage: str, reason: str, numbers: int
) -> None:
    step = Step(
        "model", name, Version("1" * 32, "a" * 64), "rolled_back", Verdict.FAILED, "probation",
        reason, {f"guardrail_{n}": n + 1 / 3 for n in range(numbers)},
        Version("0" * 32, "b" * 64), Order("r" * 64, 10**9, stage),
    )  # fmt: skip
    sent = message("ota", body=report(step), seq=10**12, boot=10**7, id="ota/12345678/10000")
    payload = encode(sent, LONGEST_SENDER, now=1_800_000_000.0)
    assert len(payload) <= OTA_LIMIT
    data = json.loads(payload)["data"]
    assert set(data) == set(report(step))
    assert (data["step"], data["verdict"], data["serial"]) == ("rolled_back", "failed", 10**9)
    assert data["sha256"].startswith("a" * 12)
