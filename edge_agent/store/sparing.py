"""The day's budget of MQTT is spent: what waits is made less, and all of it is declared.

Rules: twelve summaries of a pipeline become one, whose counts and sketches are their sum; what was
folded once is folded again with its like, so at most eleven of each kind wait. What cannot be
folded waits, up to `KEPT`; beyond it the oldest go. The transaction that does it declares it
(`lost`, reason `budget`). A message that may have arrived although nobody answered is left as it
is: its counts would come twice. Read `eviction.py` first.
"""

from __future__ import annotations

from collections.abc import Collection

from edge_agent.store import eviction, outbox
from edge_agent.store.eviction import FOLDED, Sweep

#: So many that cannot be folded wait.
KEPT = 100


def spare(sweep: Sweep, doubtful: Collection[int]) -> bool:
    """One batch; whether there was anything."""
    rows = sweep.rows(
        "spared summary",
        "SELECT seq, json_extract(body, '$.pipeline'), body, created, clock, boot,"
        " instr(id, '/folded/') > 0 FROM outbox"
        f" WHERE {outbox.unsent_that_is(urgent=False)} AND topic = 'summary'"
        " AND seq > :after ORDER BY seq LIMIT :batch",
    )
    certain = [row for row in rows if row[0] not in doubtful]
    found = False
    for is_folded in (False, True):
        level = [row[:6] for row in certain if row[6] == is_folded]
        found = eviction.fold_summaries(sweep, level, FOLDED, "budget") or found
    return _drop_others(sweep, doubtful) or found


def _drop_others(sweep: Sweep, doubtful: Collection[int]) -> bool:
    rows = sweep.connection.execute(
        f"SELECT seq, topic FROM outbox WHERE {outbox.unsent_that_is(urgent=False)}"
        " AND topic NOT IN ('alert', 'lost', 'summary') ORDER BY seq DESC LIMIT ? OFFSET ?",
        (sweep.batch, KEPT),
    ).fetchall()
    rows = sorted(row for row in rows if row[0] not in doubtful)
    return outbox.drop(sweep.connection, rows, "budget", sweep.time) is not None
