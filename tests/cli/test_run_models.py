"""The real process: a model takes charge between two frames, proves itself, or is gone again."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yard
from manager import Manager

from edge_agent.bundles import slots
from edge_agent.cli import obey
from edge_agent.errors import EdgeError
from edge_agent.policy.probation import Showing
from edge_agent.policy.sketch import Sketch
from edge_agent.policy.slots import Served, Terms
from edge_agent.service.control import ask

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
CONFIG = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=11&fps=10"}}
store: {flush_s: 1}
pipelines:
  yard:
    source: yard
    model: yard
    gate: {max_fps: 0, motion: false, stationary: false}
    rules: [{name: seen, dwell_s: 0, label: person}, {name: any, count: 1}]
"""


class Site:
    """An agent that is started again whenever it ends, as systemd does."""

    def __init__(self, manager: Manager, folder: Path, eventually: Callable[..., Any]) -> None:
        self.manager = manager
        self.config, self.state = folder / "config.yaml", folder / "state"
        self._orders = folder / "orders"
        self._eventually = eventually
        self.config.write_text(CONFIG)

    def start(self) -> None:
        script = ROOT / "tests" / "crashing.py"
        self.manager.start([sys.executable, script, self.config, self.state, self._orders])
        self.until_runs("1")

    def stop(self) -> None:
        assert self.manager.process is not None
        self.manager.process.terminate()
        assert self.manager.process.wait(30) == 0

    def order(self, **orders: Any) -> None:
        self._orders.write_text(json.dumps(orders))

    def status(self) -> dict[str, Any]:
        try:
            return ask(self.state, "status")
        except EdgeError:
            return {"pipelines": {}}

    def until(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        def holds() -> dict[str, Any] | None:
            status = self.status()
            return status if condition(status) else None

        found: dict[str, Any] = self._eventually(holds, what, PATIENCE_S)
        return found

    def until_runs(self, version: str) -> dict[str, Any]:
        def runs(status: dict[str, Any]) -> bool:
            found = status["pipelines"].get("yard")
            works = found and found["ledger"]["inferred"] > 3
            return bool(works and found["model"] == f"yard {version}")

        return self.until(runs, f"yard {version} at work")

    def models(self, *words: str) -> int:
        return obey(["models", *words, "--state", str(self.state)])

    def steps(self) -> list[str]:
        with sqlite3.connect(self.state / "edge.db") as db:
            return [row[0] for row in db.execute("SELECT step FROM audit ORDER BY n")]


@pytest.fixture
def site(manager: Manager, tmp_path: Path, eventually: Callable[..., Any]) -> Site:
    found = Site(manager, tmp_path, eventually)
    yard.installed(found.state, "1", "2", "3")
    return found


def test_a_model_takes_charge_between_two_frames_and_goes_back(site: Site) -> None:
    site.start()
    assert site.models("activate", "yard", "2") == 0
    site.until_runs("2")
    assert site.models("rollback", "yard") == 0
    status = site.until_runs("1")
    ledger = status["pipelines"]["yard"]["ledger"]
    assert ledger["skipped"]["swap"] == 2  # the frame at which each change was
    assert ledger["failed"] == 0
    decided = ledger["inferred"] + ledger["failed"] + sum(ledger["skipped"].values())
    assert ledger["captured"] == decided + ledger["pending"]
    site.stop()
    with sqlite3.connect(site.state / "edge.db") as db:
        opened = db.execute("SELECT id, closed, close_reason FROM events").fetchall()
        causes = {row[0] for row in db.execute("SELECT cause FROM coverage")}
        reports = db.execute("SELECT count(*) FROM outbox WHERE topic = 'ota'").fetchone()[0]
    assert len({row[0] for row in opened}) == len(opened)
    assert all(row[1] is not None for row in opened)
    # The event that one of them is in sight went on over every change.
    assert "swap" in causes
    assert [row for row in opened if row[2] == "stopped"] == [
        row for row in opened if row[1] == max(each[1] for each in opened)
    ]
    assert [each for each in site.steps() if each in ("swapped", "rolled_back")] == [
        "swapped", "rolled_back",
    ]  # fmt: skip
    assert reports == len(site.steps())


def test_what_another_process_does_to_the_slots_is_noticed(site: Site) -> None:
    site.start()
    yard.on_probation(site.state, "2", begun=False)
    site.until_runs("2")
    probation = slots.read_slots(site.state, "yard").probation
    assert probation is not None
    assert probation.begun


def test_a_probation_ends_by_itself_well_or_badly_with_the_reason(site: Site) -> None:
    site.start()
    terms = Terms(minutes=0.05, frames=10)
    yard.on_probation(site.state, "2", begun=False, terms=terms)
    site.until(lambda status: "committed" in _audited(site), "a commit")
    found = slots.read_slots(site.state, "yard")
    assert (found.active, found.previous, found.probation) == ("2-x", "1-x", None)
    fast = Sketch()
    for _ in range(50):
        fast.add(0.001)  # a predecessor that answered in a microsecond
    before = Showing(seconds=100.0, frames=50, invoke=fast).document()
    yard.on_probation(site.state, "3", begun=False, terms=terms, yard=before)
    site.until(lambda status: "rolled_back" in _audited(site), "a way back")
    site.until_runs("2")
    with sqlite3.connect(site.state / "edge.db") as db:
        who, reason, numbers = db.execute(
            "SELECT who, reason, numbers FROM audit WHERE step = 'rolled_back'"
        ).fetchone()
    assert who == "probation"
    assert re.fullmatch(r"latency_ratio [\d.e+]+ is over 2", reason)
    assert json.loads(numbers)["latency_ratio"] > 2


def test_neither_a_reload_nor_a_stop_costs_a_probation_the_time_that_it_had(site: Site) -> None:
    site.start()
    yard.on_probation(site.state, "2", begun=False, terms=Terms(minutes=1000.0, frames=10))
    site.until_runs("2")
    _see_more(site)
    ask(site.state, "reload")
    after_reload = _served(site)
    assert after_reload.frames >= 5
    _see_more(site)
    site.stop()
    after_stop = _served(site)
    assert after_stop.frames > after_reload.frames
    assert after_stop.seconds > after_reload.seconds


def _see_more(site: Site) -> None:
    def inferred(status: dict[str, Any]) -> int:
        return int(status["pipelines"]["yard"]["ledger"]["inferred"]) if status["pipelines"] else 0

    before = inferred(site.status())
    site.until(lambda status: inferred(status) >= before + 6, "six frames more")


def _served(site: Site) -> Served:
    probation = slots.read_slots(site.state, "yard").probation
    assert probation is not None
    return probation.served["yard"]


def test_a_model_that_kills_at_its_nth_invoke_is_gone_at_the_next_start(site: Site) -> None:
    site.start()
    site.order(model=yard.sha256_of(site.state, "2"), after=12)
    assert site.models("activate", "yard", "2") == 0
    site.until(lambda status: "rolled_back" in _audited(site), "a way back")
    site.until_runs("1")
    assert len(site.manager.ends) == 1
    assert site.models("activate", "yard", "2") == 4
    assert "2-x" in slots.read_slots(site.state, "yard").broken
    assert site.models("activate", "yard", "3") == 0
    site.until_runs("3")


def test_an_agent_that_is_killed_from_outside_goes_back_and_may_try_again(site: Site) -> None:
    site.start()
    assert site.models("activate", "yard", "2") == 0
    site.until_runs("2")
    assert site.manager.process is not None
    site.manager.process.kill()
    site.until_runs("1")
    assert site.steps()[-1] == "rolled_back"


def _audited(site: Site) -> list[str]:
    try:
        return site.steps()
    except sqlite3.Error:
        return []
