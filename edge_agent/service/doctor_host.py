"""The board under it: is it too hot, is its supply too weak, is its clock right?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from edge_agent.errors import EdgeError
from edge_agent.host.thermometer import Thermometer
from edge_agent.host.throttling import read_throttling
from edge_agent.host.timezone import host_zone
from edge_agent.policy.documents import rfc3339
from edge_agent.service.doctor_finding import Case, Said, fail, ok, warn
from edge_agent.store.query import open_reader
from edge_agent.types import Reading, Trouble

#: What no chip reads that works: a sensor stuck at one of these says nothing.
PLAUSIBLE_C = (-40.0, 120.0)
STUCK_C = (0.0,)
HOT_C, TOO_HOT_C = 80.0, 95.0
#: No device runs this version before it was written, and hardly a century later.
PLAUSIBLE_YEARS = (2025, 2100)
#: The database may be ahead of the clock by so much: it was written a moment ago.
AHEAD_S = 300.0

_TROUBLES = {
    Trouble.UNDERVOLTAGE: (
        "the supply is too weak (under-voltage)",
        "use the board's own power supply and a short, thick cable",
    ),
    Trouble.OVERCURRENT: (
        "more current was drawn than the supply may give",
        "use a stronger power supply, or unplug what hangs on it",
    ),
    Trouble.THROTTLED: (
        "the board slowed itself down by heat",
        "give it air: clean the vents, add a heat sink or a fan, move it out of the sun",
    ),
    Trouble.SOFT_LIMIT: (
        "the board reached the firmware's first limit of temperature",
        "give it air: clean the vents, add a heat sink or a fan, move it out of the sun",
    ),
    Trouble.CAPPED: (
        "the clock of the processor is held down",
        "look at temperature and power: this is what comes of them",
    ),
}


def temperature(case: Case) -> Iterator[Said]:
    """Each sensor that the agent would follow; one that is stuck or impossible is named."""
    readings = Thermometer(case.sysfs, case.thermal.sensor).read()
    good = [reading for reading in readings if _plausible(reading)]
    for reading in readings:
        if reading not in good:
            said = "gives no answer" if reading.celsius is None else f"says {reading.celsius:g} °C"
            message = f"sensor {reading.sensor} {said}: it is not believed"
            yield warn(message, "name another one: thermal.sensor in the configuration")
    if not good:
        yield ok("no sensor to go by: the agent goes by how long the model takes")
        return
    hottest = max(good, key=lambda reading: reading.celsius or 0.0)
    celsius = hottest.celsius or 0.0
    message = f"{celsius:.1f} °C ({hottest.sensor})"
    give_air = "give it air: clean the vents, add a heat sink or a fan, move it out of the sun"
    if celsius >= TOO_HOT_C:
        yield fail(f"{message}: too hot", give_air)
    elif celsius >= HOT_C:
        yield warn(f"{message}: hot", give_air)
    else:
        yield ok(message)


def power(case: Case) -> Iterator[Said]:
    """Under-voltage, over-current, throttling: now, and at any time since the board started."""
    found = read_throttling(case.sysfs)
    if not found.told:
        yield ok("this board says nothing of its power and of its own slowing down")
        return
    for trouble, (sentence, hint) in _TROUBLES.items():
        if trouble in found.now:
            serious = trouble in (Trouble.UNDERVOLTAGE, Trouble.THROTTLED)
            yield (fail if serious else warn)(f"now: {sentence}", hint)
        elif trouble in found.since_boot:
            yield warn(f"since the board started: {sentence}", hint)
    if not found.since_boot:
        yield ok("no under-voltage, no throttling since the board started")


def clock(case: Case) -> Iterator[Said]:
    """A plausible year, not behind what was written already, kept by a time server; the zone."""
    now = case.here.clock.now() + case.here.clock.wall_offset()
    at, set_it = rfc3339(now)[:19] + "Z", "set it: sudo timedatectl set-time '2026-01-31 12:00:00'"
    low, high = PLAUSIBLE_YEARS
    year = datetime.fromtimestamp(now, UTC).year
    written = _last_written(case)
    if not low <= year < high:
        yield fail(f"the clock says {at}, which cannot be: certificates count as invalid", set_it)
    elif written is not None and written > now + AHEAD_S:
        message = f"the clock says {at}, but the database was written at {rfc3339(written)[:19]}Z"
        yield fail(message, set_it)
    elif not case.here.clock.synced():
        yield warn(
            f"{at}, in {_zone(case)}; no time server keeps it right",
            "let one do so: sudo timedatectl set-ntp true",
        )
    else:
        yield ok(f"{at}, in {_zone(case)}; a time server keeps it right")


# --- below ---------------------------------------------------------------------------------------


def _plausible(reading: Reading) -> bool:
    low, high = PLAUSIBLE_C
    celsius = reading.celsius
    return celsius is not None and low < celsius < high and celsius not in STUCK_C


def _last_written(case: Case) -> float | None:
    try:
        with open_reader(case.state) as reader:
            return reader.last_status().written
    except EdgeError:
        return None  # there is none yet, or the check of the database says why


def _zone(case: Case) -> str:
    """The zone of schedules."""
    stated = case.config.device.timezone if case.config is not None else None
    if stated is not None:
        return f"{ZoneInfo(stated).key} (device.timezone)"
    zone = host_zone(case.here.root / "etc/localtime")
    return f"{getattr(zone, 'key', None) or zone} (this host's zone)"
