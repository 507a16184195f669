"""The real process: a policy takes charge, proves itself, or is gone again; by hand wins."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from manager import Manager
from policies import Site

from edge_agent.bundles import slots
from edge_agent.bundles.slots import POLICIES
from edge_agent.cli import obey
from edge_agent.errors import EdgeError
from edge_agent.policy.probation import Showing
from edge_agent.policy.slots import Slots, Terms
from edge_agent.service.control import ask

pytestmark = pytest.mark.slow
PATIENCE_S = 60.0


class Service(Site):
    """An agent that is started again whenever it ends, as systemd does."""

    def __init__(self, folder: Path, manager: Manager, eventually: Callable[..., Any]) -> None:
        super().__init__(folder)
        self.manager = manager
        self._eventually = eventually

    def start(self) -> None:
        place = ("-c", self.config, "--state", self.state)
        self.manager.start([sys.executable, "-m", "edge_agent", "run", *place])
        self.until(lambda status: status["running"], "the start")

    def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        def holds() -> dict[str, Any] | None:
            try:
                status = ask(self.state, "status")
            except EdgeError:
                return None
            works = status["pipelines"]["yard"]["ledger"]["inferred"] > 3
            return status if works and condition(status) else None

        found: dict[str, Any] = self._eventually(holds, what, PATIENCE_S)
        return found

    def policies(self, *words: object) -> int:
        place = ("-c", self.config, "--state", self.state)
        return obey(["policies", *map(str, (*words, *place))])

    def steps(self) -> list[str]:
        with sqlite3.connect(self.state / "edge.db") as db:
            return [row[0] for row in db.execute("SELECT step FROM audit ORDER BY n")]

    def config_sha256(self) -> set[str]:
        with sqlite3.connect(self.state / "edge.db") as db:
            return {row[0] for row in db.execute("SELECT sha FROM configs")}


@pytest.fixture
def service(manager: Manager, tmp_path: Path, eventually: Callable[..., Any]) -> Service:
    return Service(tmp_path, manager, eventually)


def runs(version: str | None) -> Callable[[dict[str, Any]], bool]:
    return lambda status: (
        [each["version"] for each in status["policies"]] == ([] if version is None else [version])
    )


def test_a_policy_takes_charge_and_goes_back(service: Service, capsys: Any) -> None:
    service.start()
    service.local.write_text("pipelines: {yard: {rules: [{name: seen, min_score: 0.5}]}}\n")
    assert service.policies("import", service.offered()) == 0
    assert service.policies("activate", "night") == 0
    status = service.until(runs("1"), "the policy")
    (by_hand,) = status["overridden"]
    assert (by_hand["value"], by_hand["instead_of"]) == ("0.5", "0.4")
    capsys.readouterr()
    assert obey(["status", "--state", str(service.state)]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert "policynight1byhandpipelines.yard.rules[0].min_score:0.5(" in said
    # A second one waits until the first has proved itself.
    assert service.policies("import", service.offered("2")) == 0
    assert service.policies("activate", "night") == 1
    assert "night is on probation" in capsys.readouterr().err
    assert service.policies("rollback", "night") == 0
    service.until(runs(None), "none")
    assert len(service.config_sha256()) == 3  # before, with both, by hand alone
    assert [each for each in service.steps() if each != "installed"] == [
        "tested", "swapped", "rolled_back",
    ]  # fmt: skip


def test_one_that_is_wrong_changes_nothing(service: Service, capsys: Any) -> None:
    service.start()
    wrong = service.kept("1", ("zone: gate", "zone: gat"))
    assert service.policies("activate", "night") == 4
    assert f"{wrong.file}:7:43: pipelines.yard.rules[0].zone: there is no zone" in (
        capsys.readouterr().err
    )
    with pytest.raises(EdgeError) as refused:  # asked without the command's own look
        ask(service.state, "policy-activate", name="night", slot=wrong.slot)
    assert refused.value.exit_code == 4
    assert slots.read_slots(service.state, "night", POLICIES).active is None
    service.until(runs(None), "none")


def test_killed_during_probation_the_one_before_is_back(service: Service) -> None:
    service.start()
    service.kept()
    assert service.policies("activate", "night") == 0
    service.until(runs("1"), "the policy")
    assert service.manager.process is not None
    before = service.manager.process.pid
    os.kill(before, 9)
    service.until(lambda status: runs(None)(status) and status["boot"] == 2, "none again")
    assert service.steps()[-1] == "rolled_back"
    assert service.found().may_begin_again


@pytest.mark.parametrize("frames", [20, 5000])
def test_a_probation_ends_by_itself(
    service: Service, eventually: Callable[..., Any], frames: int
) -> None:
    """Well when it was long enough; badly as soon as a guardrail is passed."""
    service.kept()
    limits = {} if frames == 20 else {"memory_ratio": 0.001}
    before = Showing(seconds=600.0, frames=3000, memory_mb=100.0).document()
    assert service.policies("activate", "night") == 0  # nobody runs yet

    def on_other_terms(found: Slots) -> Slots:
        assert found.probation is not None
        terms = Terms(0.01, frames, limits)
        return replace(
            found, probation=replace(found.probation, terms=terms, baseline={"yard": before})
        )

    slots.change(service.state, "night", on_other_terms, POLICIES)
    service.start()
    end = "committed" if frames == 20 else "rolled_back"
    eventually(lambda: end in service.steps(), end, PATIENCE_S)
    service.until(runs("1" if frames == 20 else None), "what is left")
