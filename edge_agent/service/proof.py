"""The proof of watching of the running agent: from the lookouts to the database and the summaries.

Housekeeping looks once a second (`look`), takes what is settled before it writes (`settle`, `rows`,
`written`), and asks for each summary's share (`share`). What is not written yet goes into the
`BlackBox`, so that a kill costs a second of it. Read `lookout.py` and `black_box.py` next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from edge_agent.policy.coverage import (
    REVISABLE_S,
    Cause,
    Coverage,
    Since,
    Stretch,
    coverage,
    folded,
)
from edge_agent.service.black_box import BlackBox, Recording
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.watch import Watch
from edge_agent.store.record import Store
from edge_agent.store.rows import CoverageRow

#: Rows of one rule that one writing adds at most; what alternates faster is folded.
MOST_ROWS = 20
#: Rows of one rule that wait for the disk at most.
MOST_WAITING = 500


class Proof:
    """One for a start of the agent; `covered` is the house's, where each new watch begins."""

    def __init__(
        self,
        store: Store,
        surroundings: Surroundings,
        covered: dict[tuple[str, str], Since],
        runtime: Path | None = None,
    ) -> None:
        self._store = store
        self._surroundings = surroundings
        self._covered = covered
        self._black_box = BlackBox(store.identity.store, runtime)
        self._waiting: dict[tuple[str, str], tuple[Stretch, ...]] = {}
        self._shares: dict[tuple[str, str], tuple[Stretch, ...]] = {}  # since the last summary

    def resume(self) -> None:
        """At the start: write what a kill left in the black box, and go on where that ended."""
        identity = self._store.identity
        kept = self._black_box.last()
        before = (identity.store, identity.boot - 1)
        rows = kept.rows if kept is not None and (kept.store, kept.boot) == before else ()
        self._covered.update(self._store.resume_coverage(rows))

    def look(self, watch: Watch) -> None:
        """Time passes."""
        now = self._surroundings.now()
        for name, lookout in watch.lookouts.items():
            runner = watch.runners[name]
            excuse = None
            if name in self._surroundings.paused:
                excuse = Cause.PAUSED
            elif runner.failure:
                excuse = Cause.FAILING
            lookout.pass_time(now, watch.captures[runner.assembled.spec.source].facts, excuse)
        self._black_box.keep(self._recording(watch))

    def settle(self, watch: Watch, *, whole: bool) -> None:
        """Take what cannot change any more, or, when the watch has ended, all of it."""
        now = self._surroundings.now()
        if whole:
            self._covered.clear()  # a rule that comes back much later did not live meanwhile
        for name, lookout in watch.lookouts.items():
            if whole:
                lookout.end(now)
            for rule, stretches in lookout.settle(math.inf if whole else now - REVISABLE_S).items():
                key = name, rule
                few = folded(stretches, MOST_ROWS)
                self._waiting[key] = folded((*self._waiting.get(key, ()), *few), MOST_WAITING)
                self._shares[key] = folded((*self._shares.get(key, ()), *stretches), MOST_ROWS)
                if whole:
                    self._covered[key] = Since(now, Cause.SWAP)

    def rows(self) -> tuple[CoverageRow, ...]:
        """What waits to be written."""
        return tuple(
            CoverageRow(*key, stretch)
            for key, stretches in self._waiting.items()
            for stretch in stretches
        )

    def written(self) -> None:
        """It is in the database."""
        self._waiting.clear()

    def share(self, pipeline: str) -> Mapping[str, Coverage]:
        """Per rule the coverage that was settled since the last call, for a summary."""
        keys = [key for key in self._shares if key[0] == pipeline]
        return {key[1]: coverage(self._shares.pop(key)) for key in keys}

    def ended(self) -> None:
        """A stop as asked, with everything written."""
        self._black_box.forget()

    def _recording(self, watch: Watch) -> Recording:
        identity = self._store.identity
        unsettled = tuple(
            CoverageRow(name, rule, stretch)
            for name, lookout in watch.lookouts.items()
            for rule, stretches in lookout.unsettled().items()
            for stretch in stretches
        )
        return Recording(identity.store, identity.boot, (*self.rows(), *unsettled))
