"""What is kept for "why did nothing happen?": the nearest misses, and that there were none.

Bounded, and little wear while nothing happens: one entry per rule in each ten seconds in which
something came near, else in each five minutes; one per reason of a skip in each five minutes.
"""

from __future__ import annotations

from typing import TypeAlias

from edge_agent.store.rows import Judged
from edge_agent.types import NearMiss, Outcome

NEAR_S = 10.0
QUIET_S = 300.0
#: Gate, model, and the rule's first question: a miss with no more stages than that was none.
QUIET_STAGES = 3


#: Rule or reason, seconds of the span, and which one.
_Span: TypeAlias = tuple[str, float, int]


class Journal:
    """Collects between two flushes. Only the pipeline's worker adds."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._entries: dict[_Span, Judged] = {}
        self._taken: dict[str, _Span] = {}  # the latest quiet span of each that has its entry

    def add(self, outcome: Outcome) -> None:
        if outcome.skip is not None:
            self._keep(self._skipped(outcome))
        for miss in outcome.misses:
            self._keep(self._missed(miss))

    def give_back(self, entries: tuple[Judged, ...]) -> None:
        """They could not be written; newer entries of the same span win if they are as near."""
        newer, self._entries = self._entries.values(), {}
        for entry in entries:
            self._taken.pop(_span(entry)[0], None)
        for entry in (*newer, *entries):
            self._keep(entry)

    def take(self) -> tuple[Judged, ...]:
        """Everything since the last call, in order of time."""
        entries, self._entries = self._entries, {}
        self._taken |= {span[0]: span for span in entries if span[1] == QUIET_S}
        return tuple(sorted(entries.values(), key=lambda entry: entry.time))

    def _keep(self, entry: Judged) -> None:
        """The one that came through more stages was nearer; of two equal ones the first."""
        key = _span(entry)
        if self._taken.get(key[0]) == key:
            return
        known = self._entries.get(key)
        if known is None or len(entry.decisions) > len(known.decisions):
            self._entries[key] = entry

    def _skipped(self, outcome: Outcome) -> Judged:
        frame = outcome.frame
        return Judged("skip", self._pipeline, frame.time, frame.index, (outcome.gate,))

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


def is_quiet(entry: Judged) -> bool:
    """It stands for the `QUIET_S` in which it was the first of its kind."""
    return len(entry.decisions) <= QUIET_STAGES


def _span(entry: Judged) -> _Span:
    seconds = QUIET_S if is_quiet(entry) else NEAR_S
    name = entry.rule or f"skip {entry.decisions[0].numbers.get('reason')}"
    return name, seconds, int(entry.time // seconds)
