"""When `state` is told, within the bytes of a day: arrivals at once, leaving once it lasts.

Pure: the time is handed in, and may be of any clock that does not step. The bytes of a day flow
into a purse that holds a few hours' worth. Something that was not there before is told at once, as
long as there is anything in the purse. Whatever else changed (somebody left, there are two now) has
to differ from what was told for a while, which grows as the purse empties: a second in a quiet
house, minutes where people come and go without end. So arrivals cost nothing extra there: who comes
back meanwhile was never told to have left. The last quarter of the purse is for what appears.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

DAY_S = 86_400.0
#: So many seconds' worth of a day's bytes fit into the purse.
PURSE_S = 4 * 3600.0
#: The last part of it is for what appears.
RESERVE = 0.25
#: How long a change is waited out, with a full purse and with an empty one.
SHORTEST_S, LONGEST_S = 1.0, 600.0


class Presence:
    """What was told, and what that cost. `day_bytes` None: no limit."""

    def __init__(self, day_bytes: float | None) -> None:
        self._per_s = None if day_bytes is None else day_bytes / DAY_S
        self._most = 0.0 if self._per_s is None else self._per_s * PURSE_S
        self._purse = self._most
        self._at: float | None = None
        self._told: Mapping[str, Any] | None = None
        self._differs: float | None = None

    def is_due(self, body: Mapping[str, Any], now: float) -> bool:
        """Is this, which is so now, to be told now? To be asked every second or more often."""
        self._earn(now)
        if self._told is None:
            return True
        if body == self._told:
            self._differs = None
            return False
        if self._per_s is None:
            return True
        if self._differs is None:
            self._differs = now
        if set(named(body)) - set(named(self._told)):
            return self._purse > 0.0
        patience = self.patience_s
        return patience is not None and now - self._differs >= patience

    @property
    def patience_s(self) -> float | None:
        """How long something must have been away before that is told; None: until there is more in
        the purse."""
        full = self._purse / self._most if self._most else 1.0
        if full <= RESERVE:
            return None
        return SHORTEST_S + (LONGEST_S - SHORTEST_S) * (1.0 - full) ** 2

    def told(self, body: Mapping[str, Any], cost: int, now: float) -> None:
        """It left, for whatever reason, and was so many bytes."""
        self._earn(now)
        self._told, self._differs = body, None
        self._purse = max(-self._most, self._purse - cost)

    def _earn(self, now: float) -> None:
        if self._per_s is not None and self._at is not None:
            self._purse = min(self._most, self._purse + (now - self._at) * self._per_s)
        self._at = now


def named(body: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Everything that is there: labels in sight, in all and by zone, and rules that are open."""
    for pipeline, here in body["present"].items():
        for label, count in here["labels"].items():
            if count:
                yield pipeline, "labels", label
        for zone, labels in here["zones"].items():
            for label, count in labels.items():
                if count:
                    yield pipeline, "zones", zone, label
    for pipeline, rules in body["open"].items():
        for rule in rules:
            yield pipeline, "open", rule
