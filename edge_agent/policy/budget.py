"""What leaves in a day is counted, and when a day's bytes are spent only what is urgent leaves.

Pure: the time is handed in, on a clock that does not step. A day is any twenty-four hours, not a
date: no clock needs to be right for it, and a device that restarts or thinks that it is 1970 gets
no second helping. Bytes are kept by the half hour in which they left; each half hour counts for a
day after its end. Once spent, it stays so until a twentieth is free again, so that it does not open
and close with every message. What is urgent leaves in any case, and is counted too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DAY_S = 86_400.0
ROOM_S = 1800.0
#: It opens again when no more than this share is spent.
OPENS = 0.95


class Budget:
    """The account of one device."""

    def __init__(self, day_bytes: float) -> None:
        self.day_bytes = day_bytes
        self.total = 0
        self.spent_since: float | None = None
        self._rooms: list[list[float]] = []  # when a half hour began, and its bytes; oldest first

    def sent(self, size: int, now: float) -> None:
        """So many bytes left."""
        if not self._rooms or now - self._rooms[-1][0] >= ROOM_S:
            self._rooms.append([now, 0])
        self._rooms[-1][1] += size
        self.total += size
        self.is_spent(now)

    def is_spent(self, now: float) -> bool:
        while self._rooms and now - self._rooms[0][0] >= ROOM_S + DAY_S:
            self.total -= int(self._rooms.pop(0)[1])
        if self.spent_since is None and self.total >= self.day_bytes:
            self.spent_since = now
        elif self.spent_since is not None and self.total <= OPENS * self.day_bytes:
            self.spent_since = None
        return self.spent_since is not None

    def opens(self, now: float) -> float | None:
        """When it opens again if nothing more leaves; None while it is open."""
        if not self.is_spent(now):
            return None
        total, at = float(self.total), now
        for began, size in self._rooms:
            if total <= OPENS * self.day_bytes:
                break
            total, at = total - size, began + ROOM_S + DAY_S
        return at

    def document(self, now: float, life: float) -> dict[str, Any]:
        """To be kept; `life`: how old the store is now, in seconds."""
        rooms = [[round(now - began), round(size)] for began, size in self._rooms]
        spent = None if self.spent_since is None else round(now - self.spent_since)
        return {"life": round(life), "rooms": rooms, "spent": spent}


def restored(day_bytes: float, kept: Mapping[str, Any], now: float, life: float) -> Budget:
    """As it was kept, grown older by what the store did meanwhile."""
    budget = Budget(day_bytes)
    away = max(0.0, life - kept.get("life", life))
    budget._rooms = [[now - away - age, size] for age, size in kept.get("rooms", ())]
    budget.total = sum(int(size) for _, size in budget._rooms)
    spent = kept.get("spent")
    budget.spent_since = None if spent is None else now - away - spent
    budget.is_spent(now)
    return budget
