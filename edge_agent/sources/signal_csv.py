"""A CSV file of samples, one a line, that is read to its end. Lines are `csv_lines.py`'s affair.

Of bad lines the first few runs are told, of the others how many there were. A file without a sample
is one failure, and so is one that is no text; its bytes are not even looked through then.
A file that grows (`follow=1`), a pipe and the standard input are live: `signal_pipe.py`. Read
`csv_lines.py` next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TextIO

from edge_agent.config.signal_uri import quoted
from edge_agent.sources.csv_lines import LONGEST_LINE, BadLines, Lines, Wanted
from edge_agent.sources.first_bytes import TELLING, not_text
from edge_agent.sources.signal import Block, Damage, SamplesInfo, unreadable

#: Lines that are read at a time.
LINES = 1024
#: Runs of bad lines that are told one by one.
MOST_TOLD = 5


class Telling:
    """Words about the bad lines of one file: a run is told once its end is known, and none before
    the first sample."""

    def __init__(self) -> None:
        self._open: BadLines | None = None  # may go on in the next block
        self._told = 0  # runs
        self._untold = 0  # lines
        self._kept: list[Damage] = []  # until there is a sample

    def add(self, bad: BadLines) -> None:
        if self._open is not None and bad.first == self._open.last + 1:
            bad = BadLines(self._open.first, bad.last)
        elif self._open is not None:
            self._settle(self._open)
        self._open = bad

    def tell(self, upto: int, *, some: bool) -> list[Damage]:
        """What can be said once lines `upto` were read, `some` sample among them."""
        if self._open is not None and self._open.last < upto:
            self._settle(self._open)
            self._open = None
        found, self._kept = (self._kept, []) if some else ([], self._kept)
        return found

    def end(self, *, some: bool) -> list[Damage]:
        """The rest; of a file without a sample the one thing that is wrong with it."""
        if self._open is not None:
            self._settle(self._open)
            self._open = None
        if not some:
            alone = self._kept[0].reason if len(self._kept) == 1 and not self._untold else ""
            return [Damage(alone or "no line of it is a sample", fails=True)]
        if self._untold:
            more = f"line{'s are no samples' if self._untold > 1 else ' is no sample'}"
            self._kept.append(Damage(f"and {self._untold} more {more}"))
        return self._kept

    def _settle(self, bad: BadLines) -> None:
        if self._told < MOST_TOLD:
            self._told += 1
            self._kept.append(bad.damage)
        else:
            self._untold += bad.last - bad.first + 1


class CsvFile:
    """One file as samples. It waits for nobody."""

    live = False

    def __init__(self, name: str, path: Path, wanted: Wanted) -> None:
        self._name = name
        self._path = path
        self._wanted = wanted
        self._file: TextIO | None = None
        self._lines = Lines(wanted, path.name)
        self._ready: deque[Block | Damage] = deque()
        self._some = False  # whether there was a sample
        self._telling = Telling()
        self._bad = 0  # lines, of the rounds before

    @property
    def notes(self) -> Mapping[str, int]:
        return {"bad_lines": self._bad + self._lines.bad}

    def open(self) -> SamplesInfo:
        """Raises UsageError when the file is not there or lacks a wanted column."""
        self.close()
        self._bad += self._lines.bad
        self._lines, self._telling = Lines(self._wanted, self._path.name), Telling()
        self._some = False
        try:
            with self._path.open("rb") as file:
                fault = not_text(file.read(TELLING))
            self._file = None if fault else self._path.open(encoding="utf-8-sig", errors="replace")
        except OSError as failure:
            raise unreadable(self._name, self._path, failure) from None
        self._ready = deque([Damage(fault, fails=True)] if fault else self._more())
        layout = self._lines.layout
        names = self._lines.names
        time = f"time={quoted(self._wanted.time)}&" if self._wanted.time else ""
        return SamplesInfo(
            rate_hz=None,
            channels=None if layout is None else len(layout.channels),
            dated=layout is not None and layout.dated,
            file=self._path.name,
            names=tuple(map(quoted, names)),
            choosing=f"csv:{self._path}?{time}columns=",
        )

    def read(self) -> Block | Damage | None:
        while not self._ready and self._file is not None:
            self._ready.extend(self._more())
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _more(self) -> list[Block | Damage]:
        """What the next lines hold; at the end the file is closed."""
        assert self._file is not None
        lines = list(islice(iter(lambda: self._line(), ""), LINES))
        if not lines:
            self.close()
            return [*self._telling.end(some=self._some)]
        found: list[Block | Damage] = []
        for each in self._lines.read(lines):
            if isinstance(each, BadLines):
                self._telling.add(each)
            else:
                found.append(each)
        self._some |= bool(found)
        return [*found, *self._telling.tell(self._lines.number, some=self._some)]

    def _line(self) -> str:
        assert self._file is not None
        return self._file.readline(LONGEST_LINE)
