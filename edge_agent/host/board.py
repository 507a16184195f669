"""What this board is: the names that `${hostname}` and `${serial}` stand for, and its size.

Read once at the start. The store is bound to the machine id, so a cloned card is noticed.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from edge_agent.frozen import frozen

#: Where a board says its serial number and model, best first: a device tree, then DMI of a PC.
_SERIALS = (
    "proc/device-tree/serial-number",
    "sys/firmware/devicetree/base/serial-number",
    "sys/class/dmi/id/product_serial",
    "sys/class/dmi/id/board_serial",
)
_MODELS = (
    "proc/device-tree/model",
    "sys/firmware/devicetree/base/model",
    "sys/class/dmi/id/product_name",
)
_MACHINE_IDS = ("etc/machine-id", "var/lib/dbus/machine-id")


@frozen
class Board:
    """None where the board does not say, or not to this user."""

    hostname: str
    serial: str | None
    machine_id: str | None
    model: str | None
    cpus: int  # those that this process may use


def read_board(root: Path = Path("/")) -> Board:
    """The board under `root` (another root only in tests)."""
    return Board(
        hostname=socket.gethostname(),
        serial=_first(root, _SERIALS) or _serial_of_cpuinfo(root),
        machine_id=_first(root, _MACHINE_IDS),
        model=_first(root, _MODELS),
        cpus=len(os.sched_getaffinity(0)),
    )


def _first(root: Path, names: tuple[str, ...]) -> str | None:
    for name in names:
        text = text_of(root / name)
        if text:
            return text
    return None


def text_of(path: Path) -> str:
    """What the file says, "" where it may not be read. A device tree ends it with a zero byte."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \n")
    except OSError:
        return ""


def _serial_of_cpuinfo(root: Path) -> str | None:
    """A Raspberry Pi says it here as well, as `Serial : 10000000abcdef`."""
    for line in text_of(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Serial" and value.strip():
            return value.strip()
    return None
