"""What a device remembers of candidates: whose shadow ended the agent is not tried for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yard

from edge_agent.bundles import slots
from edge_agent.errors import NoRoom, Refused
from edge_agent.policy.ota import Step, Version
from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State
from edge_agent.service.ota_acts import Reach
from edge_agent.service.ota_install import Still
from edge_agent.service.ota_models import Models
from edge_agent.service.verdicts import Verdicts

STAGE = Stage("shadow", Mode.SHADOW, percent=100)


@dataclass
class Beside:
    """Stands for the shadows of a running agent."""

    candidate: Version | None = None
    begun: list[Version] = field(default_factory=list)

    def begin(self, bundle: Any, *_: Any) -> int:
        self.candidate = Version(bundle.manifest.version, bundle.manifest.sha256)
        self.begun.append(self.candidate)
        return 1

    def end(self) -> None:
        self.candidate = None


class Device:
    """A candidate is staged; each `start` is a new process."""

    def __init__(self, state: Path) -> None:
        self._state = state
        yard.installed(state, "1", "2")
        slots.change(state, yard.NAME, lambda found: found.with_candidate("2-x"))
        self.rollout = Rollout(
            "r2", 1, State.RUNNING, Kind.MODEL, "models/yard/2.tar", yard.sha256_of(state, "2"),
            yard.NAME, "2", (STAGE,), 0,
        )  # fmt: skip
        self.told: list[Step] = []

    def start(self) -> Models:
        self.beside = Beside()
        return Models(
            Reach(
                state=self._state,
                config_path=self._state,
                verdicts=Verdicts(self._state),
                tell=self.told.append,
                held=lambda: False,
                stopped=lambda: False,
            ),
            Still(self._state, self.told.append),
            self.beside,  # type: ignore[arg-type]
        )


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_whose_shadow_ended_the_agent_twice_is_refused_and_not_begun_again(device: Device) -> None:
    for _ in range(2):
        device.start().shadow(device.rollout)  # and the process dies
        assert device.beside.begun == [device.rollout.what]
    models = device.start()
    with pytest.raises(Refused, match="ended 2 times while it was in the shadow"):
        models.shadow(device.rollout)
    assert device.beside.begun == []
    assert (device.told[-1].step, device.told[-1].verdict.value) == ("refused", "failed")
    assert device.rollout.what in device.start().standing(device.rollout).barred


def test_an_agent_that_is_stopped_as_asked_speaks_against_nobody(device: Device) -> None:
    for _ in range(3):
        models = device.start()
        models.shadow(device.rollout)
        models.leave_shadow()
    assert Verdicts(device._state).cut_short(device.rollout.sha256) == 0


def test_a_shadow_that_found_no_room_to_begin_is_blamed_for_no_later_end(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise NoRoom("no memory for it", "free some")

    for _ in range(3):
        models = device.start()
        monkeypatch.setattr(device.beside, "begin", full)
        with pytest.raises(NoRoom):
            models.shadow(device.rollout)
    assert Verdicts(device._state).cut_short(device.rollout.sha256) == 0
    device.start().shadow(device.rollout)  # it may begin, once there is room
