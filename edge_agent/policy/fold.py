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
from edge_agent.policy.summary import DATA_LIMIT, Window, WindowAccount, document
from edge_agent.types import Ledger


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
    given_up = add(*(body.get("given_up", {}) for body in bodies))
    account = WindowAccount(_counts(ledger), ledger.get("unaccounted_s", 0.0), given_up=given_up)
    folded = document(window, until, account)
    covered = _coverage([body["coverage"] for body in bodies if body.get("coverage")])
    if len(to_bytes(folded | {"coverage": covered})) > DATA_LIMIT:
        covered = {"*": covered["*"]}
    return _carry(folded | {"coverage": covered}, bodies)


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


def _coverage(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A rule that one of them does not name had there what most rules had."""
    named = dict.fromkeys(key for each in documents for key in each if key != "others")
    return {key: add(*(each.get(key, each["*"]) for each in documents)) for key in named}


def _carry(folded: dict[str, Any], bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keys that `document` does not know, as far as they fit."""
    for key in dict.fromkeys(key for body in bodies for key in body if key not in folded):
        values = [body[key] for body in bodies if body.get(key) is not None]
        value = values[-1] if values else None
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
