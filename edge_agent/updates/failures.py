"""What keeps bytes from coming, as far as trust is not concerned.

`Unreachable` is worth another attempt; `NotServed` is an answer, and asking again gets the same.
"""

from __future__ import annotations

from edge_agent.errors import EdgeError

LATER = "nothing changed here; the next check tries again"


class Unreachable(EdgeError):
    """No answer, a broken one, or one that is too slow."""

    code = "unreachable"


class NotServed(EdgeError):
    """A clear no (HTTP 4xx, or a file that is not on the stick)."""

    code = "not_served"

    def __init__(self, message: str, next: str, status: int) -> None:  # noqa: A002
        super().__init__(message, next)
        self.status = status


class BudgetSpent(EdgeError):
    """`ota.max_mb_per_day`; what came is kept, and goes on tomorrow."""

    code = "budget"


class Busy(EdgeError):
    """Another check or download of this device is under way."""

    code = "busy"
