"""Is the board too hot? Asked of the model itself, where no sensor can be believed.

A hot board slows its clock down, so an inference takes more CPU time than it did (CPU time: what
other programs make it wait is no heat). Each pipeline has its own baseline, the smallest median so
far, which forgets slowly: an engine or a power mode may change for good. What the pipelines have in
common is what is believed: the least slowed of them, so one model whose inputs became harder is no
heat.

Pure: medians and time in.
"""

from __future__ import annotations

from collections.abc import Mapping

#: A baseline rises by this part a day where nothing as fast is seen any more.
FORGET_A_DAY = 0.05
DAY_S = 86400.0


class Slowness:
    """The baselines of all pipelines."""

    def __init__(self) -> None:
        self._best: dict[str, float] = {}
        self._time: float | None = None

    def look(self, time: float, step_s: Mapping[str, float]) -> float | None:
        """How many times as much as at best an inference takes, by medians; None: unknown."""
        dt = 0.0 if self._time is None else max(0.0, time - self._time)
        self._time = time
        forget = 1.0 + FORGET_A_DAY * dt / DAY_S
        ratios = []
        for pipeline, median in step_s.items():
            if median <= 0.0:
                continue
            best = min(median, self._best.get(pipeline, median) * forget)
            self._best[pipeline] = best
            ratios.append(median / best)
        self._best = {name: best for name, best in self._best.items() if name in step_s}
        return min(ratios, default=None)
