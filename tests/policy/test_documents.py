"""Documents: times, key order, rounding, and the same values always the same bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.documents import (
    About,
    alert_document,
    decision_document,
    dump,
    event_document,
    parse_rfc3339,
    rfc3339,
)
from edge_agent.types import Decision, Event, Priority

ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
EVENT = Event(
    id="0123456789abcdef",
    pipeline="yard",
    source="cam",
    rule="侵入",
    priority=Priority.ALERT,
    label="人",
    zone="gate",
    text="人 in gate",
    opened=1.25,
    seen=2.0,
    closed=3.5,
    close_reason="cleared",
    score_max=0.91237,
    score_median=0.8,
    track=4,
    count=1,
    box=(0.1, 0.2, 0.30001, 0.4),
    frame=12,
    input="v.avi",
    decisions=(Decision("score", "pass", {"score": 0.912371, "needs": 0.5}),),
)


def schema(name: str) -> dict[str, Any]:
    file = resources.files("edge_agent") / "schemas" / f"{name}.json"
    loaded: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return loaded


@given(st.integers(-(2**40), 2**40))
def test_a_time_survives_its_text(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_rfc3339(rfc3339(seconds)) == pytest.approx(seconds, abs=5e-4)


def test_times_are_utc_with_milliseconds() -> None:
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1.9996) == "1970-01-01T00:00:02.000Z"
    assert parse_rfc3339("2026-01-01T09:00:00+09:00") == 1_767_225_600.0


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse_rfc3339("2026-01-01T09:00:00")


def test_an_event_has_the_keys_of_its_schema_in_their_order() -> None:
    document = event_document(EVENT, ABOUT)
    assert list(document) == list(schema("event")["properties"])
    assert document["score"] == {"max": 0.9124, "median": 0.8}
    assert document["box"] == [0.1, 0.2, 0.3, 0.4]
    assert document["decisions"][0]["numbers"] == {"score": 0.9124, "needs": 0.5}
    assert "人" in dump(document)


def test_an_alert_is_the_event_without_decisions_and_with_its_phase() -> None:
    document = alert_document(EVENT, ABOUT)
    assert "decisions" not in document
    assert document["phase"] == "close"
    known = set(schema("mqtt-alert")["properties"]["data"]["properties"])
    assert set(document) <= known


def test_a_score_of_any_size_keeps_its_digits() -> None:
    for score, told in ((0.83456, 0.8346), (0.000123456, 0.0001235), (1234.56789, 1234.5679)):
        event = replace(EVENT, score_max=score, score_median=score)
        assert event_document(event, ABOUT)["score"] == {"max": told, "median": told}
        decision = Decision("score", "pass", {"score": score, "above": score})
        assert decision_document(decision)["numbers"] == {"score": told, "above": told}
