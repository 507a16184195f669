"""A CSV file of samples, one a line, that is read to its end. Lines are `csv_lines.py`'s affair.

A file that grows (`follow=1`), a pipe and the standard input are live: `signal_pipe.py`. Read
`csv_lines.py` next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TextIO

from edge_agent.sources.csv_lines import LONGEST_LINE, Lines, Wanted
from edge_agent.sources.signal import Block, Damage, SamplesInfo, unreadable

#: Lines that are read at a time.
LINES = 1024


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
        self._bad = 0  # lines, of the rounds before

    @property
    def notes(self) -> Mapping[str, int]:
        return {"bad_lines": self._bad + self._lines.bad}

    def open(self) -> SamplesInfo:
        """Raises UsageError when the file is not there or lacks a wanted column."""
        self.close()
        try:
            self._file = self._path.open(encoding="utf-8-sig", errors="replace")
        except OSError as fault:
            raise unreadable(self._name, self._path, fault) from None
        self._bad += self._lines.bad
        self._lines = Lines(self._wanted, self._path.name)
        self._some = False
        self._ready = deque(self._more())
        layout = self._lines.layout
        return SamplesInfo(
            rate_hz=None,
            channels=None if layout is None else len(layout.channels),
            dated=layout is not None and layout.dated,
            file=self._path.name,
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
            return [] if self._some else [Damage("no line of it is a sample")]
        found = list(self._lines.read(lines))
        self._some |= bool(found)
        return found

    def _line(self) -> str:
        assert self._file is not None
        return self._file.readline(LONGEST_LINE)
