"""When a pinned case speaks against a model or a policy."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.regress import TOLERANCE_S, Alarm, Expectation, judge

PERSON = Alarm("person-in-gate", "person", "gate", 4.0)
TRUCK = Alarm("truck", "truck", None, 6.0)


def test_the_same_alarms_pass_a_little_earlier_or_later_too() -> None:
    later = replace(PERSON, at=PERSON.at + TOLERANCE_S)
    assert judge(Expectation((PERSON, TRUCK)), [TRUCK, later]).passed


def test_a_lost_one_and_a_new_one_are_named() -> None:
    verdict = judge(Expectation((PERSON,)), [TRUCK])
    assert not verdict.passed
    assert verdict.lost == (PERSON,)
    assert verdict.new == (TRUCK,)
    assert PERSON.text == "person-in-gate (person in gate) at 4.0 s"


def test_much_too_late_is_lost_and_new() -> None:
    late = replace(PERSON, at=PERSON.at + TOLERANCE_S + 0.1)
    verdict = judge(Expectation((PERSON,)), [late])
    assert (verdict.lost, verdict.new) == ((PERSON,), (late,))


def test_one_alarm_answers_for_one() -> None:
    assert judge(Expectation((PERSON,)), [PERSON, PERSON]).new == (PERSON,)
    assert judge(Expectation((PERSON, PERSON)), [PERSON]).lost == (PERSON,)


def test_a_known_flaw_is_no_reproach_and_its_mending_is_told() -> None:
    nothing = Expectation((), flaws=(PERSON,))
    assert judge(nothing, [PERSON]).passed
    mended = judge(nothing, [])
    assert mended.passed
    assert mended.mended == (PERSON,)
    assert judge(nothing, [PERSON, TRUCK]).new == (TRUCK,)


alarms = st.lists(
    st.builds(
        Alarm,
        rule=st.sampled_from("ab"),
        label=st.sampled_from(["person", None]),
        zone=st.none(),
        at=st.floats(0, 60),
    ),
    max_size=8,
)


@given(alarms, alarms)
def test_every_alarm_is_matched_lost_or_new(wanted: list[Alarm], found: list[Alarm]) -> None:
    verdict = judge(Expectation(tuple(wanted)), found)
    assert len(wanted) - len(verdict.lost) == len(found) - len(verdict.new)
    assert judge(Expectation(tuple(wanted)), wanted).passed
    assert verdict == judge(Expectation(tuple(reversed(wanted))), list(reversed(found)))
