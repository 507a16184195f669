"""`ota/checked.json`: what the last check came to, for `ota status` and whoever decides.

It tells and is never believed: trust is in `trusted.json` and the metadata.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.durable import read_document, write_document
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.updates.offer import Offer, offer_document, read_offer
from edge_agent.updates.source import ota_folder

_FILE = "checked.json"
SCHEMA = "ota-checked/1"


@frozen
class Failure:
    code: str
    message: str
    next: str


@frozen
class Checked:
    """`failure`: of the last check. `offer` is that of the last good one, at `good`."""

    at: float
    address: str
    failure: Failure | None
    good: float | None
    offer: Offer | None


def remember_good(state: Path, address: str, at: float, offer: Offer) -> None:
    """Raises OSError."""
    document = {"at": at, "address": address, "failure": None, "good": at}
    _write(state, {**document, "offer": offer_document(offer)})


def remember_failure(state: Path, address: str, at: float, fault: EdgeError) -> None:
    """What was offered before still stands. Raises OSError."""
    before = read_document(ota_folder(state) / _FILE)
    failure = {"code": fault.code, "message": fault.message, "next": fault.next}
    kept = {key: before.get(key) for key in ("good", "offer")}
    _write(state, {"at": at, "address": address, "failure": failure, **kept})


def last_check(state: Path) -> Checked | None:
    """None: never, or nobody can read it any more."""
    kept = read_document(ota_folder(state) / _FILE)
    try:
        return Checked(
            at=float(kept["at"]),
            address=str(kept["address"]),
            failure=None if kept["failure"] is None else Failure(**kept["failure"]),
            good=None if kept["good"] is None else float(kept["good"]),
            offer=None if kept["offer"] is None else read_offer(kept["offer"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _write(state: Path, document: dict[str, object]) -> None:
    write_document(ota_folder(state) / _FILE, {"schema": SCHEMA, **document})
