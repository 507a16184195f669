"""What is done every so often: the ledger to the database, summaries to the outbox, health out.

One thread, a look a second. A power cut loses at most `flush_s` of the ledger and of near misses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.policy.documents import dump, rfc3339
from edge_agent.policy.summary import document
from edge_agent.service.ledger import difference
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.watch import Watch
from edge_agent.store.record import Store
from edge_agent.store.rows import Batch, Draft, FramesRow, Summary
from edge_agent.types import Ledger
from edge_agent.uplink.publisher import Publisher

LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often, in seconds."""

    flush_s: float
    summary_s: float


class Housekeeping:
    """`watch` gives the sources and pipelines that are at work now; a reload changes them."""

    def __init__(
        self,
        store: Store,
        surroundings: Surroundings,
        watch: Callable[[], Watch],
        publisher: Publisher | None,
    ) -> None:
        self._store = store
        self._surroundings = surroundings
        self._watch = watch
        self._publisher = publisher
        self._flushed = self._summed = surroundings.now()
        self._before: dict[str, Ledger] = {}  # at the last summary, per pipeline

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_S):
            self._surroundings.refresh()
            self.tick(self._rhythm())

    def tick(self, rhythm: Rhythm) -> None:
        """Do what is due."""
        now = self._surroundings.now()
        if now - self._summed >= rhythm.summary_s:
            self.summarize()
        if now - self._flushed >= rhythm.flush_s:
            self.flush()
        self.tell()

    def flush(self) -> None:
        """The ledger's windows, open events as they are, near misses: one transaction."""
        watch, now = self._watch(), self._surroundings.now()
        frames = []
        for name, runner in watch.runners.items():
            window = runner.account.window()
            if window.captured or window.pending:
                frames.append(
                    FramesRow(
                        name,
                        self._flushed,
                        now,
                        window.inferred,
                        window.skipped,
                        window.failed,
                        window.pending,
                    )
                )
        judged = tuple(
            entry for runner in watch.runners.values() for entry in runner.take_journal()
        )
        self._store.record(Batch(seen=watch.open_events(), frames=tuple(frames), judged=judged))
        self._flushed = now

    def summarize(self) -> None:
        """One window per pipeline: a row in `summaries` and a message in the outbox."""
        watch, now = self._watch(), self._surroundings.now()
        summaries, drafts = [], []
        for place, (name, runner) in enumerate(watch.runners.items()):
            window = watch.windows[name].take(now)
            ledger = runner.account.ledger()
            body = document(window, now, difference(ledger, self._before.get(name, Ledger())))
            self._before[name] = ledger
            summaries.append(Summary(name, window.opened, now, dump(body)))
            drafts.append(self._draft(place, now, dump(body)))
        self._store.record(Batch(messages=tuple(drafts), summaries=tuple(summaries)))
        self._summed = now
        if self._publisher is not None:
            self._publisher.notify()

    def settle(self) -> None:
        """Before the pipelines are replaced or end: nothing of their accounts may be left."""
        self.summarize()
        self.flush()
        self._before.clear()

    def tell(self) -> None:
        """The retained topics: `state` for dashboards, `health` for whoever looks after it."""
        if self._publisher is None:
            return
        watch = self._watch()
        self._publisher.retained("state", {"present": present(watch)})
        reasons = [
            {"code": "source_lost", "since": rfc3339(capture.facts.since)}
            for capture in watch.captures.values()
            if capture.facts.state == "lost"
        ]
        self._publisher.retained("health", {"reasons": reasons, "expires": []})

    def _draft(self, place: int, now: float, body: str) -> Draft:
        """`place` stands for the pipeline in the id: a name may be too long for 1000 bytes."""
        identity = self._store.identity
        return Draft(
            id=f"summary/{identity.boot}/{round(now * 1000)}/{place}",
            topic="summary",
            time=now,
            body=body,
            clock=self._surroundings.clock_word,
        )

    def _rhythm(self) -> Rhythm:
        config = self._watch().config
        return Rhythm(config.store.flush_s, config.summary.every_s)


def present(watch: Watch) -> dict[str, dict[str, int]]:
    """Per pipeline how many of each label are in sight now."""
    found: dict[str, dict[str, int]] = {}
    for name, runner in watch.runners.items():
        counts: dict[str, int] = {}
        for track in runner.assembled.pipeline.tracks:
            counts[track.label] = counts.get(track.label, 0) + 1
        found[name] = dict(sorted(counts.items()))
    return found
