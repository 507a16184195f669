"""When the signatures of a repository end: for `repo refresh` and `rollout status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_agent.cli.render import say, table
from edge_agent.policy.documents import dump, rfc3339

if TYPE_CHECKING:
    from edge_fleet.rotation import Expiry


def expiry_rows(found: Sequence[Expiry]) -> list[dict[str, Any]]:
    return [
        {"role": each.role, "expires": rfc3339(each.at.timestamp()), "soon": each.soon}
        for each in found
    ]


def expiry_document(found: Sequence[Expiry]) -> str:
    """`repository/1`."""
    return dump({"schema": "repository/1", "roles": expiry_rows(found)})


def tell_expiries(found: Sequence[Expiry], now: float) -> None:
    table(("role", "signed until", "left"), [_row(each, now) for each in found])


def tell_soon(found: Sequence[Expiry], now: float, folder: object) -> None:
    """A reminder of what somebody should sign again; nothing where nothing is due."""
    for each in found:
        if each.soon:
            word = "expired" if each.over else f"expires in {_left(each, now)}"
            say(f"{each.role} {word}: edge-fleet repo refresh {folder} --role {each.role}")


def _row(each: Expiry, now: float) -> tuple[str, str, str]:
    left = "EXPIRED" if each.over else _left(each, now) + ("  SOON" if each.soon else "")
    return each.role, each.at.strftime("%Y-%m-%d %H:%M UTC"), left


def _left(each: Expiry, now: float) -> str:
    seconds = (each.at - datetime.fromtimestamp(now, UTC)).total_seconds()
    days, hours = divmod(int(seconds) // 3600, 24)
    return f"{days} d" if days else f"{hours} h"
