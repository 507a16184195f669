"""Who takes part in a rollout, and that its document says the same on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State, parse, share, write

STAGES = (
    Stage("shadow", Mode.SHADOW, percent=10),
    Stage("canary", Mode.CHARGE, tags={"ring": "canary"}),
    Stage("half", Mode.CHARGE, percent=50),
    Stage("all", Mode.CHARGE, percent=100),
)
ROLLOUT = Rollout(
    id="people-1.1",
    serial=1,
    state=State.RUNNING,
    kind=Kind.MODEL,
    target="models/people/1.1.tar",
    sha256="0" * 64,
    name="people",
    version="1.1",
    stages=STAGES,
    stage=0,
    guardrails={"event_ratio": 2.0},
)
DEVICES = [f"dock-{n:04}" for n in range(2000)]


def members(rollout: Rollout, mode: Mode) -> set[str]:
    return {device for device in DEVICES if rollout.mode_for(device, {}) is mode}


def test_a_share_of_the_fleet_is_about_that_share() -> None:
    assert 150 < len(members(ROLLOUT, Mode.SHADOW)) < 250
    assert 900 < len(members(replace(ROLLOUT, stage=2), Mode.CHARGE)) < 1100


def test_who_is_in_stays_in_and_at_last_everybody_is() -> None:
    before: set[str] = set()
    for stage in range(len(STAGES)):
        now = members(replace(ROLLOUT, stage=stage), Mode.CHARGE)
        assert before <= now
        before = now
    assert before == set(DEVICES)


def test_a_tag_makes_a_member_whatever_its_hash() -> None:
    canary = replace(ROLLOUT, stage=1)
    outsider = next(device for device in DEVICES if share(ROLLOUT.id, device) > 0.5)
    assert canary.mode_for(outsider, {"ring": "canary", "line": "a"}) is Mode.CHARGE
    assert canary.mode_for(outsider, {"ring": "late"}) is None


def test_who_is_first_differs_from_rollout_to_rollout() -> None:
    assert members(ROLLOUT, Mode.SHADOW) != members(replace(ROLLOUT, id="other"), Mode.SHADOW)


def test_a_rollout_that_is_done_is_for_everybody() -> None:
    assert members(replace(ROLLOUT, state=State.DONE), Mode.CHARGE) == set(DEVICES)


@given(st.text(), st.text())
def test_a_share_is_at_least_0_and_less_than_1(rollout: str, device: str) -> None:
    assert 0 <= share(rollout, device) < 1


@given(st.integers(1), st.sampled_from(State), st.integers(0, 3), st.floats(0, 100), st.booleans())
def test_what_was_written_is_read(
    serial: int, state: State, stage: int, percent: float, downgrade: bool
) -> None:
    stages = (Stage("s", Mode.SHADOW, percent=percent), *STAGES[1:])
    rollout = replace(
        ROLLOUT, serial=serial, state=state, stage=stage, stages=stages, allow_downgrade=downgrade
    )
    assert parse(write(rollout)) == rollout


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "rollout/2"),
        ("id", ""),
        ("serial", 0),
        ("serial", True),
        ("state", "asleep"),
        ("kind", None),
        ("stage", 4),
        ("stages", [{"name": "s", "mode": "charge", "percent": None, "tags": {}}]),
        ("stages", [{"name": "s", "mode": "charge", "percent": 120, "tags": {}}]),
        ("shadow", {"every": 0, "frames": 1}),
        ("probation", {"minutes": float("nan")}),
        ("guardrails", {"x": "y"}),
        ("surprise", 1),
    ],
)
def test_an_impossible_document_is_no_order(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match="no rollout/1 that this agent understands"):
        parse({**write(ROLLOUT), key: value})


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"schema": "rollout/1"}])
def test_what_is_no_document_at_all_neither(document: Any) -> None:
    with pytest.raises(ValueError, match="no rollout/1"):
        parse(document)
