"""The proof: of every number that a store has given, what became of it.

Pure. Law: delivered, lost, superseded, pending and missing are disjoint and together are exactly
1..highest, whatever arrived in whatever order. docs/decisions/0005-seq-and-lost.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_agent.policy import spans
from edge_agent.policy.spans import Spans
from edge_agent.policy.stick import Waiting


@dataclass(frozen=True, slots=True)
class Declared:
    """What the device said it will never send, for one reason; `counts` by topic, as told."""

    reason: str
    seqs: Spans
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Heard:
    """All that the desk knows of one store.

    `successor`: the store that took its place; `salvaged` are the numbers that were not sent then,
    and `last_known` the last one, as that store told.
    """

    delivered: Spans = ()
    lost: tuple[Declared, ...] = ()
    waiting: Waiting = Waiting()
    successor: str | None = None
    salvaged: Spans = ()
    last_known: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """`missing` was sent and is not here; `pending` the device still has, as it last told.

    Of `pending` more may be named than the device has (`pending_depth`): then so many of them are
    missing, and which is known when the rest has arrived.
    """

    highest: int
    delivered: Spans
    lost: tuple[Declared, ...]
    superseded: Spans
    pending: Spans
    pending_depth: int
    missing: Spans
    hidden: int  # missing, but not yet known which of `pending`

    @property
    def is_complete(self) -> bool:
        return not self.missing and not self.hidden


def account(heard: Heard) -> Account:
    waiting = heard.waiting
    declared = spans.joined(span for each in heard.lost for span in each.seqs)
    ends = [span[1] for span in (*heard.delivered[-1:], *declared[-1:])]
    highest = max(*ends, heard.last_known, waiting.last_seq, waiting.newest_seq or 0, 0)
    everything: Spans = ((1, highest),) if highest else ()
    rest = spans.without(spans.without(everything, heard.delivered), declared)
    superseded = spans.both(rest, heard.salvaged)
    rest = spans.without(rest, superseded)
    if heard.successor is not None:
        waiting = Waiting()  # nobody holds anything of it any more: sent and not here is missing
    pending: Spans = ()
    if waiting.oldest_seq is not None and waiting.newest_seq is not None:
        pending = spans.both(rest, ((waiting.oldest_seq, waiting.newest_seq),))
    return Account(
        highest=highest,
        delivered=heard.delivered,
        lost=_apart(heard.lost, heard.delivered),
        superseded=superseded,
        pending=pending,
        pending_depth=min(waiting.depth, spans.count(pending)),
        missing=spans.without(rest, pending),
        hidden=max(0, spans.count(pending) - waiting.depth),
    )


def _apart(lost: Sequence[Declared], delivered: Spans) -> tuple[Declared, ...]:
    """Each number under the first reason that names it; what is here after all under none."""
    taken, found = delivered, []
    for each in lost:
        seqs = spans.without(each.seqs, taken)
        taken = spans.joined(taken + seqs)
        found.append(Declared(each.reason, seqs, each.counts))
    return tuple(found)
