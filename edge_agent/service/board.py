"""What is known of the board's heat and power, and what a person should hear of it.

The thermal thread makes the facts, `status`, `health` and the summaries tell them. Every reason has
a next step that somebody can take who stands before the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, field
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.sensors import BrokenSensor, Fault, Temperature
from edge_agent.policy.thermal import LEVELS, Points
from edge_agent.types import Throttling, Trouble

#: Above the target by more than this, at the floor: nothing is left to give way.
BEYOND_C = 1.5

_AIR = "give it shade and air: clean the vents, add a heat sink or a fan"
_SUPPLY = "use the board's own power supply and a short, thick cable; unplug what hangs on it"


@frozen
class BoardFacts:
    """`since`: when each reason's code came up. `slowness` is known where no sensor is believed.

    `sensor_wanted`: somebody named a sensor or a folder, so that there should be one.
    """

    temperature: Temperature = Temperature()
    throttling: Throttling = Throttling()
    points: Points = Points()
    target_c: float = 75.0
    slowness: float | None = None
    sensor_wanted: bool = False
    since: Mapping[str, float] = field(default_factory=dict)

    @property
    def celsius(self) -> float | None:
        value = self.temperature.celsius
        return None if value is None else round(value, 1)


@frozen
class BoardReason:
    code: str
    message: str
    next: str
    since: float


def board_reasons(facts: BoardFacts, *, everything: bool = False) -> tuple[BoardReason, ...]:
    """What is not well. `everything`: also that a board without any sensor has none."""
    found = [*_heat(facts), *_power(facts), *_sensors(facts, everything)]
    return tuple(
        BoardReason(code, message, step, facts.since.get(code, 0.0))
        for code, message, step in found
    )


def thermal_document(facts: BoardFacts, told: Callable[[float], str]) -> dict[str, Any]:
    """`thermal` of `status/1`; `told` writes a moment as others read it."""
    throttling = facts.throttling
    return {
        "sensor": facts.temperature.sensor,
        "target_c": round(facts.target_c, 1),
        "level": facts.points.level,
        "reason": facts.points.reason,
        "slowness": None if facts.slowness is None else round(facts.slowness, 2),
        "broken": [
            {**asdict(broken), "fault": broken.fault.value, "since": told(broken.since)}
            for broken in facts.temperature.broken
        ],
        "now": sorted(throttling.now) if throttling.told else None,
        "since_boot": sorted(throttling.since_boot) if throttling.told else None,
    }


# --- below: the reasons --------------------------------------------------------------------------


def _heat(facts: BoardFacts) -> Iterator[tuple[str, str, str]]:
    points, celsius, target = facts.points, facts.celsius, facts.target_c
    if points.level:
        here = f"{points.reason}" if celsius is None else f"{celsius:.1f} °C"
        slow = f"pipelines are held back, heat level {points.level} of {LEVELS}"
        floor = points.level == LEVELS
        beyond = floor and celsius is not None and celsius > target + BEYOND_C
        if beyond:
            message = f"the board is too hot even at min_fps: {here}, {target:g} °C are allowed"
            yield "hot", message, f"{_AIR}; other programs on it heat it too"
        else:
            allowed = "" if celsius is None else f" of {target:g} °C allowed"
            yield "hot", f"the board is hot ({here}{allowed}): {slow}", f"{_AIR}, or lower max_fps"
    told = facts.throttling.now
    if Trouble.THROTTLED in told or Trouble.SOFT_LIMIT in told:
        at = "" if celsius is None else f" at {celsius:.1f} °C"
        message = f"the board slows itself down by heat{at}"
        yield "throttled", message, f"{_AIR}, or lower thermal.target_c"


def _power(facts: BoardFacts) -> Iterator[tuple[str, str, str]]:
    told = facts.throttling
    if Trouble.UNDERVOLTAGE in told.now:
        yield "undervoltage", "the supply is too weak now (under-voltage)", _SUPPLY
    elif Trouble.UNDERVOLTAGE in told.since_boot:
        message = "the supply was too weak at some time since the board started (under-voltage)"
        yield "undervoltage", message, f"{_SUPPLY}; a restart of the board clears this"
    if Trouble.OVERCURRENT in told.now:
        yield "overcurrent", "more current was drawn lately than the supply may give", _SUPPLY


def _sensors(facts: BoardFacts, everything: bool) -> Iterator[tuple[str, str, str]]:
    temperature = facts.temperature
    instead = (
        f"{temperature.sensor} is followed instead"
        if temperature.sensor is not None
        else "the time that a model takes is watched instead"
    )
    if temperature.broken:
        named = ", ".join(_said(broken) for broken in temperature.broken[:3])
        step = "name another one: thermal.sensor (edge-agent doctor --only temperature lists them)"
        yield "sensor_broken", f"temperature sensor {named}; {instead}", step
    elif temperature.none_there and (everything or facts.sensor_wanted):
        message = f"the board has no temperature sensor; {instead}"
        yield "sensor_broken", message, "look at thermal.sysfs and at the kernel's drivers"


def _said(broken: BrokenSensor) -> str:
    match broken.fault:
        case Fault.ABSENT:
            return f"{broken.sensor} gives no answer"
        case Fault.STUCK:
            return f"{broken.sensor} is stuck at {broken.celsius:g} °C"
        case Fault.IMPOSSIBLE:
            return f"{broken.sensor} says {broken.celsius:g} °C, which cannot be"
