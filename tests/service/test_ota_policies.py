"""A policy's way by orders on real slots, where no agent runs: act by act, held, taken back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from policies import Site

from edge_agent.bundles.slots import POLICIES
from edge_agent.errors import Refused
from edge_agent.policy.ota import Step
from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State
from edge_agent.policy.update import Do, Moment, next_act
from edge_agent.service.charge import CLI
from edge_agent.service.holding import Holding
from edge_agent.service.ota_acts import Reach
from edge_agent.service.ota_policies import Policies, Still
from edge_agent.service.policy_charge import commit, go_back, in_charge, remove
from edge_agent.service.swap import reason_of
from edge_agent.service.verdicts import Verdicts

WHO = ("dock-07", {})


class Device(Site):
    """A site whose orders are carried out on the slots alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state.mkdir()
        self.steps: list[Step] = []
        tell = self.steps.append
        never = lambda: False  # noqa: E731
        reach = Reach(self.state, self.config, Verdicts(self.state), tell, never, never)
        self.acts = Policies(reach, Still(self.config, self.state, tell))
        self.hands = Holding(POLICIES, CLI, self.state, tell)

    def ordered(self, version: str, *changes: tuple[str, str]) -> Rollout:
        content = self.offered(version, *changes).read_bytes()
        return Rollout(
            id=f"r{version}",
            serial=1,
            state=State.RUNNING,
            kind=Kind.POLICY,
            target=f"policies/night/{version}.yaml",
            sha256=hashlib.sha256(content).hexdigest(),
            name="night",
            version=version,
            stages=(Stage("all", Mode.CHARGE, percent=100),),
            stage=0,
        )

    def next(self, rollout: Rollout) -> tuple[Do, str]:
        moment = Moment(downgrade=self.acts.is_downgrade(rollout))
        act = next_act(rollout, WHO, self.acts.standing(rollout), moment)
        return act.do, act.reason

    def staged(self, version: str, *changes: tuple[str, str]) -> Rollout:
        rollout = self.ordered(version, *changes)
        assert self.next(rollout)[0] is Do.FETCH
        self.acts.stage(rollout, self.offered(version, *changes))
        return rollout

    @property
    def version(self) -> str | None:
        found = in_charge("night", self.state)
        return None if found is None else found.version


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_from_an_order_to_charge_and_an_abort_takes_it_back(device: Device) -> None:
    rollout = device.staged("1")
    assert device.next(rollout)[0] is Do.CHARGE
    device.acts.charge(rollout)
    assert (device.version, device.next(rollout)) == ("1", (Do.NOTHING, "on probation"))
    aborted = replace(rollout, state=State.ABORTED)
    assert device.next(aborted)[0] is Do.REVERT
    device.acts.revert(aborted, "rollout r1 was aborted")
    assert device.version is None
    assert device.next(aborted)[0] is Do.DROP
    device.acts.drop(aborted)
    assert device.next(aborted)[0] is Do.NOTHING
    assert [each.step for each in device.steps] == [
        "downloaded", "verified", "tested", "swapped", "rolled_back"
    ]  # fmt: skip


def test_a_held_version_lets_no_other_one_begin_but_going_back_is_free(device: Device) -> None:
    first = device.staged("1")
    device.acts.charge(first)
    commit("night", {}, device.state, device.steps.append)
    assert device.hands.hold("night") == "1"
    second = device.ordered("2")
    assert device.next(second) == (Do.NOTHING, "held")
    assert device.next(first) == (Do.NOTHING, "in charge")
    device.hands.release("night")
    device.acts.charge(device.staged("2"))
    device.hands.hold("night", "2")
    aborted = replace(second, state=State.ABORTED)
    device.acts.revert(aborted, "rollout r2 was aborted")
    assert device.version == "1"


def test_what_a_person_sent_back_no_order_brings_again_until_it_is_removed(device: Device) -> None:
    rollout = device.staged("1")
    device.acts.charge(rollout)
    go_back("night", reason_of({}, "command"), device.state, device.steps.append)
    assert device.next(rollout) == (Do.NOTHING, "refused here before")
    remove("night", None, device.state, device.steps.append)
    assert device.next(rollout)[0] is Do.FETCH


def test_one_that_does_not_fit_is_refused_and_not_asked_for_again(device: Device) -> None:
    wrong = ("label: person", "label: preson")
    rollout = device.staged("1", wrong)
    with pytest.raises(Refused, match="does not fit this device"):
        device.acts.charge(rollout)
    assert device.next(rollout) == (Do.NOTHING, "refused here before")
    assert "has no label" in str(device.acts.reason(rollout))
    assert device.version is None


def test_another_file_than_the_one_that_is_ordered_is_refused(device: Device) -> None:
    rollout = device.ordered("1")
    with pytest.raises(Refused, match="the order names night 1 with another hash"):
        device.acts.stage(rollout, device.offered("1", ("0.4", "0.5")))
    assert device.found().candidate is None
