"""The proof as JSON (`gaps/1`) and in words. Read `completeness.py` for what the words mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from edge_agent.cli.render import plural, wrapped
from edge_agent.policy import spans
from edge_fleet.archive import Stream
from edge_fleet.completeness import Account, account


def is_complete(streams: Sequence[Stream]) -> bool:
    """Nothing is missing, and no number means two things."""
    return all(account(each.heard).is_complete and not each.conflicts for each in streams)


def document(streams: Sequence[Stream], refused: int) -> dict[str, Any]:
    return {
        "schema": "gaps/1",
        "complete": is_complete(streams),
        "devices": [
            {"device": device, "stores": [_store(each) for each in stores]}
            for device, stores in groupby(streams, lambda each: each.device)
        ],
        "refused": refused,
    }


def words(streams: Sequence[Stream], refused: int) -> Iterator[str]:
    """The whole report, line by line."""
    if not streams:
        yield "nothing was received yet"
    for device, stores in groupby(streams, lambda each: each.device):
        yield f"device {device}"
        for each in stores:
            yield from _lines(each)
    if refused:
        yield f"{plural(refused, 'payload')} that was no message: table refused"
    if streams:
        yield "complete" if is_complete(streams) else "NOT complete"


def _store(stream: Stream) -> dict[str, Any]:
    found = account(stream.heard)
    return {
        "store": stream.store,
        "highest": found.highest,
        "delivered": _counted(found.delivered),
        "lost": [
            {**_counted(each.seqs), "reason": each.reason, "counts": dict(each.counts)}
            for each in found.lost
        ],
        "superseded": {**_counted(found.superseded), "by": stream.heard.successor},
        "pending": {**_counted(found.pending), "depth": found.pending_depth},
        "missing": {**_counted(found.missing), "hidden": found.hidden},
        "conflicts": stream.conflicts,
    }


def _counted(seqs: spans.Spans) -> dict[str, Any]:
    return {"messages": spans.count(seqs), "ranges": spans.document(seqs)}


def _lines(stream: Stream) -> Iterator[str]:
    found = account(stream.heard)
    yield f"  store {stream.store}, numbers 1 to {found.highest}"
    yield from _line("delivered", found.delivered)
    for each in found.lost:
        if each.seqs:
            told = ", ".join(f"{number} {topic}" for topic, number in sorted(each.counts.items()))
            yield from _line("lost", each.seqs, f"declared: {each.reason}, {told or 'uncounted'}")
    if found.superseded:
        yield from _line("superseded", found.superseded, f"by store {stream.heard.successor}")
    if found.pending:
        yield from _line("pending", found.pending, f"the device has {found.pending_depth} of them")
    yield from _missing(found)
    if stream.conflicts:
        yield from wrapped(
            "    conflicts   ",
            f"{stream.conflicts}: two messages bear one number; the store was copied, or"
            " restored from a backup (table conflicts)",
        )


def _missing(found: Account) -> Iterator[str]:
    if found.missing:
        yield from _line("MISSING", found.missing)
    if found.hidden:
        yield from wrapped("    MISSING     ", f"{found.hidden} of the pending ones, too")


def _line(word: str, seqs: spans.Spans, more: str = "") -> Iterator[str]:
    if seqs:
        text = f"{spans.count(seqs)}: {spans.text(seqs)}" + (f" ({more})" if more else "")
        yield from wrapped(f"    {word:<11} ", text)
