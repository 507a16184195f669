"""The board's temperature sensors: thermal zones and hwmon chips under `thermal.sysfs`.

Rules: reading only, and nothing outside of that folder, so a folder of files is a board. A sensor
that cannot be read is a `Reading` without a value, never an exception. What to believe of them is
decided in `policy/sensors.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edge_agent.frozen import frozen
from edge_agent.host.board import text_of
from edge_agent.types import Reading

AUTO = "auto"
DIE, BOARD, SOMEWHERE = 0, 1, 2
#: A sensor that no governor should follow unless it is named: a battery, a radio, a disk.
ELSEWHERE = 9

#: Types of zones and names of hwmon chips, in lower case and with `-` for `_`.
_DIE = re.compile(
    r"(tj|cpu|gpu|soc|package|cluster|center|core|bigcore|littlecore|big|little|cpuss|ap)"
    r"[\d-]*-therm(al)?(-zone)?\d*|x86-pkg-temp|imx-thermal-zone|k10temp|zenpower|tcpu"
    r"|coretemp/package.*"
)
_BOARD = re.compile(r"acpitz|tboard|tdiode|(board|mb|ambient).*therm.*")
#: A Jetson's PMIC-Die says 50 or 100 C whatever happens, its fan-est is calculated.
_ELSEWHERE = re.compile(
    r".*(pmic|bat|charg|iwl|wifi|wlan|ath\d|mt7|nvme|drivetemp|modem|fan-est|int340|pch|spd|phy)"
    r".*|coretemp/core.*|b0d4|sen\d.*"
)

#: A sensor that was not there is looked for again after so many readings.
LOOK_AGAIN = 10


@frozen
class Sensor:
    """A file with thousandths of a degree. `place` is the name of its folder: thermal_zone0."""

    name: str
    place: str
    rank: int
    path: Path


def find_sensors(sysfs: Path) -> tuple[Sensor, ...]:
    """Every sensor of the board, the best first. Names are unique: a second one ends in -2."""
    seen: Counter[str] = Counter()
    found = []
    for name, path in (*_zones(sysfs), *_chips(sysfs)):
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
        found.append(Sensor(unique, path.parent.name, _rank(name), path))
    return tuple(sorted(found, key=lambda sensor: sensor.rank))


def read_sensor(sensor: Sensor) -> Reading:
    """What it says now."""
    return Reading(sensor.name, sensor.rank, _celsius(sensor.path))


class Thermometer:
    """The sensors that the governor follows: the one that is named, or those of rank 0 to 2."""

    def __init__(self, sysfs: Path, wanted: str = AUTO) -> None:
        self._sysfs = sysfs
        self._wanted = wanted
        self._sensors = self._look()
        self._unheard = 0  # readings in a row in which a sensor gave no answer

    def read(self) -> tuple[Reading, ...]:
        """One reading of each; of a named one that is not there, one without a value."""
        readings = tuple(read_sensor(sensor) for sensor in self._sensors)
        silent = not readings or any(reading.celsius is None for reading in readings)
        self._unheard = self._unheard + 1 if silent else 0
        if self._unheard >= LOOK_AGAIN:
            self._unheard = 0
            self._sensors = self._look()
        if not readings and self._wanted != AUTO:
            return (Reading(self._wanted, DIE, None),)
        return readings

    def _look(self) -> tuple[Sensor, ...]:
        every = find_sensors(self._sysfs)
        if self._wanted == AUTO:
            return tuple(sensor for sensor in every if sensor.rank <= SOMEWHERE)
        return tuple(each for each in every if self._wanted in (each.name, each.place))[:1]


# --- below: where they are -----------------------------------------------------------------------


def _zones(sysfs: Path) -> Iterator[tuple[str, Path]]:
    for zone in _numbered(sysfs / "class/thermal", "thermal_zone"):
        yield text_of(zone / "type") or zone.name, zone / "temp"


def _chips(sysfs: Path) -> Iterator[tuple[str, Path]]:
    """`coretemp/Package id 0`: the chip, then the label of its sensor or the file's own name."""
    for chip in _numbered(sysfs / "class/hwmon", "hwmon"):
        name = text_of(chip / "name") or chip.name
        for path in sorted(chip.glob("temp*_input")):
            stem = path.name.removesuffix("_input")
            yield f"{name}/{text_of(chip / f'{stem}_label') or stem}", path


def _numbered(folder: Path, prefix: str) -> list[Path]:
    """Folders such as thermal_zone0, thermal_zone1, ... thermal_zone10, in that order."""
    numbers = {path: path.name.removeprefix(prefix) for path in folder.glob(f"{prefix}*")}
    return sorted(
        (path for path, number in numbers.items() if number.isdigit()),
        key=lambda path: int(numbers[path]),
    )


def _rank(name: str) -> int:
    plain = name.lower().replace("_", "-")
    chip, _, label = plain.partition("/")
    if _ELSEWHERE.fullmatch(plain):
        return ELSEWHERE
    if _DIE.fullmatch(plain) or (label and _DIE.fullmatch(chip)):
        return DIE
    if _BOARD.fullmatch(chip):
        return BOARD
    return ELSEWHERE if label else SOMEWHERE


def _celsius(path: Path) -> float | None:
    try:
        return int(path.read_bytes()) / 1000
    except (OSError, ValueError):  # EAGAIN of a part that is switched off, or no number
        return None
