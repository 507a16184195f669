"""The thermal thread on a folder of files: what it reads, decides and tells, second by second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from board import SysBoard

from edge_agent.config import schema
from edge_agent.host.fake import FakeClock
from edge_agent.service.board import board_reasons, thermal_document
from edge_agent.service.ledger import Account
from edge_agent.service.meter import Effort
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.thermal import Thermal
from edge_agent.types import Priority


class Site:
    """Two pipelines of a known cost, a clock that is moved by hand, a board of files."""

    def __init__(self, root: Path, present: bool = True, **thermal: Any) -> None:
        self.board = SysBoard(root / "sys")
        if present:
            self.board.zone(0, "cpu-thermal", 50.0)
        self.clock = FakeClock()
        self.surroundings = Surroundings(self.clock, "UTC")  # type: ignore[arg-type]
        self.runners = {
            "gate": runner(5.0, Priority.ALERT),
            "yard": runner(10.0, Priority.NOTICE),
        }
        self.config = schema.Thermal(sysfs=str(self.board.root), **thermal)
        self.thermal = Thermal(self.config, self.surroundings, lambda: self.runners)

    def live(self, seconds: int, celsius: float | None = None, cpu_s: float = 0.02) -> None:
        """Frames come at 15 a second; as many are inferred as the points allow."""
        if celsius is not None:
            self.board.heat(celsius)
        for _ in range(seconds):
            self.clock.advance(1.0)
            for name, each in self.runners.items():
                for _ in range(15):
                    each.account.offer()
                for _ in range(round(self.rate(name))):
                    each.effort.add(cpu_s, cpu_s)
            self.thermal.look()

    def rate(self, name: str) -> float:
        held = self.surroundings.board.points.point(name).max_fps
        limit: float = self.runners[name].assembled.spec.gate.max_fps
        return limit if held is None else held

    def codes(self, *, everything: bool = False) -> list[str]:
        facts = self.surroundings.board
        return [each.code for each in board_reasons(facts, everything=everything)]


def runner(max_fps: float, priority: Priority, threads: int = 1, movable: bool = True) -> Any:
    spec = SimpleNamespace(
        gate=SimpleNamespace(max_fps=max_fps), rules=(SimpleNamespace(priority=priority),)
    )
    choice = SimpleNamespace(plan=SimpleNamespace(threads=threads), single=0.6)
    engine = SimpleNamespace(movable=movable)
    return SimpleNamespace(
        assembled=SimpleNamespace(spec=spec, choice=choice, engine=engine),
        account=Account(),
        effort=Effort(threads),
    )


def test_rates_fall_when_it_is_hot_alerts_last_and_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.live(30, 60.0)
    assert (site.rate("gate"), site.rate("yard"), site.codes()) == (5.0, 10.0, [])
    site.live(30, 85.0)
    assert (site.rate("gate"), site.rate("yard")) == (0.5, 0.5)
    (reason,) = board_reasons(site.surroundings.board)
    assert reason.code == "hot"
    assert reason.message.startswith("the board is too hot even at min_fps: 85.0 °C, 75 °C")
    assert "shade" in reason.next
    since = reason.since
    site.live(20)
    assert board_reasons(site.surroundings.board)[0].since == since
    site.live(900, 50.0)
    assert (site.rate("gate"), site.rate("yard"), site.codes()) == (5.0, 10.0, [])


@pytest.mark.parametrize(("movable", "threads"), [(True, 1), (False, None)])
def test_heat_takes_threads_from_a_model_whose_memory_can_be_carried_over(
    tmp_path: Path, movable: bool, threads: int | None
) -> None:
    site = Site(tmp_path)
    site.runners = {"gate": runner(5.0, Priority.ALERT, threads=2, movable=movable)}
    site.live(30, 60.0)
    assert site.surroundings.board.points.point("gate").threads is None
    site.live(30, 85.0)
    assert site.surroundings.board.points.point("gate").threads == threads
    site.live(900, 50.0)
    assert site.surroundings.board.points.point("gate").threads is None


def test_a_model_that_several_pipelines_share_keeps_its_threads(tmp_path: Path) -> None:
    site = Site(tmp_path)
    gate, yard = (runner(5.0, Priority.ALERT, threads=2) for _ in range(2))
    yard.assembled.engine = gate.assembled.engine
    site.runners = {"gate": gate, "yard": yard}
    site.live(60, 85.0)
    assert site.surroundings.board.points.point("gate").max_fps is not None
    assert site.surroundings.board.points.point("gate").threads is None


def test_the_mean_and_the_highest_of_a_window_are_taken_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.live(10, 60.0)
    site.live(30, 70.0)
    mean, most = site.surroundings.take_temperature() or (0.0, 0.0)
    assert 60.0 < mean < 70.0
    assert most == 70.0
    assert site.surroundings.take_temperature() is None


@pytest.mark.parametrize("nonsense", [-87.9, 0.0, 127.0])
def test_a_sensor_that_lies_is_told_and_invokes_are_timed_instead(
    tmp_path: Path, nonsense: float
) -> None:
    site = Site(tmp_path)
    site.live(120, nonsense)
    assert site.codes() == ["sensor_broken"]
    facts = site.surroundings.board
    assert facts.celsius is None
    assert (
        "which cannot be; the time that a model takes is watched" in board_reasons(facts)[0].message
    )
    assert thermal_document(facts, site.surroundings.told)["broken"][0]["fault"] == "impossible"
    site.live(300, cpu_s=0.04)  # twice as long as before: the clock was slowed down
    assert site.codes() == ["hot", "sensor_broken"]
    assert site.rate("yard") < 10.0
    site.live(3600, cpu_s=0.02)
    assert (site.rate("yard"), site.codes()) == (10.0, ["sensor_broken"])
    site.live(60, 50.0)
    assert site.codes() == []


def test_a_named_sensor_that_is_not_there_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path, sensor="soc-thermal")
    site.live(10, 50.0)
    assert site.codes() == ["sensor_broken"]
    assert "soc-thermal gives no answer" in board_reasons(site.surroundings.board)[0].message


def test_a_machine_without_sensors_is_well_and_health_says_that_it_has_none(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, present=False)
    site.live(10)
    assert site.codes() == ["sensor_broken"]  # somebody named a folder: there should be one
    facts = site.surroundings.board
    unnamed = type(facts)(facts.temperature, facts.throttling)
    assert board_reasons(unnamed) == ()
    assert [each.code for each in board_reasons(unnamed, everything=True)] == ["sensor_broken"]


def test_what_the_board_says_of_its_power_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.board.firmware("50005")
    site.live(5, 50.0)
    assert site.codes() == ["throttled", "undervoltage"]
    assert thermal_document(site.surroundings.board, site.surroundings.told)["now"] == [
        "throttled",
        "undervoltage",
    ]
    site.board.firmware("50000")
    site.live(5)
    assert site.codes() == ["undervoltage"]  # since boot: nobody has changed the supply
    assert "a restart of the board clears this" in board_reasons(site.surroundings.board)[0].next
    site.board.firmware("0")
    site.board.chip(2, "soctherm_oc", oc1_event_cnt="1")
    site.live(2)
    assert site.codes() == []
    site.board.chip(2, "soctherm_oc", oc1_event_cnt="2")
    site.live(2)
    assert site.codes() == ["overcurrent"]


def test_a_reload_may_change_target_and_floor(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.live(90, 70.0)
    assert site.rate("yard") == 10.0
    changed = replace(site.config, target_c=60.0, min_fps=1.0)
    site.thermal.configure(changed)
    site.live(90, 70.0)
    assert (site.rate("gate"), site.rate("yard")) == (1.0, 1.0)
    assert site.surroundings.board.target_c == 60.0


def test_pipelines_of_a_reload_get_a_point_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.live(60, 90.0)
    site.runners = {"door": runner(5.0, Priority.NOTICE)}
    site.live(1)
    assert site.rate("door") < 5.0
    assert "yard" not in site.surroundings.board.points.of
