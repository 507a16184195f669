"""What will never be sent, told so that a receiver can prove that it has everything else.

Pure. docs/decisions/0005-seq-and-lost.md has the law.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from edge_agent.policy import spans

Reason: TypeAlias = Literal["quota", "folded", "refused", "erased", "salvage", "budget"]


def lost_document(
    rows: Sequence[tuple[int, str]], reason: Reason, previous_store: str | None = None
) -> dict[str, Any]:
    """The body of a `lost` message for (seq, topic) rows that are dropped."""
    counts = Counter(topic for _, topic in rows)
    return {
        "ranges": ranges(seq for seq, _ in rows),
        "counts": dict(sorted(counts.items())),
        "reason": reason,
        "previous_store": previous_store,
    }


def merged_document(
    newer: dict[str, Any], older: dict[str, Any], older_seq: int
) -> dict[str, Any] | None:
    """The newer declaration with all that the older one says, and with the older one itself,
    which is then never sent; None where their reasons differ or a store before this is named."""
    if newer["reason"] != older["reason"] or newer["previous_store"] or older["previous_store"]:
        return None
    own = [older_seq, older_seq]
    ranges = ((first, last) for first, last in (*newer["ranges"], *older["ranges"], own))
    counts = Counter(newer["counts"]) + Counter(older["counts"]) + Counter({"lost": 1})
    return newer | {
        "ranges": spans.document(spans.joined(ranges)),
        "counts": dict(sorted(counts.items())),
    }


def ranges(seqs: Iterable[int]) -> list[list[int]]:
    """[first, last] pairs that cover exactly these numbers, ascending."""
    return spans.document(spans.of(seqs))
