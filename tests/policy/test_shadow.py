"""How far a candidate agrees with the active model."""

from __future__ import annotations

import pytest

from edge_agent.policy.shadow import Answer, Tally, judge
from edge_agent.types import Box, Detection

LEFT, RIGHT = (0.1, 0.1, 0.3, 0.5), (0.6, 0.1, 0.8, 0.5)


def found(box: Box = LEFT, label: str = "person", score: float = 0.8) -> Detection:
    return Detection(label, score, box)


def answer(*detections: Detection, invoke_ms: float = 10.0, opened: int = 0) -> Answer:
    return Answer(detections, invoke_ms, opened)


def tally(active: Answer, candidate: Answer, alike: int = 0, frames: int = 200) -> Tally:
    sums = Tally(boxed=True, labelled=False)
    for _ in range(frames):
        sums.add(active, candidate, alike)
    return sums


def test_the_same_model_agrees_with_itself() -> None:
    both = answer(found(), found(RIGHT, "truck"))
    verdict = judge(tally(both, both, 2), {})
    assert verdict.passed
    assert verdict.numbers == {
        "least_agreement": 1.0,
        "event_ratio": 0.0,
        "score_shift": 0.0,
        "latency_ratio": 1.0,
    }


def test_a_model_that_lost_half_of_what_is_there() -> None:
    verdict = judge(
        tally(answer(found(), found(RIGHT)), answer(found()), 1), {"least_agreement": 0.9}
    )
    assert verdict.reason == "agreement 0.667 is below 0.9"
    assert verdict.numbers["least_agreement"] == pytest.approx(2 / 3, abs=0.001)


def test_a_slow_one_and_one_that_cries_wolf_are_stopped() -> None:
    slow = judge(tally(answer(found()), answer(found(), invoke_ms=30), 1), {})
    assert slow.reason.startswith("latency_ratio 3")
    noisy = tally(answer(found()), answer(found(), opened=1), 1)
    assert judge(noisy, {}).reason.startswith("event_ratio")
    assert judge(noisy, {"event_ratio": 1000.0}).passed


def test_three_times_the_events_are_seen_though_they_are_few() -> None:
    """Both sides saw the same frames, so there is little chance in it."""
    sums = tally(answer(found()), answer(found()), 1)
    sums.active.events, sums.candidate.events = 4, 14
    assert judge(sums, {}).reason == "event_ratio 2.75 is over 2"
    sums.candidate.events = 8
    assert judge(sums, {}).passed


def test_a_few_frames_prove_nothing() -> None:
    verdict = judge(tally(answer(found()), answer(invoke_ms=100, opened=3), frames=5), {})
    assert verdict.passed
    assert verdict.numbers == {}


def test_of_classifications_the_best_label_is_compared() -> None:
    whole = (0.0, 0.0, 1.0, 1.0)
    cat = [found(whole, "cat", 0.9), found(whole, "dog", 0.1)]
    dog = [found(whole, "cat", 0.4), found(whole, "dog", 0.6)]
    sums = Tally(boxed=False, labelled=True)
    for n in range(100):
        sums.add(answer(*cat), answer(*(dog if n % 4 == 0 else cat)))
    assert sums.numbers()["least_agreement"] == 0.75


def test_a_family_without_boxes_and_labels_has_no_agreement() -> None:
    sums = Tally(boxed=False, labelled=False)
    for _ in range(200):
        sums.add(answer(found(score=0.5)), answer(found(score=0.5)))
    assert "least_agreement" not in sums.numbers()
    assert sums.numbers()["score_shift"] == 0
