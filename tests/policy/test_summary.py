"""One window of a pipeline: additive counts, and less than a kilobyte whatever the names are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.coverage import Cause, Coverage
from edge_agent.policy.envelope import to_bytes
from edge_agent.policy.fold import fold
from edge_agent.policy.sketch import merge, parse, quantile
from edge_agent.policy.summary import DATA_LIMIT, Heat, Window, WindowAccount, document
from edge_agent.types import (
    Decision,
    Detection,
    Event,
    Frame,
    Ledger,
    OperatingPoint,
    Outcome,
    Priority,
    Skip,
)

FRAME = Frame("dock", 0, 1_700_000_000.0, np.zeros((1, 1, 3), np.uint8))
BOX = (0.1, 0.1, 0.2, 0.2)


def event(rule: str, zone: str | None) -> Event:
    return Event(
        id="0123456789abcdef", pipeline="people", source="dock", rule=rule,
        priority=Priority.RECORD, label="person", zone=zone, text="", opened=0.0, seen=0.0,
        closed=None, close_reason=None, score_max=0.9, score_median=0.9, track=1, count=1,
        box=None, frame=0,
    )  # fmt: skip


def outcome(*detections: Detection, skip: Skip | None = None, **changes: Any) -> Outcome:
    return Outcome(FRAME, skip, Decision("gate", "pass"), detections, **changes)


def test_a_window_counts_detections_events_and_time_to_verdict() -> None:
    window = Window("people", 1_700_000_000.0)
    window.add(
        outcome(Detection("person", 0.9, BOX), Detection("person", 0.6, BOX),
                opened=(event("in-gate", "gate"), event("crowd", None))),
        latency_s=0.012,
    )  # fmt: skip
    window.add(outcome(Detection("dog", 0.7, BOX)), latency_s=0.020)
    window.add(outcome(skip=Skip.MOTION), latency_s=0.001)

    body = document(window, 1_700_000_300.0, WindowAccount(Ledger(3, 2, {"motion": 1, "rate": 0})))

    assert body["pipeline"] == "people"
    assert (body["from"], body["to"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:18:20.000Z")
    assert body["labels"] == {"person": 2, "dog": 1}
    assert body["zones"] == {"gate": 1}
    assert body["rules"] == {"crowd": 1, "in-gate": 1}
    assert body["ledger"] == {"captured": 3, "inferred": 2, "skipped": {"motion": 1}, "failed": 0}
    assert parse(body["score"]).count == sum(body["labels"].values())
    latency = parse(body["latency"])
    assert latency.count == 2  # the skipped frame was never inferred
    median = quantile(latency, 1.0)
    assert median is not None
    assert abs(median - 20.0) < 1.0


def test_scores_of_any_size_and_sign_are_counted() -> None:
    window = Window("machine", 0.0)
    for score in (1e-5, 0.4, 812.0, -3.5):
        window.add(outcome(Detection("out", score, BOX)))
    body = document(window, 300.0, WindowAccount())
    scores = parse(body["score"])
    assert scores.count == body["labels"]["out"] == 4
    assert scores.zero == 1  # what is below 0
    assert quantile(scores, 1.0) == pytest.approx(812.0, rel=0.4)


def test_an_empty_window_is_a_summary_too() -> None:
    body = document(Window("people", 0.0), 300.0, WindowAccount())
    assert (body["labels"], body["rules"]) == ({}, {})
    assert parse(body["score"]).count == 0


def test_what_a_power_cut_took_stands_in_the_ledger() -> None:
    body = document(Window("p", 0.0), 1.0, WindowAccount(unaccounted_s=61.04))
    assert body["ledger"]["unaccounted_s"] == 61.0


def test_what_the_disk_did_not_take_stands_in_it_and_adds_up() -> None:
    bodies = [
        document(Window("p", 0.0), 1.0, WindowAccount(given_up=counts))
        for counts in ({"alert": 2, "record": 5}, {}, {"record": 1})
    ]
    assert [body.get("given_up") for body in bodies] == [
        {"alert": 2, "record": 5},
        None,
        {"record": 1},
    ]
    assert fold(bodies)["given_up"] == {"alert": 2, "record": 6}


def test_how_hot_it_was_and_what_was_allowed_stand_in_it() -> None:
    heat = Heat((71.234, 75.1), OperatingPoint(4, 2.3456, None, "75.1 C of 75 C"))
    body = document(Window("p", 0.0), 1.0, WindowAccount(heat=heat))
    assert body["temperature"] == {"mean": 71.2, "max": 75.1}
    assert body["point"] == {"level": 4, "max_fps": 2.35, "reason": "75.1 C of 75 C"}
    cool = document(Window("p", 0.0), 1.0, WindowAccount())
    assert cool["temperature"] is None
    assert cool["point"] == {"level": 0, "max_fps": None, "reason": "cool"}


def test_the_most_frequent_names_stay_and_the_rest_is_other() -> None:
    window = Window("people", 0.0)
    window.labels.update({f"label {number:03d}": 1000 - number for number in range(300)})
    labels = document(window, 300.0, WindowAccount())["labels"]
    assert next(iter(labels)) == "label 000"
    assert sum(labels.values()) == window.labels.total()
    assert labels["other"] > 0


def test_two_windows_merge_into_what_one_would_have_counted() -> None:
    both, first, second = (Window("people", 0.0) for _ in range(3))
    for number in range(40):
        seen = outcome(Detection("person", 0.3 + number / 60, BOX))
        both.add(seen, number / 1000)
        (first if number % 2 else second).add(seen, number / 1000)
    for name in ("score", "latency"):
        parts = merge(getattr(first, name), getattr(second, name))
        assert parts.document() == getattr(both, name).document()


COUNTS = st.dictionaries(st.text(min_size=1, max_size=64), st.integers(1, 10**9), max_size=30)
MEASURES = st.lists(st.floats(1e-9, 1e9), max_size=50)


@given(st.text(min_size=1, max_size=64), COUNTS, COUNTS, MEASURES, MEASURES)
@settings(max_examples=80, deadline=None)
def test_a_summary_fits_whatever_it_counts(
    pipeline: str,
    names: dict[str, int],
    rules: dict[str, int],
    scores: list[float],
    times: list[float],
) -> None:
    window = Window(pipeline, 1_700_000_000.0)
    window.labels.update(names)
    window.zones.update(rules)
    window.rules.update(rules)
    for value in scores:
        window.score.add(value)
    for value in times:
        window.latency.add(value)
    skipped = {reason.value: 10**7 for reason in Skip}
    every_cause = {cause.value: 12_345.6 for cause in Cause}
    covered = {rule: Coverage(count, every_cause, every_cause) for rule, count in rules.items()}
    heat = Heat((104.0, 104.9), OperatingPoint(10, 0.123456, None, "104.9 C of 75.5 C" * 2))
    ledger = Ledger(10**8, 10**7, skipped, 10**6)
    given_up = {priority.value: 10**6 for priority in Priority}
    account = WindowAccount(ledger, 61.04, covered, heat, given_up=given_up)
    body = document(window, 1_700_000_300.0, account)
    assert sum(body["given_up"].values()) == sum(given_up.values())
    assert len(to_bytes(body)) <= DATA_LIMIT
    assert sum(body["labels"].values()) == window.labels.total()
    assert parse(body["score"]).count == len(scores)
    assert sum(body["ledger"]["skipped"].values()) == sum(skipped.values())


def test_a_summary_tells_the_coverage_that_most_rules_have_and_the_others_by_name() -> None:
    quiet = Coverage(280.04, {}, {"source_lost": 19.96})
    night = Coverage(0.0, {}, {"schedule": 300.0})
    account = WindowAccount(coverage={"in-gate": quiet, "crowd": quiet, "night": night})
    assert document(Window("people", 0.0), 300.0, account)["coverage"] == {
        "*": {"watching": 280.0, "blind": {"source_lost": 20.0}},
        "night": {"watching": 0.0, "blind": {"schedule": 300.0}},
    }
