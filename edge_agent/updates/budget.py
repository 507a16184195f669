"""`ota.max_mb_per_day`: bytes over the network, counted across restarts.

Everything counts; only targets are refused, since an order to go back must always arrive. The file
is ahead of the truth by at most `AHEAD` bytes, so that a kill never gives any back. Days are UTC.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from edge_agent.durable import read_document, write_document
from edge_agent.updates.failures import BudgetSpent

AHEAD = 1 << 20
MB = 1_000_000


class Budget:
    """`limit_mb` None: no limit. `file` None: nothing is kept, as for a folder."""

    def __init__(self, file: Path | None, limit_mb: float | None, now: datetime) -> None:
        self._file = file
        self._limit = None if limit_mb is None else int(limit_mb * MB)
        self._day = f"{now:%Y-%m-%d}"
        self.spent = self._written = spent_on(file, self._day) if file is not None else 0

    def count(self, size: int) -> None:
        """Bytes of metadata. Raises OSError."""
        if self._file is None:
            return
        self.spent += size
        if self.spent > self._written:
            self._write(self.spent + AHEAD)

    def check(self) -> None:
        """Before more bytes of a target. Raises BudgetSpent."""
        if self._file is None or self._limit is None or self.spent < self._limit:
            return
        raise BudgetSpent(
            f"the {self._limit / MB:g} MB of today (ota.max_mb_per_day) are used up",
            "what came is kept, and goes on after midnight UTC; or raise ota.max_mb_per_day",
        )

    def settle(self) -> None:
        """At the end: the file says what it was. Raises OSError."""
        if self._file is not None and self._written != self.spent:
            self._write(self.spent)

    def _write(self, size: int) -> None:
        assert self._file is not None
        write_document(self._file, {"schema": "ota-spent/1", "day": self._day, "bytes": size})
        self._written = size


def spent_on(file: Path, day: str) -> int:
    """What the file says of a day; any other day has spent nothing yet."""
    kept = read_document(file)
    spent = kept.get("bytes")
    return spent if kept.get("day") == day and isinstance(spent, int) and spent > 0 else 0
