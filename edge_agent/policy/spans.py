"""Numbers as spans `(first, last)`, both included: which seqs are there, and which are not.

Pure. A `Spans` is ascending, disjoint, and no two of it touch, so equal sets are equal values; what
a stick holds, what a receipt confirms and what a receiver misses are all of this form. `parse`
reads what others wrote. Read `policy/stick.py` next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]
Spans: TypeAlias = tuple[Span, ...]

#: SQLite's largest integer: no seq is beyond it.
LARGEST = 2**63 - 1


def joined(spans: Iterable[Span]) -> Spans:
    """Any spans, in any order, as one `Spans` that covers exactly the same numbers."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def of(numbers: Iterable[int]) -> Spans:
    """The spans that cover exactly these numbers."""
    return joined((number, number) for number in set(numbers))


def without(spans: Spans, others: Spans) -> Spans:
    """What is in `spans` and not in `others`."""
    left: list[Span] = []
    place = 0
    for first, last in spans:
        while place < len(others) and others[place][1] < first:
            place += 1
        at = place
        while at < len(others) and others[at][0] <= last:
            if first < others[at][0]:
                left.append((first, others[at][0] - 1))
            first = others[at][1] + 1
            at += 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def both(spans: Spans, others: Spans) -> Spans:
    """What is in `spans` and in `others`."""
    return without(spans, without(spans, others))


def count(spans: Spans) -> int:
    """How many numbers it covers."""
    return sum(last - first + 1 for first, last in spans)


def has(spans: Spans, number: int) -> bool:
    place = bisect_right(spans, (number, LARGEST))
    return place > 0 and number <= spans[place - 1][1]


def numbers(spans: Spans) -> Iterator[int]:
    """Every number of it, ascending."""
    for first, last in spans:
        yield from range(first, last + 1)


def text(spans: Spans, most: int = 8) -> str:
    """`1-4, 9, 12-13` for people; beyond `most` spans how many numbers more."""
    words = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:most]]
    if len(spans) > most:
        words.append(f"and {count(spans[most:])} more")
    return ", ".join(words) or "none"


def document(spans: Spans) -> list[list[int]]:
    """As it stands in JSON."""
    return [list(span) for span in spans]


def parse(document: Any) -> Spans:
    """From JSON that somebody else wrote. Raises ValueError for anything but [[first, last], ...].

    Ascending and disjoint is not asked for: two declarations may overlap.
    """
    if not isinstance(document, list):
        raise ValueError("ranges are a list of [first, last]")
    for pair in document:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_seq, pair))):
            raise ValueError(f"a range is [first, last], not {str(pair)[:40]}")
        if pair[0] > pair[1]:
            raise ValueError(f"the range {pair} ends before it begins")
    return joined((first, last) for first, last in document)


def _is_seq(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST
