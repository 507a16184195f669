"""What people read in a terminal: tables, ledgers, wrapped lines, all within 80 columns.

Rules: no colour and no progress bar when stdout is not a terminal or NO_COLOR is set; wide letters
(人) take their two columns; every number bears its unit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from edge_agent.config.wording import printable
from edge_agent.pipeline.why import clip, width
from edge_agent.service.moments import duration as duration
from edge_agent.types import Ledger

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80
GAP = "  "
#: A folded column keeps at least so many columns.
LEAST_FOLDED = 16
#: Holds two words together in one line; printed as an ordinary space.
GLUE = "\xa0"


def console(*, stderr: bool = False) -> Console:
    """A console that obeys NO_COLOR and is at most 80 columns wide."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # Not left to rich: FORCE_COLOR and its kin would colour what is piped.
    terminal = stream.isatty()
    made = Console(file=stream, force_terminal=terminal, highlight=False, emoji=False, markup=False)
    made.width = min(made.width, WIDTH)
    return made


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, fold: str = "") -> None:
    """Rows under headings. What is too wide is cut, but in the column `fold` it is wrapped."""
    body = [tuple(map(printable, cells)) for cells in rows]
    widths = [max(map(width, column)) for column in zip(columns, *body, strict=True)]
    place = columns.index(fold) if fold else None
    _fit(widths, place)
    if any(columns):
        (heading,) = _row(columns, widths, None)
        say(click.style(heading, bold=True) if sys.stdout.isatty() else heading)
    for cells in body:
        for line in _row(cells, widths, place):
            say(line)


def _fit(widths: list[int], fold: int | None) -> None:
    """Make columns narrower until a row fits: first the folded one, then whichever is widest."""
    room = WIDTH - len(GAP) * (len(widths) - 1)
    if fold is not None:
        widths[fold] -= max(0, min(sum(widths) - room, widths[fold] - LEAST_FOLDED))
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1


def _row(cells: Sequence[str], widths: Sequence[int], fold: int | None) -> Iterable[str]:
    """The lines of one row."""
    columns = [
        wrapped("", cell, room) if place == fold else [clip(cell, room)]
        for place, (cell, room) in enumerate(zip(cells, widths, strict=True))
    ]
    for line in zip_longest(*columns, fillvalue=""):
        padded = (
            cell + " " * (room - width(cell)) for cell, room in zip(line, widths, strict=True)
        )
        yield GAP.join(padded).rstrip()


def wrapped(head: str, text: str, columns: int = WIDTH) -> list[str]:
    """`head` and then `text` in as many lines as it takes, all below one another."""
    text = GLUE.join(map(printable, text.split(GLUE)))
    margin = " " * width(head)
    lines = [head]
    room = columns - width(head)
    used = 0
    for word in _pieces(text.split(" "), room):
        if used and used + 1 + width(word) > room:
            lines.append(margin)
            used = 0
        lines[-1] += (" " if used else "") + word
        used += bool(used) + width(word)
    return [line.replace(GLUE, " ").rstrip() for line in lines]


def _pieces(words: Iterable[str], room: int) -> Iterable[str]:
    """The words; one that no line can hold in pieces."""
    for word in words:
        piece = ""
        for letter in word:
            if width(piece + letter) > room:
                yield piece
                piece = ""
            piece += letter
        if piece:
            yield piece


def account(ledger: Ledger) -> str:
    """The whole account in one line that adds up, for `wrapped`: a number stays with its word."""
    skipped = sum(ledger.skipped.values())
    counted = [f"{reason} {count}" for reason, count in ledger.skipped.items() if count]
    reasons = f"{GLUE}({', '.join(each.replace(' ', GLUE) for each in counted)})" if counted else ""
    parts = (
        f"{ledger.captured} captured",
        f"= {ledger.inferred} inferred",
        f"+ {skipped} skipped",
        f"+ {ledger.failed} failed",
        f"+ {ledger.pending} pending",
    )
    glued = [part.replace(" ", GLUE) for part in parts]
    glued[2] += reasons
    return " ".join(glued)


def counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in numbers.items()) or "none"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 message`, `2 messages`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def say(text: str = "") -> None:
    click.echo(text)
