"""A line that is said again and again is counted, not printed: once a minute with how often.

Pure: the time is handed in. Bounded: of more different lines than `MOST` at a time the one that was
printed longest ago is forgotten, told first. `host/log.py` uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from edge_agent.frozen import frozen

SPAN_S = 60.0
MOST = 100

Line = TypeVar("Line")


@dataclass(slots=True)
class _Said(Generic[Line]):
    line: Line
    printed: float
    left_out: int = 0


@frozen
class Repeated(Generic[Line]):
    """`line` was said `times` more since it was printed, `seconds` ago."""

    line: Line
    times: int
    seconds: float


class Repeats(Generic[Line]):
    """Decides of each line whether it is printed. `key` says which lines are the same."""

    def __init__(self) -> None:
        self._said: dict[str, _Said[Line]] = {}  # longest ago first

    def due(self, now: float, *, everything: bool = False) -> tuple[Repeated[Line], ...]:
        """What was left out and is to be told now; its lines begin anew."""
        old = [
            key
            for key, said in self._said.items()
            if everything or now - said.printed >= SPAN_S or now < said.printed
        ]
        gone = [self._said.pop(key) for key in old]
        while len(self._said) >= MOST:
            gone.append(self._said.pop(next(iter(self._said))))
        return tuple(
            Repeated(said.line, said.left_out, now - said.printed) for said in gone if said.left_out
        )

    def is_news(self, now: float, key: str, line: Line) -> bool:
        """Whether to print it; otherwise it is counted. Ask `due` first."""
        said = self._said.get(key)
        if said is not None:
            said.left_out += 1
            return False
        self._said[key] = _Said(line, now)
        return True
