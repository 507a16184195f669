"""The account of one pipeline: every frame that was offered, and what became of it.

One lock, so that at every instant captured = inferred + sum(skipped) + failed + pending
(docs/decisions/0004-ledger.md). A source's thread offers, the worker decides.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from edge_agent.store.rows import FramesRow
from edge_agent.types import Ledger, Skip


class Account:
    """A running ledger; `window()` gives what was decided since the last `mark()`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = 0
        self._inferred = 0
        self._failed = 0
        self._pending = 0
        self._skipped: Counter[str] = Counter()
        self._marked = Ledger()

    def offer(self) -> None:
        """A frame came: it is pending until its verdict."""
        with self._lock:
            self._captured += 1
            self._pending += 1

    def infer(self) -> None:
        with self._lock:
            self._pending -= 1
            self._inferred += 1

    def skip(self, reason: Skip) -> None:
        with self._lock:
            self._pending -= 1
            self._skipped[reason.value] += 1

    def fail(self) -> None:
        with self._lock:
            self._pending -= 1
            self._failed += 1

    def ledger(self) -> Ledger:
        """The account at this instant; it balances."""
        with self._lock:
            return self._now()

    def window(self) -> tuple[Ledger, Ledger]:
        """What was decided since the last mark, and the account as it is now, for `mark`.

        In the window `captured` counts the decided frames alone, and `pending` says how many wait
        for a verdict now.
        """
        with self._lock:
            now, before = self._now(), self._marked
        return difference(now, before), now

    def mark(self, ledger: Ledger) -> None:
        """Everything up to that account was written down: the next window begins there."""
        with self._lock:
            self._marked = ledger

    def _now(self) -> Ledger:
        return Ledger(
            self._captured,
            self._inferred,
            dict(sorted(self._skipped.items())),
            self._failed,
            self._pending,
        )


def difference(now: Ledger, before: Ledger) -> Ledger:
    """The frames decided between two moments of one account, and those that still wait."""
    skipped = {
        reason: count - before.skipped.get(reason, 0)
        for reason, count in now.skipped.items()
        if count != before.skipped.get(reason, 0)
    }
    inferred = now.inferred - before.inferred
    failed = now.failed - before.failed
    decided = inferred + failed + sum(skipped.values())
    return Ledger(decided, inferred, skipped, failed, now.pending)


def total(ledgers: list[Ledger]) -> Ledger:
    """The sum over pipelines."""
    skipped: Counter[str] = Counter()
    for ledger in ledgers:
        skipped.update(ledger.skipped)
    return Ledger(
        sum(ledger.captured for ledger in ledgers),
        sum(ledger.inferred for ledger in ledgers),
        dict(sorted(skipped.items())),
        sum(ledger.failed for ledger in ledgers),
        sum(ledger.pending for ledger in ledgers),
    )


def frames_row(pipeline: str, span: tuple[float, float], window: Ledger) -> FramesRow:
    """The row of table `frames` for what was decided in a span of time."""
    return FramesRow(
        pipeline, *span, window.inferred, window.skipped, window.failed, window.pending
    )


def frames_document(ledger: Ledger) -> dict[str, Any]:
    """As every document tells it."""
    return {
        "captured": ledger.captured,
        "inferred": ledger.inferred,
        "skipped": dict(ledger.skipped),
        "failed": ledger.failed,
        "pending": ledger.pending,
    }
