"""A new model against the one before it: what ends a probation badly, what ends it well."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy import probation as policy
from edge_agent.policy.guardrails import on_probation
from edge_agent.policy.probation import (
    Gauge,
    Judgement,
    Outlook,
    Showing,
    apart,
    measure,
    restored,
    together,
)
from edge_agent.policy.sketch import Sketch
from edge_agent.policy.slots import Served, Terms

TERMS = Terms(minutes=10, frames=200)


def sketch(mean: float, count: int, seed: int = 0) -> Sketch:
    chance, found = random.Random(seed), Sketch()
    for _ in range(count):
        found.add(max(0.0, chance.gauss(mean, mean / 10)))
    return found


def showing(seconds: float = 600.0, frames: int = 1000, seed: int = 0) -> Showing:
    """A model at its usual work: an event every half minute, 10 ms, 60 °C."""
    return Showing(
        seconds, frames, 0, round(seconds / 30), 0, sketch(0.8, frames, seed),
        sketch(10.0, frames, seed), 60.0 * seconds, round(seconds), 100.0,
    )  # fmt: skip


BEFORE = showing()


def judge(terms: Terms, before: Showing | None, now: Showing) -> Judgement:
    """Of one that shows lately all that it ever did."""
    return policy.judge(terms, before, now, Served(now.seconds, now.frames))


def test_who_shows_what_was_usual_is_kept_when_time_and_frames_are_there() -> None:
    assert judge(TERMS, BEFORE, showing(599.0, seed=1)).outlook is Outlook.ON
    assert judge(TERMS, BEFORE, showing(frames=199, seed=1)).reason == "1 frames to go"
    kept = judge(TERMS, BEFORE, showing(seed=1))
    assert kept.outlook is Outlook.KEEP
    assert set(kept.numbers) == set(on_probation())


@pytest.mark.parametrize(
    ("harm", "guardrail"),
    [
        ({"failures": 4}, "failures"),
        ({"wrong_answers": 1}, "wrong_answers"),
        ({"events": 60}, "event_ratio"),  # three times as many
        ({"best": sketch(0.3, 1000)}, "score_shift"),
        ({"best": Sketch(zero=1000)}, "score_shift"),  # it finds nothing any more
        ({"invoke": sketch(25.0, 1000)}, "latency_ratio"),
        ({"celsius": 75.0 * 600}, "temperature_rise_c"),
        ({"memory_mb": 200.0}, "memory_ratio"),
    ],
)
def test_harm_ends_it_at_once_with_the_reason(harm: dict[str, object], guardrail: str) -> None:
    for seconds in (300.0, 600.0):
        now = showing(seconds, seed=1)
        hurt = {"events": now.events * 3} if guardrail == "event_ratio" else harm
        if guardrail == "temperature_rise_c":
            hurt = {"celsius": 75.0 * seconds}
        if guardrail == "event_ratio" and seconds < 600:
            continue  # ten events more may be chance
        judged = judge(TERMS, BEFORE, replace(now, **hurt))  # type: ignore[arg-type]
        assert judged.outlook is Outlook.BACK
        assert judged.reason.startswith(guardrail)
        assert judged.numbers[guardrail] > on_probation()[guardrail]


def test_a_plan_may_set_its_own_limits() -> None:
    slower = replace(showing(), invoke=sketch(25.0, 1000))
    lenient = replace(TERMS, guardrails={"latency_ratio": 3.0})
    assert judge(lenient, BEFORE, slower).outlook is Outlook.KEEP
    strict = replace(TERMS, guardrails={"latency_ratio": 1.1})
    assert (
        judge(strict, BEFORE, replace(showing(), invoke=sketch(12.0, 1000))).outlook is Outlook.BACK
    )


def test_without_a_predecessor_only_what_needs_none_is_judged() -> None:
    judged = judge(TERMS, None, showing())
    assert judged.outlook is Outlook.KEEP
    assert set(judged.numbers) == {"failures", "wrong_answers"}
    assert judge(TERMS, None, replace(showing(), failures=4)).outlook is Outlook.BACK


def test_what_was_hardly_seen_judges_nobody() -> None:
    short = showing(seconds=5.0, frames=10)
    assert set(measure(short, showing())) == {"failures", "wrong_answers", "memory_ratio"}


@given(st.integers(0, 8), st.integers(0, 4))
def test_a_handful_of_events_proves_nothing(now: int, before: int) -> None:
    """Two Poisson counts of the same rate: nobody goes back for these."""
    first = replace(showing(600.0), events=before)
    second = replace(showing(600.0, seed=1), events=min(now, 3 * before + 4))
    assert judge(TERMS, first, second).outlook is Outlook.KEEP


def test_scores_without_a_common_scale_are_judged_only_where_a_plan_says_so() -> None:
    anomaly = replace(BEFORE, best=None)
    assert judge(TERMS, anomaly, replace(showing(), best=None)).outlook is Outlook.KEEP


def test_what_is_kept_of_a_predecessor_judges_as_it_did() -> None:
    document = json.loads(json.dumps(BEFORE.document()))
    kept = restored(document)
    assert kept is not None
    assert len(json.dumps(document)) < 1500
    now = replace(showing(seed=1), best=sketch(0.5, 1000), invoke=sketch(14.0, 1000))
    assert measure(kept, now) == pytest.approx(measure(BEFORE, now), abs=0.02)
    for nonsense in (None, {}, [], {"seconds": "x"}, {**document, "invoke": None}):
        assert restored(nonsense) is None


def test_a_gauge_tells_the_last_half_hour_at_least() -> None:
    gauge = Gauge(0.0, scored=True)
    for second in range(1, 4000):
        gauge.infer(0.9, 10.0, second % 100 == 0)
        gauge.look(float(second), 50.0, 80.0)
    shown = gauge.showing(4000.0)
    assert 1800 <= shown.seconds <= 3600
    assert shown.frames == pytest.approx(shown.seconds, abs=2)
    assert shown.events == pytest.approx(shown.seconds / 100, abs=1)
    assert (shown.celsius / shown.looks, shown.memory_mb) == (50.0, 80.0)
    gauge.fail()
    gauge.lie()
    assert gauge.showing(4000.0).failures == gauge.showing(4000.0).wrong_answers == 1


@pytest.mark.parametrize("minutes", [10, 59, 60, 61, 240])
def test_a_probation_of_any_length_ends_when_its_time_is_over(minutes: float) -> None:
    terms, gauge, second = Terms(minutes, 200), Gauge(0.0, scored=True), 0

    def outlook() -> Outlook:
        now = float(second)
        return policy.judge(terms, None, gauge.showing(now), gauge.served(now)).outlook

    while outlook() is Outlook.ON and second < 20_000:
        second += 1
        gauge.infer(0.9, 10.0, 0)
        gauge.look(float(second), 50.0, 80.0)
    assert outlook() is Outlook.KEEP
    assert second == minutes * 60


@given(st.lists(st.tuples(st.integers(0, 4000), st.booleans()), max_size=20))
def test_what_is_noted_elsewhere_is_counted_once(stretches: list[tuple[int, bool]]) -> None:
    gauge, now, noted = Gauge(0.0, scored=True), 0.0, Served()
    for seconds, taken in stretches:
        for _ in range(seconds // 100):
            now += 100.0
            gauge.infer(0.9, 10.0, 0)
            gauge.look(now, None, 0.0)
        if taken:
            noted = noted.plus(gauge.take_served(now))
    whole = noted.plus(gauge.served(now))
    assert whole == Served(now, round(now / 100))


def test_two_samples_of_one_distribution_are_near() -> None:
    assert apart(sketch(0.8, 200, 1), sketch(0.8, 200, 2)) < 0.15
    assert apart(sketch(0.8, 200, 1), sketch(0.3, 200, 2)) > 0.9


def test_of_several_pipelines_one_harm_is_harm_and_one_that_goes_on_goes_on() -> None:
    kept = Judgement(Outlook.KEEP, "", {"latency_ratio": 1.5, "least_agreement": 0.9})
    on = Judgement(Outlook.ON, "60 s to go", {"latency_ratio": 1.0, "least_agreement": 0.7})
    harm = Judgement(Outlook.BACK, "latency_ratio 3 is over 2", {"latency_ratio": 3.0})
    assert together([kept, on, harm]) is harm
    assert together([kept, on]) == Judgement(
        Outlook.ON, "60 s to go", {"latency_ratio": 1.5, "least_agreement": 0.7}
    )
    assert together([kept, kept]) == kept
    assert together([]).outlook is Outlook.ON
