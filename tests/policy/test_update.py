"""What a device does about its orders."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.ota import Version
from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State
from edge_agent.policy.update import Do, Moment, Standing, next_act, order

NEW, OLD = Version("1.1", "b" * 64), Version("1.0", "a" * 64)
WHO = ("dock-07", {"ring": "canary"})
SHADOW = Stage("shadow", Mode.SHADOW, tags={"ring": "canary"})
CANARY = Stage("canary", Mode.CHARGE, tags={"ring": "canary"})
ALL = Stage("all", Mode.CHARGE, percent=100)
ROLLOUT = Rollout(
    id="people-1.1",
    serial=5,
    state=State.RUNNING,
    kind=Kind.MODEL,
    target="models/people/1.1.tar",
    sha256=NEW.sha256,
    name="people",
    version="1.1",
    stages=(SHADOW, CANARY, ALL),
    stage=0,
)
OURS = Standing(active=OLD)
STAGED = replace(OURS, candidate=NEW)
RUNS_IT = Standing(active=NEW, came_by=ROLLOUT.id)


def act(rollout: Rollout, standing: Standing, moment: Moment | None = None) -> Do:
    return next_act(rollout, WHO, standing, moment or Moment()).do


def test_the_way_from_offer_to_charge() -> None:
    assert act(ROLLOUT, OURS) is Do.FETCH
    assert act(ROLLOUT, STAGED) is Do.SHADOW
    assert act(ROLLOUT, replace(STAGED, shadowing=True)) is Do.NOTHING
    shadowed = replace(STAGED, shadowed=frozenset({NEW}))
    assert act(ROLLOUT, shadowed) is Do.NOTHING
    canary = replace(ROLLOUT, stage=1)
    assert act(canary, shadowed, Moment(in_window=False)) is Do.NOTHING
    assert act(canary, shadowed) is Do.CHARGE
    assert act(canary, replace(RUNS_IT, on_probation=True)) is Do.NOTHING
    assert act(canary, RUNS_IT) is Do.NOTHING


def test_a_late_joiner_takes_the_present_stage_at_once() -> None:
    assert act(replace(ROLLOUT, stage=2), STAGED) is Do.CHARGE


def test_a_pause_keeps_who_has_not_begun_from_beginning() -> None:
    paused = replace(ROLLOUT, state=State.PAUSED, stage=1)
    assert act(paused, OURS) is act(paused, STAGED) is Do.NOTHING
    assert act(replace(paused, stage=0), replace(STAGED, shadowing=True)) is Do.NOTHING


def test_abort_takes_back_what_came_by_it_even_held_and_outside_the_window() -> None:
    aborted = replace(ROLLOUT, state=State.ABORTED)
    closed = Moment(in_window=False)
    assert act(aborted, replace(RUNS_IT, held=True, on_probation=True), closed) is Do.REVERT
    assert act(aborted, STAGED, closed) is Do.DROP
    by_hand = replace(RUNS_IT, came_by=None)
    assert act(aborted, by_hand) is Do.NOTHING
    assert order([aborted], WHO, by_hand) is None
    assert order([aborted], WHO, OURS) is None


def test_held_downgraded_and_barred_are_left_alone_and_said() -> None:
    assert next_act(ROLLOUT, WHO, replace(OURS, held=True), Moment()).reason == "held"
    assert act(ROLLOUT, OURS, Moment(downgrade=True)) is Do.NOTHING
    allowed = replace(ROLLOUT, allow_downgrade=True)
    assert act(allowed, OURS, Moment(downgrade=True)) is Do.FETCH
    assert act(ROLLOUT, replace(OURS, barred=frozenset({NEW}))) is Do.NOTHING


def test_the_highest_serial_that_is_for_this_device_counts() -> None:
    later = replace(ROLLOUT, id="x", serial=9, stages=(Stage("s", Mode.CHARGE, percent=0),))
    earlier = replace(ROLLOUT, id="y", serial=2)
    assert order([earlier, later, ROLLOUT], WHO, OURS) is ROLLOUT
    assert order([later], WHO, OURS) is None


identities = st.sampled_from([NEW, OLD, Version("1.2", NEW.sha256), None])
standings = st.builds(
    Standing,
    active=identities,
    came_by=st.sampled_from([ROLLOUT.id, "other", None]),
    on_probation=st.booleans(),
    candidate=identities,
    shadowing=st.booleans(),
    shadowed=st.frozensets(st.sampled_from([NEW, OLD])),
    barred=st.frozensets(st.sampled_from([NEW, OLD])),
    held=st.booleans(),
)
orders = st.builds(
    lambda state, stage: replace(ROLLOUT, state=state, stage=stage),
    st.sampled_from(State),
    st.integers(0, 2),
)


@given(orders, standings, st.builds(Moment, in_window=st.booleans(), downgrade=st.booleans()))
def test_laws(rollout: Rollout, standing: Standing, moment: Moment) -> None:
    found = next_act(rollout, WHO, standing, moment)
    assert found.reason
    if found.do in (Do.FETCH, Do.SHADOW, Do.CHARGE):  # it goes forward
        assert rollout.state in (State.RUNNING, State.DONE)
        assert not standing.held
        assert NEW not in standing.barred
        assert not moment.downgrade
        assert standing.active != NEW
    if found.do in (Do.SHADOW, Do.CHARGE):
        assert standing.candidate == NEW
    if found.do in (Do.REVERT, Do.DROP):
        assert rollout.state is State.ABORTED
    if found.do is Do.CHARGE:
        assert moment.in_window
