"""How long each stage took: bounded memory for any number of frames, exact for the first 65,536.

Beyond that every second sample is dropped and only every second (fourth, ...) new one is kept: a
systematic sample, the same one every time. The maximum is always exact.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping, Sequence

KEPT = 65_536
#: The stages of the run report, in the order of a frame's way.
STAGES = (
    "capture",
    "gate",
    "preprocess",
    "invoke",
    "decode",
    "track",
    "rules",
    "store",
    "total",
    "alert",
)


class Samples:
    """Durations of one stage, in milliseconds."""

    __slots__ = ("_seen", "_stride", "_values", "sum_ms", "worst")

    def __init__(self) -> None:
        self._values = array("f")
        self._stride = 1
        self._seen = 0
        self.worst = 0.0
        self.sum_ms = 0.0

    @property
    def seen(self) -> int:
        """How many there were, kept or not."""
        return self._seen

    def add(self, milliseconds: float) -> None:
        self.sum_ms += milliseconds
        if milliseconds > self.worst:
            self.worst = milliseconds
        if self._seen % self._stride == 0:
            self._values.append(milliseconds)
            if len(self._values) == KEPT:
                self._values = self._values[::2]
                self._stride *= 2
        self._seen += 1

    def merge(self, other: Samples) -> None:
        """Take in another run's samples; both are thinned alike first, so that each frame weighs
        the same."""
        stride = max(self._stride, other._stride)
        ours = self._values[:: stride // self._stride]
        self._values = ours + other._values[:: stride // other._stride]
        while len(self._values) >= KEPT:
            self._values, stride = self._values[::2], stride * 2
        self._stride = stride
        self._seen += other._seen
        self.sum_ms += other.sum_ms
        self.worst = max(self.worst, other.worst)

    def percentile(self, share: float) -> float:
        """Nearest rank; 0.0 without samples."""
        if not self._values:
            return 0.0
        ordered = sorted(self._values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def summary(self) -> dict[str, float] | None:
        if not self._seen:
            return None
        return {
            "p50": round(self.percentile(0.50), 3),
            "p95": round(self.percentile(0.95), 3),
            "p99": round(self.percentile(0.99), 3),
            "max": round(self.worst, 3),
        }


class Meter:
    """The stages of one pipeline. Only its worker writes. It travels between processes."""

    def __init__(self) -> None:
        self._stages = {stage: Samples() for stage in STAGES}

    def add(self, seconds: Mapping[str, float]) -> None:
        """One frame's laps, and their sum as `total`."""
        total = 0.0
        for stage, duration in seconds.items():
            self._stages[stage].add(duration * 1000)
            total += duration
        self._stages["total"].add(total * 1000)

    def add_one(self, stage: str, seconds: float) -> None:
        self._stages[stage].add(seconds * 1000)

    @classmethod
    def merged(cls, meters: Sequence[Meter]) -> Meter:
        """What one meter would hold that had seen the frames of all of them."""
        whole = cls()
        for meter in meters:
            for stage, samples in meter._stages.items():
                whole._stages[stage].merge(samples)
        return whole

    def p50(self, stage: str) -> float:
        return self._stages[stage].percentile(0.50)

    def sum(self, stage: str) -> tuple[int, float]:
        """How many times that stage was passed, and the seconds that it took in all."""
        samples = self._stages[stage]
        return samples.seen, samples.sum_ms / 1000

    def summary(self) -> dict[str, dict[str, float] | None]:
        return {stage: samples.summary() for stage, samples in self._stages.items()}


class Effort:
    """What the inferences of one pipeline take of the processor. Only its worker writes."""

    RECENT = 51

    def __init__(self, threads: int) -> None:
        self._steps: deque[float] = deque(maxlen=self.RECENT)
        self._costs: dict[int, deque[float]] = {}  # by the number of threads
        self.use(threads)
        self.spent_s = 0.0  # busy thread-seconds of all inferences so far

    def add(self, cpu_s: float, invoke_s: float) -> None:
        """One inferred frame: CPU time of the worker's own thread, and how long the invoke took.

        CPU time, because other programs make an invoke wait, and heat makes it slow.
        """
        cost = cpu_s + invoke_s * (self._threads - 1)
        self._steps.append(cpu_s)
        self._costs[self._threads].append(cost)
        self.spent_s += cost

    def use(self, threads: int) -> None:
        """The model runs on so many threads from now on."""
        self._threads = threads
        if threads not in self._costs:
            known = {**self._costs, threads: deque[float](maxlen=self.RECENT)}
            self._costs = known  # another thread may be reading

    def cost_s(self, threads: int | None = None) -> float | None:
        """Busy thread-seconds of an inference with so many threads (None: those of now), the median
        of the last ones; None: not yet known."""
        return _median(self._costs.get(self._threads if threads is None else threads, deque()))

    def step_s(self) -> float | None:
        """The CPU time of one inferred frame in the worker's own thread, the same way."""
        return _median(self._steps)


class Rate:
    """How many a second lately: over the last ten seconds, or the last 500 of them."""

    SPAN_S = 10.0

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=500)

    def add(self, time: float) -> None:
        self._times.append(time)

    def per_second(self, now: float) -> float:
        recent = [time for time in tuple(self._times) if now - time <= self.SPAN_S]
        if len(recent) == self._times.maxlen:
            return len(recent) / max(now - recent[0], 1e-6)
        return len(recent) / self.SPAN_S


def _median(values: deque[float]) -> float | None:
    ordered = sorted(values.copy())
    return ordered[len(ordered) // 2] if ordered else None
