"""Who may do how much of what the heat allows: by rank, and everybody the floor.

Pure. Every pipeline has `min_fps` (or what it wants, where that is less) whatever the heat. What is
left goes to the pipelines of the highest rank until they have what they want, then to the next:
alerts starve last. Within a rank all get the same part of what they want.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from edge_agent.frozen import frozen

#: The part of its seconds that one thread is asked to infer at most.
CARRIES = 0.9


@frozen
class Demand:
    """What one pipeline would do if it were cool.

    `cost_s`: the seconds of busy threads that one inference takes with all the threads that were
    chosen for it. `single_s`: with one thread; None where it has no more, or cannot change.
    """

    pipeline: str
    rank: int  # 0 is the most urgent
    fps: float
    cost_s: float
    single_s: float | None = None

    def floor(self, min_fps: float) -> float:
        """The rate below which no heat takes it."""
        return min(self.fps, min_fps)

    def alone(self) -> Demand:
        """The same on one thread, which carries no more than it has time for."""
        if self.single_s is None:
            return self
        return replace(self, fps=min(self.fps, CARRIES / self.single_s), cost_s=self.single_s)


def wanted(demands: Sequence[Demand]) -> float:
    """Busy threads if nobody were held back."""
    return sum(demand.fps * demand.cost_s for demand in demands)


def least(demands: Sequence[Demand], min_fps: float) -> float:
    """Busy threads with everybody at the floor."""
    return sum(demand.floor(min_fps) * demand.cost_s for demand in demands)


def share(budget: float, demands: Sequence[Demand], min_fps: float) -> Mapping[str, float]:
    """The rate of each pipeline, so that together they keep at most `budget` threads busy.

    Less than the floors take is never given.
    """
    rates: dict[str, float] = {}
    left = max(0.0, budget - least(demands, min_fps))
    ranked = sorted(demands, key=lambda demand: demand.rank)
    for _, equals in groupby(ranked, key=lambda demand: demand.rank):
        peers = list(equals)
        asked = sum((each.fps - each.floor(min_fps)) * each.cost_s for each in peers)
        part = 1.0 if asked <= left else left / asked
        for each in peers:
            floor = each.floor(min_fps)
            rates[each.pipeline] = floor + part * (each.fps - floor)
        left = max(0.0, left - asked)
    return rates
