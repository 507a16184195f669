"""What a check needs to know, in plain values: it travels to a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from edge_agent.config.schema import Ota

#: The root that a device is shipped with, where `ota.root` names none.
ROOT = Path("/etc/edge-agent/root.json")
FOLDER = "ota"


@frozen
class Now:
    """The wall clock, and whether a time server keeps it."""

    wall: float
    synced: bool = True


@frozen
class Source:
    """Where to look, whom to trust first, where to keep it."""

    address: str
    state: str  # the state directory
    root: str = str(ROOT)
    ca: str | None = None
    mb_per_day: float | None = None
    built: float = 0.0


def source_of(ota: Ota, state: Path, built: float, address: str | None = None) -> Source:
    """As configured; `address` names another repository, such as a stick, for this once."""
    return Source(
        address=address or ota.repository,
        state=str(state),
        root=ota.root or str(ROOT),
        ca=ota.ca,
        mb_per_day=ota.max_mb_per_day,
        built=built,
    )


def ota_folder(state: Path) -> Path:
    return state / FOLDER
