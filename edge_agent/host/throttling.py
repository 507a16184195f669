"""What the board says of its power and of its own slowing down. Linux's sysfs, reading only.

| board | where | what |
|---|---|---|
| Raspberry Pi | `get_throttled` of the firmware's driver | under-voltage, clock capped, throttled, soft limit; now and since boot |
| Raspberry Pi | hwmon `rpi_volt`, `in0_lcrit_alarm` | under-voltage, on kernels without the file above |
| Jetson | hwmon `oc*_event_cnt` | times that too much current was drawn |
| x86 | `thermal_throttle/package_throttle_count` | times that the processor slowed itself down |
| any | cooling devices that hold the clock down | capped by the kernel's own governor |

A value that cannot be read says nothing. Counters grow: `policy/sensors.py` compares them.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_agent.host.board import text_of
from edge_agent.types import Throttling, Trouble

#: Where the firmware's driver hangs, by kernel and board.
_FIRMWARE = (
    "devices/platform/soc/soc:firmware/get_throttled",
    "devices/platform/soc*/soc*:firmware/get_throttled",
    "bus/platform/drivers/raspberrypi-firmware/*/get_throttled",
)
#: Bits of `get_throttled`; the same 16 bits further up: since boot.
_BITS = {
    0: Trouble.UNDERVOLTAGE,
    1: Trouble.CAPPED,
    2: Trouble.THROTTLED,
    3: Trouble.SOFT_LIMIT,
}
_SINCE_BOOT = 16
#: Cooling devices that slow the processor down (a fan cools as well, and slows nothing).
_SLOWING = ("cpufreq", "thermal-cpufreq", "thermal-devfreq", "processor")


def read_throttling(sysfs: Path) -> Throttling:
    """Everything that this board tells."""
    bits = _firmware_bits(sysfs)
    now = {trouble for bit, trouble in _BITS.items() if bits and bits >> bit & 1}
    before = {trouble for bit, trouble in _BITS.items() if bits and bits >> bit + _SINCE_BOOT & 1}
    voltage = _alarm(sysfs)
    if voltage:
        now.add(Trouble.UNDERVOLTAGE)
    slowing = _slowing(sysfs)
    if any(state > 0 for state in slowing):
        now.add(Trouble.CAPPED)
    counts = {
        trouble: count
        for trouble, count in (
            (Trouble.OVERCURRENT, _sum(sysfs.glob("class/hwmon/hwmon*/oc*_event_cnt"))),
            (Trouble.THROTTLED, _sum(sysfs.glob(_X86))),
        )
        if count is not None
    }
    before |= now | {trouble for trouble, count in counts.items() if count}
    told = bits is not None or voltage is not None or bool(slowing) or bool(counts)
    return Throttling(frozenset(now), frozenset(before), counts, told)


_X86 = "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"


def _firmware_bits(sysfs: Path) -> int | None:
    for pattern in _FIRMWARE:
        for path in sorted(sysfs.glob(pattern)):
            try:
                return int(text_of(path), 16)
            except ValueError:
                continue
    return None


def _alarm(sysfs: Path) -> bool | None:
    """The alarm of the Pi's voltage; None: there is none."""
    for name in sorted(sysfs.glob("class/hwmon/hwmon*/name")):
        if text_of(name) == "rpi_volt":
            alarm = text_of(name.parent / "in0_lcrit_alarm")
            return alarm == "1" if alarm else None
    return None


def _slowing(sysfs: Path) -> list[int]:
    """The states of the cooling devices that hold a clock down; 0 is full speed."""
    states = []
    for device in sysfs.glob("class/thermal/cooling_device*"):
        if text_of(device / "type").lower().startswith(_SLOWING):
            number = _number(device / "cur_state")
            if number is not None:
                states.append(number)
    return states


def _sum(paths: Iterable[Path]) -> int | None:
    """The sum of counters; None where there are none."""
    counts = [count for path in paths if (count := _number(path)) is not None]
    return sum(counts) if counts else None


def _number(path: Path) -> int | None:
    try:
        return int(text_of(path))
    except ValueError:
        return None
