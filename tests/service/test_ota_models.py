"""How a model stands here against an order: its version counts as well as its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yard

from edge_agent.bundles import slots
from edge_agent.bundles.bundle import Bundle
from edge_agent.errors import Refused
from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State
from edge_agent.policy.slots import Order, Probation
from edge_agent.policy.update import Do, Moment, next_act
from edge_agent.policy.update import order as counts
from edge_agent.service.charge import PASSING
from edge_agent.service.ota_acts import Reach
from edge_agent.service.ota_models import Models
from edge_agent.service.swap import Wish
from edge_agent.service.verdicts import Verdicts


def models(state: Path, charge: Any = None) -> Models:
    """`charge` None: nobody is put in charge."""
    if charge is None:
        yard.installed(state, "1")
    return Models(
        Reach(
            state=state,
            config_path=state / "config.yaml",
            verdicts=Verdicts(state),
            tell=lambda step: None,
            held=lambda: False,
            stopped=lambda: False,
        ),
        charge,
        None,
    )


def order(state: Path, version: str) -> Rollout:
    """With the file of version 1."""
    return Rollout(
        id=f"to-{version}",
        serial=1,
        state=State.RUNNING,
        kind=Kind.MODEL,
        target=f"models/yard/{version}.tar",
        sha256=yard.sha256_of(state, "1"),
        name=yard.NAME,
        version=version,
        stages=(Stage("all", Mode.CHARGE, percent=100),),
        stage=0,
    )


def asked(acts: Models, rollout: Rollout) -> Do:
    return next_act(rollout, ("dock-07", {}), acts.standing(rollout), Moment()).do


def test_another_version_with_the_same_file_is_not_in_charge_yet(tmp_path: Path) -> None:
    acts = models(tmp_path)
    assert asked(acts, order(tmp_path, "1")) is Do.NOTHING
    assert asked(acts, order(tmp_path, "2")) is Do.FETCH


def test_what_was_refused_is_one_version_not_every_one_with_its_file(tmp_path: Path) -> None:
    acts = models(tmp_path)
    acts.refuse(order(tmp_path, "2"), Refused("a pinned case speaks against it"))
    assert asked(acts, order(tmp_path, "2")) is Do.NOTHING
    assert acts.reason(order(tmp_path, "2")) == "a pinned case speaks against it"
    assert asked(acts, order(tmp_path, "3")) is Do.FETCH


@pytest.mark.parametrize("code", PASSING)
def test_what_is_only_held_back_just_now_is_asked_for_again(tmp_path: Path, code: str) -> None:
    """By ota.hold, by a held version, or as a downgrade: none of it speaks against the model."""
    refusal = Refused("not now", "later")
    refusal.code = code

    class Holding:
        def take(self, name: str, slot: str, wish: Wish) -> Bundle:
            raise refusal

        back = plans = None

    yard.installed(tmp_path, "1", "2")
    slots.change(tmp_path, yard.NAME, lambda found: found.with_candidate("2-x"))
    acts = models(tmp_path, Holding())
    rollout = replace(order(tmp_path, "2"), sha256=yard.sha256_of(tmp_path, "2"))
    with pytest.raises(Refused):
        acts.charge(rollout)
    assert acts.reason(rollout) is None
    assert asked(acts, rollout) is Do.CHARGE


@pytest.mark.parametrize("first", ["older", "aborted"])
def test_an_abort_takes_back_what_was_committed_whatever_was_ordered_before(
    tmp_path: Path, first: str
) -> None:
    """Version 1 came by a rollout that is done, version 2 by one that is aborted now. In whichever
    order both are listed, the abort counts."""
    yard.installed(tmp_path, "1", "2")
    acts = models(tmp_path, object())
    done = replace(order(tmp_path, "1"), id="to-1", serial=1, state=State.DONE)
    aborted = replace(
        order(tmp_path, "2"),
        id="to-2",
        serial=2,
        state=State.ABORTED,
        sha256=yard.sha256_of(tmp_path, "2"),
    )
    probation = Probation("1-x", 1.0, order=Order("to-2", 2))
    slots.change(
        tmp_path,
        yard.NAME,
        lambda found: found.with_active("2-x", 1.0, probation).with_committed(),
    )
    both = [done, aborted] if first == "older" else [aborted, done]
    counting = counts(both, ("dock-07", {}), acts.standing(both[0]))
    assert counting is aborted
    assert asked(acts, counting) is Do.REVERT
