"""The account of what leaves by MQTT against `mqtt.budget`: counted by the publisher, kept by the
store, acted upon by the keeper.

Rules: it is written as often as the ledger, so a kill forgets at most `store.flush_s` of it. While
the keeper folds, the budget counts as spent: what is being folded cannot begin to leave. Read
`policy/budget.py` and `store/sparing.py` next.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from edge_agent.policy.budget import restored
from edge_agent.policy.documents import dump
from edge_agent.store.record import Store
from edge_agent.uplink.outbox import BudgetFacts

MB = 1_000_000
#: After so long spent nothing but what is urgent is under way any more: a message without an answer
#: ends the connection sooner.
CALM_S = 30.0


class Spending:
    """Any thread may call. `now` is on this boot's own clock."""

    def __init__(self, store: Store, mb_per_day: float, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        moment = now()
        kept = json.loads(store.kept_budget())
        self._budget = restored(MB * mb_per_day, kept, moment, store.life(moment))
        self._lock = threading.Lock()
        self._is_held = False
        self._doubtful: set[int] = set()
        self._kept = ""

    # --- what the publisher asks and tells -------------------------------------------------------

    def sent(self, size: int) -> None:
        with self._lock:
            self._budget.sent(size, self._now())

    @property
    def is_spent(self) -> bool:
        with self._lock:
            return self._is_held or self._budget.is_spent(self._now())

    def doubt(self, seqs: Iterable[int]) -> None:
        """They left and nobody answered: the receiver may have them."""
        with self._lock:
            self._doubtful.update(seqs)

    def settled(self, seq: int) -> None:
        """It was answered, or is gone."""
        if self._doubtful:
            with self._lock:
                self._doubtful.discard(seq)

    def facts(self) -> BudgetFacts:
        with self._lock:
            now, budget = self._now(), self._budget
            opens = budget.opens(now)
            return BudgetFacts(
                mb_per_day=budget.day_bytes / MB,
                sent_mb=budget.total / MB,
                spent_since=budget.spent_since,
                opens=opens,
            )

    # --- what the service does with it -----------------------------------------------------------

    @contextmanager
    def held_spent(self) -> Iterator[frozenset[int] | None]:
        """It is spent and stays so meanwhile; the messages that may have arrived. None: it is not,
        or not for long enough."""
        with self._lock:
            now = self._now()
            spent = self._budget.is_spent(now)
            since = self._budget.spent_since
            self._is_held = spent and since is not None and now - since >= CALM_S
            doubtful = frozenset(self._doubtful) if self._is_held else None
        try:
            yield doubtful
        finally:
            with self._lock:
                self._is_held = False

    def keep(self) -> None:
        """Into the store, where anything left since. Raises EdgeError."""
        with self._lock:
            now = self._now()
            self._budget.is_spent(now)
            changed = f"{self._budget.total} {self._budget.spent_since}"
            text = dump(self._budget.document(now, self._store.life(now)))
        if changed != self._kept:
            self._store.keep_budget(text)
            self._kept = changed
