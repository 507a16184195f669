"""Several summaries of one pipeline become one coarser summary.

Pure. Counts add up, sketches merge, the ledger adds up; of what is a state and not a count (a
temperature, an operating point) the latest that is known stays. What does not fit into the bytes of
a summary is counted under `other`, as in `summary.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edge_agent.policy.documents import parse_rfc3339
from edge_agent.policy.envelope import to_bytes
from edge_agent.policy.sketch import merge, parse
from edge_agent.policy.summary import DATA_LIMIT, Window, document
from edge_agent.types import Ledger

#: Of these tables the numbers add up; of all else the latest stands.
_ADDED = frozenset({"ledger", "coverage"})


def fold(bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One body for all of them, which are of one pipeline and in order. Raises KeyError."""
    window = Window(bodies[0]["pipeline"], min(parse_rfc3339(body["from"]) for body in bodies))
    for body in bodies:
        for table in ("labels", "zones", "rules"):
            getattr(window, table).update(Counter(body[table]))
        window.score = merge(window.score, parse(body["score"]))
        window.latency = merge(window.latency, parse(body["latency"]))
    until = max(parse_rfc3339(body["to"]) for body in bodies)
    ledger = add(*(body["ledger"] for body in bodies))
    folded = document(window, until, _counts(ledger), ledger.get("unaccounted_s", 0.0))
    return _carry(folded, bodies)


def add(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Number by number, table by table; of words the latest."""
    total: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            known = total.get(key)
            if isinstance(value, Mapping):
                total[key] = add(known if isinstance(known, Mapping) else {}, value)
            elif isinstance(value, int | float) and isinstance(known, int | float):
                total[key] = round(known + value, 3)
            elif value is not None or known is None:
                total[key] = value
    return total


def _carry(folded: dict[str, Any], bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keys that `document` does not know, as far as they fit."""
    for key in dict.fromkeys(key for body in bodies for key in body if key not in folded):
        values = [body[key] for body in bodies if body.get(key) is not None]
        if not values:
            value = None
        elif key in _ADDED and all(isinstance(each, Mapping) for each in values):
            value = add(*values)
        else:
            value = values[-1]
        if len(to_bytes(folded | {key: value})) <= DATA_LIMIT:
            folded[key] = value
    return folded


def _counts(ledger: Mapping[str, Any]) -> Ledger:
    return Ledger(
        captured=ledger["captured"],
        inferred=ledger["inferred"],
        skipped=ledger.get("skipped", {}),
        failed=ledger["failed"],
    )
