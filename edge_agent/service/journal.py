"""What is kept for "why did nothing happen?": the nearest miss and the skips of each ten seconds.

Bounded: one entry per rule, and one per reason of a skip, in each span of `SPAN_S`.
"""

from __future__ import annotations

from edge_agent.store.rows import Judged
from edge_agent.types import NearMiss, Outcome

SPAN_S = 10.0


class Journal:
    """Collects between two flushes. Only the pipeline's worker adds."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._entries: dict[tuple[str, str, int], Judged] = {}

    def add(self, outcome: Outcome) -> None:
        frame = outcome.frame
        span = int(frame.time // SPAN_S)
        if outcome.skip is not None:
            key = ("skip", outcome.skip.value, span)
            if key not in self._entries:
                self._entries[key] = Judged(
                    "skip", self._pipeline, frame.time, frame.index, (outcome.gate,)
                )
        for miss in outcome.misses:
            key = ("miss", miss.rule, span)
            known = self._entries.get(key)
            # The one that came through more stages was nearer; of two equal ones the first.
            if known is None or len(miss.decisions) > len(known.decisions):
                self._entries[key] = self._missed(miss)

    def give_back(self, entries: tuple[Judged, ...]) -> None:
        """They could not be written; newer entries of the same span win."""
        for entry in entries:
            name = entry.rule or str(entry.decisions[0].verdict)
            self._entries.setdefault((entry.kind, name, int(entry.time // SPAN_S)), entry)

    def take(self) -> tuple[Judged, ...]:
        """Everything since the last call, in order of time."""
        entries, self._entries = self._entries, {}
        return tuple(sorted(entries.values(), key=lambda entry: entry.time))

    def _missed(self, miss: NearMiss) -> Judged:
        return Judged(
            "miss",
            self._pipeline,
            miss.time,
            miss.frame,
            miss.decisions,
            rule=miss.rule,
            track=miss.track,
            label=miss.label,
        )
