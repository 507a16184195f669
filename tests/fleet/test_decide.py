"""The laws of a rollout's decisions, for whatever devices may report."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.policy.rollout import Mode, State
from edge_fleet.decide import (
    HOUR_S,
    SUCCESS,
    Decision,
    Move,
    Report,
    Standing,
    decide,
    moved,
    newcomers,
    tolerated,
)
from edge_fleet.plan import Plan, order, remembered
from edge_fleet.repository import Target

NOW = 1_700_000_000.0
FLEET = {f"d{n:02}": {"ring": "canary"} if n < 3 else {} for n in range(20)}
FORWARD = (Move.ADVANCE, Move.FINISH)
RANK = {Move.ABORT: 0, Move.PAUSE: 1, Move.STAY: 2, Move.ADVANCE: 3, Move.FINISH: 3}
STEPS = [
    "offered",
    "downloaded",
    "verified",
    "tested",
    "golden",
    "regress",
    "shadow",
    "swapped",
    "probation",
    "committed",
    "refused",
    "rolled_back",
]


def a_plan(**changes) -> Plan:
    return remembered(
        {
            "id": "r1",
            "model": "person",
            "version": "2",
            "guardrails": {"event_ratio": 2, "least_agreement": 0.9},
            "stages": [
                {"name": "shadow", "mode": "shadow", "percent": 30,
                 "at_least": {"devices": 2, "hours": 1}},
                {"name": "canary", "tags": {"ring": "canary"},
                 "at_least": {"devices": 3, "hours": 1}},
                {"name": "half", "percent": 50,
                 "at_least": {"devices": 1, "hours": 2, "percent": 50}},
                {"name": "all", "percent": 100, "at_least": {"hours": 1}},
            ],
            **changes,
        }
    )  # fmt: skip


def standing(plan: Plan, stage: int = 0, began: float = NOW) -> Standing:
    target = Target(plan.target, None, 1, "", {"sha256": "1" * 64})  # type: ignore[arg-type]
    return Standing(replace(order(plan, target, 1), stage=stage), began)


PLAN = a_plan()
START = standing(PLAN)


def report(device: str, step: str, verdict: str = "ok", at: float = NOW, **numbers) -> Report:
    name = f"{device}/{step}/{verdict}/{at}/{sorted(numbers.items())}"
    return Report(name, device, step, verdict, at, "", numbers)


def successes(where: Standing) -> list[Report]:
    return [
        report(device, "shadow" if mode is Mode.SHADOW else "committed")
        for device, mode in newcomers(where.order, FLEET).items()
    ]


reports = st.lists(
    st.builds(
        report,
        st.sampled_from(sorted(FLEET)),
        st.sampled_from(STEPS),
        st.sampled_from(["ok", "ok", "ok", "failed", "waiting"]),
        st.floats(NOW - 50 * HOUR_S, NOW + 50 * HOUR_S),
        event_ratio=st.sampled_from([0.5, 2.0, 2.1, float("nan")]),
        least_agreement=st.sampled_from([0.95, 0.95, 0.5]),
    ),
    max_size=30,
)
mostly_good = st.one_of(reports, st.just([]), reports.map(lambda said: said[:1]))
stages = st.integers(0, 3)
states = st.sampled_from([*[State.RUNNING] * 4, *State])
hours = st.floats(0, 100)
limits = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "10%", "50%"]))


@st.composite
def situations(draw):
    plan = a_plan(tolerate={"rolled_back": draw(limits), "refused": draw(limits)})
    where = standing(plan, draw(stages))
    where = replace(where, order=replace(where.order, state=draw(states)))
    said = draw(mostly_good)
    match draw(st.integers(0, 3)):
        case 0:
            said = said + successes(where)[draw(st.integers(0, 2)) :]
        case 1 | 2:  # everybody took it, by hand or from another rollout of the same file
            said = said + [report(device, "committed") for device in FLEET]
    return plan, where, said, NOW + draw(hours) * HOUR_S


def failing(found: Decision, *, harm: bool) -> set[str]:
    return {failure.device for failure in found.tally.failures if failure.harm is harm}


@given(situations(), st.randoms())
def test_the_order_of_the_reports_and_their_repeats_change_nothing(
    situation, shuffle: random.Random
) -> None:
    plan, where, said, now = situation
    mixed = said + said[: len(said) // 2]
    shuffle.shuffle(mixed)
    assert decide(plan, where, FLEET, mixed, now) == decide(plan, where, FLEET, said, now)


@given(situations())
def test_never_two_stages_at_once_and_a_step_taken_is_not_taken_again(situation) -> None:
    plan, where, said, now = situation
    found = decide(plan, where, FLEET, said, now)
    after = moved(where, found.move, where.order.serial + 1, now)
    assert 0 <= after.order.stage - where.order.stage <= 1
    assert after.order.stage < len(plan.stages)
    again = decide(plan, after, FLEET, said, now)
    assert again.move is Move.STAY
    assert moved(after, again.move, 9, now) == after


@given(situations())
def test_never_past_a_failed_guardrail(situation) -> None:
    plan, where, said, now = situation
    found = decide(plan, where, FLEET, said, now)
    ended = 20  # no share of a smaller number is more
    harmed = len(failing(found, harm=True)) > tolerated(plan.tolerate.rolled_back, ended)
    doubted = len(failing(found, harm=False)) > tolerated(plan.tolerate.refused, ended)
    if harmed or doubted:
        assert found.move not in FORWARD
    if harmed and where.order.state in (State.RUNNING, State.PAUSED):
        assert found.move is Move.ABORT
    if where.order.state is not State.RUNNING:
        assert found.move not in FORWARD


@given(
    situations(),
    st.sampled_from(sorted(FLEET)),
    st.sampled_from(["shadow", "refused", "rolled_back"]),
)
def test_more_harm_never_moves_it_forward(situation, device: str, step: str) -> None:
    plan, where, said, now = situation
    before = decide(plan, where, FLEET, said, now)
    worse = decide(plan, where, FLEET, [*said, report(device, step, "failed")], now)
    if device in {each.device for each in said if each.verdict == "ok" and each.step in SUCCESS}:
        assert RANK[worse.move] <= RANK[before.move]
    elif all(isinstance(each, int) for each in (plan.tolerate.rolled_back, plan.tolerate.refused)):
        # A share is taken of those who came to an end: one more of them may raise it.
        assert RANK[worse.move] <= max(RANK[before.move], RANK[Move.STAY])


@given(situations(), st.sampled_from(sorted(FLEET)))
def test_more_success_and_more_time_never_move_it_back(situation, device: str) -> None:
    plan, where, said, now = situation
    before = RANK[decide(plan, where, FLEET, said, now).move]
    assert RANK[decide(plan, where, FLEET, said, now + HOUR_S).move] >= before
    better = decide(plan, where, FLEET, [*said, report(device, "committed")], now)
    assert RANK[better.move] >= before


@given(situations())
def test_it_goes_on_only_by_reported_success(situation) -> None:
    plan, where, said, now = situation
    found = decide(plan, where, FLEET, said, now)
    if found.move in FORWARD:
        least = plan.stages[where.order.stage].at_least
        assert len(found.tally.succeeded) >= least.devices
        assert len(found.tally.succeeded) * 100 >= least.percent * found.tally.members
        assert now - where.began >= least.hours * HOUR_S
        assert not found.tally.under_way


@given(situations())
@settings(max_examples=50)
def test_each_who_came_with_the_stage_is_counted_once(situation) -> None:
    plan, where, said, now = situation
    tally = decide(plan, where, FLEET, said, now).tally
    named = [*tally.succeeded, *tally.failed, *tally.under_way, *tally.silent]
    assert sorted(named) == sorted(newcomers(where.order, FLEET))


# --- single cases ---------------------------------------------------------------------------------


def test_a_rollout_from_its_beginning_to_its_end() -> None:
    where, now, went = START, NOW, []
    for _ in range(20):
        found = decide(PLAN, where, FLEET, [], now + 99 * HOUR_S)
        assert found.move is Move.STAY, "silence moves nothing"
        now += 3 * HOUR_S
        found = decide(PLAN, where, FLEET, successes(where), now)
        went.append(found.move)
        where = moved(where, found.move, where.order.serial + 1, now)
        if found.move is Move.FINISH:
            break
    assert went == [Move.ADVANCE] * 3 + [Move.FINISH]
    assert where.order.state is State.DONE
    assert where.order.serial == 5


def test_who_is_under_way_holds_it_up_until_it_is_silent() -> None:
    members = sorted(newcomers(START.order, FLEET))
    said = [report(device, "shadow") for device in members[:-1]]
    said.append(report(members[-1], "golden", at=NOW + HOUR_S))
    found = decide(PLAN, START, FLEET, said, NOW + 2 * HOUR_S)
    assert (found.move, found.tally.under_way) == (Move.STAY, (members[-1],))
    assert members[-1] in found.reasons[-1]
    found = decide(PLAN, START, FLEET, said, NOW + 26 * HOUR_S)
    assert (found.move, found.tally.silent) == (Move.ADVANCE, (members[-1],))


def test_a_share_of_the_known_members_can_be_asked_for() -> None:
    where = standing(PLAN, 2)
    members = sorted(newcomers(where.order, FLEET))
    few = [report(device, "committed") for device in members[: len(members) // 2 - 1]]
    assert "% must" in decide(PLAN, where, FLEET, few, NOW + 9 * HOUR_S).reasons[0]
    half = [report(device, "committed") for device in members[: (len(members) + 1) // 2]]
    assert decide(PLAN, where, FLEET, half, NOW + 9 * HOUR_S).move is Move.ADVANCE


def test_what_harms_aborts_and_what_is_doubtful_pauses() -> None:
    good = successes(START)
    later = NOW + 2 * HOUR_S
    cases = {
        Move.ABORT: [
            report("d01", "rolled_back", "failed"),
            report("d01", "committed", event_ratio=3),
            report("d01", "probation", least_agreement=0.5),
        ],
        Move.PAUSE: [
            report("d01", "refused", "failed"),
            report("d01", "shadow", "failed"),
            report("d01", "shadow", least_agreement=0.5),
            report("d01", "shadow", event_ratio=float("nan")),
        ],
        Move.ADVANCE: [
            report("d01", "rolled_back", "waiting"),
            report("d01", "shadow", "waiting", event_ratio=3),
            report("d01", "shadow", event_ratio=2),
            report("d01", "downloaded", "failed", at=NOW - 99 * HOUR_S),
        ],
    }
    for move, said in cases.items():
        for one in said:
            found = decide(PLAN, START, FLEET, [*good, one], later)
            assert found.move is move, (one, found.reasons)


def test_what_a_person_accepted_does_not_pause_again() -> None:
    doubtful = report("d01", "refused", "failed")
    said = [*successes(START), doubtful]
    accepted = replace(START, accepted=frozenset({doubtful.id}))
    assert decide(PLAN, accepted, FLEET, said, NOW + 2 * HOUR_S).move is Move.ADVANCE
    another = report("d01", "refused", "failed", at=NOW + HOUR_S)
    assert decide(PLAN, accepted, FLEET, [*said, another], NOW + 2 * HOUR_S).move is Move.PAUSE


def test_a_paused_rollout_still_goes_back_on_harm() -> None:
    paused = replace(START, order=replace(START.order, state=State.PAUSED))
    assert decide(PLAN, paused, FLEET, successes(START), NOW + 9 * HOUR_S).move is Move.STAY
    harmed = [report("d01", "rolled_back", "failed")]
    assert decide(PLAN, paused, FLEET, harmed, NOW).move is Move.ABORT


def test_a_stage_that_is_too_small_says_so() -> None:
    found = decide(PLAN, START, {"d00": {}}, [], NOW + 2 * HOUR_S)
    assert found.reasons == (
        f"0 of at least 2 devices succeeded, it has {found.tally.members} known members",
    )


def test_a_late_joiner_takes_the_present_stage() -> None:
    """It does not hold up a stage it did not come with, and its failure counts all the same."""
    late = standing(PLAN, 1)
    early = newcomers(START.order, FLEET)
    assert not set(early) & set(newcomers(late.order, {name: {} for name in early}))
    found = decide(PLAN, late, FLEET, [report("d19", "rolled_back", "failed")], NOW)
    assert found.move is Move.ABORT


def test_limits() -> None:
    assert [tolerated(each, 50) for each in (0, 3, "2%", "1.9%", "100%")] == [0, 3, 1, 0, 50]
