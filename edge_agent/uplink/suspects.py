"""Which message ends the connection? Those in flight when it fell are suspects until one is found.

Rules: a message that was in flight at two ends in a row is from then on sent alone, in a connection
that has answered before, so that no cut network and no silent path convicts it. Acknowledged, it
is cleared; what ends the connection alone `tries` times is set aside. One that was never alone is
tried first, one that has ended a connection last, so that it holds up nobody. At most one window
is remembered. Read `delivery.py` next.
"""

from __future__ import annotations

from collections.abc import Collection

#: Ends in a row, with the same message in flight, after which it is sent alone.
_ENDS = 2


class Suspects:
    """From one connection to the next. Used from the publisher's thread alone."""

    def __init__(self, tries: int) -> None:
        self._tries = tries
        self._ends: dict[int, int] = {}  # of what was in flight at the last end
        self._alone: dict[int, int] = {}  # of each suspect: the ends while it flew alone

    def __contains__(self, seq: int | None) -> bool:
        return seq in self._alone

    def untried(self) -> list[int]:
        return sorted(seq for seq, ends in self._alone.items() if not ends)

    def notorious(self) -> list[int]:
        return sorted(seq for seq, ends in self._alone.items() if ends)

    def fell(self, flying: Collection[int], alone: int | None) -> int | None:
        """The connection ended with these in flight; what is to be set aside, if anything."""
        if alone is not None:
            self._alone[alone] = self._alone.get(alone, 0) + 1
            if self._alone[alone] < self._tries:
                return None
            self.cleared(alone)
            return alone
        self._ends = {seq: self._ends.get(seq, 0) + 1 for seq in flying}
        for seq, ends in self._ends.items():
            if ends >= _ENDS:
                self._alone.setdefault(seq, 0)
        return None

    def cleared(self, seq: int) -> None:
        """The broker answered it, or the row is gone."""
        self._alone.pop(seq, None)
        self._ends.pop(seq, None)
