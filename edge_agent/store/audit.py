"""Tables `audit` (every step: who, what, hashes before and after) and `ota` (the latest of each).

Rules: a step, what it makes of `ota` and the message that reports it are one transaction. They only
tell: neither is read to decide what is loaded, so a damaged store changes no model. The newest
`MOST` steps are kept. Read `policy/ota.py` first.
"""

from __future__ import annotations

import json
import sqlite3

from edge_agent.frozen import frozen
from edge_agent.policy.documents import dump
from edge_agent.policy.ota import Step, Verdict, Version, report
from edge_agent.policy.slots import Order
from edge_agent.store import clocks, outbox
from edge_agent.store.rows import Draft

#: A step a minute for a week.
MOST = 10_000
_COLUMNS = (
    "time, boot, who, kind, name, version, sha256, step, verdict, reason, numbers,"
    " before_version, before_sha256, rollout, serial, stage"
)


@frozen
class Told:
    """A step as it is kept. `time` is the true one, as far as that is known."""

    step: Step
    time: float
    boot: int


def insert(connection: sqlite3.Connection, step: Step, time: float, boot: int) -> int | None:
    """Keep a step; the seq of its report, None where it is none. `time`: on that boot's clock."""
    marks = ", ".join("?" * 16)
    n = connection.execute(
        f"INSERT INTO audit ({_COLUMNS}) VALUES ({marks})", _row(step, time, boot)
    ).lastrowid
    assert n is not None  # an INSERT that did not raise
    connection.execute(
        "INSERT INTO ota (kind, name, step) VALUES (?, ?, ?)"
        " ON CONFLICT (kind, name) DO UPDATE SET step = excluded.step",
        (step.kind, step.name, n),
    )
    connection.execute("DELETE FROM audit WHERE n <= ?", (n - MOST,))
    if not step.is_reported:
        return None
    (store,) = connection.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
    word = clocks.word_of(connection, boot)
    draft = Draft(f"ota/{store[:8]}/{n}", "ota", time, dump(report(step)), clock=word)
    return outbox.insert(connection, draft, boot)


def own_time(connection: sqlite3.Connection, wall: float, boot: int) -> float:
    """What the clock of that boot would say at a moment of the wall clock, for who has no part in
    that boot: a command while the agent is down."""
    found = connection.execute("SELECT correction FROM clocks WHERE boot = ?", (boot,)).fetchone()
    return wall - (found[0] or 0.0) if found else wall


def history(
    connection: sqlite3.Connection, name: str | None = None, limit: int = 20
) -> tuple[Told, ...]:
    """The newest steps, of one name or of all, the newest first."""
    where, words = ("", []) if name is None else ("WHERE name = ?", [name])
    return _select(connection, f"{where} ORDER BY n DESC LIMIT ?", [*words, limit])


def latest(connection: sqlite3.Connection) -> tuple[Told, ...]:
    """The latest step of each model and policy."""
    return _select(connection, "WHERE n IN (SELECT step FROM ota) ORDER BY n", [])


def _select(connection: sqlite3.Connection, rest: str, words: list[object]) -> tuple[Told, ...]:
    rows = connection.execute(
        f"SELECT {_COLUMNS}, coalesce((SELECT correction FROM clocks"
        f" WHERE clocks.boot = audit.boot), 0) FROM audit {rest}",
        words,
    )
    return tuple(_told(row) for row in rows)


def _row(step: Step, time: float, boot: int) -> tuple[object, ...]:
    before = step.before or Version("", "")
    order = step.order
    return (
        time, boot, step.who, step.kind, step.name, step.target.version, step.target.sha256,
        step.step, step.verdict.value, step.reason, dump(report(step)["numbers"]),
        before.version or None, before.sha256 or None,
        *((None, None, None) if order is None else (order.rollout, order.serial, order.stage)),
    )  # fmt: skip


def _told(row: tuple[object, ...]) -> Told:
    (time, boot, who, kind, name, version, sha256, step, verdict, reason, numbers,
     before_version, before_sha256, rollout, serial, stage, correction) = row  # fmt: skip
    return Told(
        Step(
            kind=str(kind),
            name=str(name),
            target=Version(str(version), str(sha256)),
            step=str(step),
            verdict=Verdict(str(verdict)),
            who=str(who),
            reason=str(reason),
            numbers=json.loads(str(numbers)),
            before=None
            if before_sha256 is None
            else Version(str(before_version or ""), str(before_sha256)),
            order=None
            if rollout is None
            else Order(str(rollout), int(str(serial)), str(stage or "")),
        ),
        float(str(time)) + float(str(correction)),
        int(str(boot)),
    )
