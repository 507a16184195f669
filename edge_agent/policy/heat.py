"""What a board's temperature is made of, learned while it works: a fast part of ours, and the rest.

    temperature = gain x lag(busy) + slow

`busy` are the threads that our inferences keep busy, measured. The die follows it within seconds;
`gain` (K per busy thread) is learned from what the temperature did after a change of rate. `slow`
is everything else: the case, the air, the sun, other programs. It is followed with its trend by an
alpha-beta filter (Kalata, IEEE Trans. AES 20, 1984), and a fast rise that is not ours by the
difference of two short means. No constant here belongs to one board.

Pure: readings, busy threads and time in. Read `thermal.py` next, which decides by it.
"""

from __future__ import annotations

import math

#: The die and its package follow the processor's power within about so long.
LAG_S = 15.0
#: The filter of the slow part: noise of 0.2 C leaves 0.04 C of it, and a trend good to 0.03 C/min.
FILTER_S = 25.0
#: Before anything was learned: a passively cooled board of some watts.
FIRST_GAIN = 4.0
SMALLEST_GAIN, LARGEST_GAIN = 0.2, 20.0
#: What a change of rate did is read off after so long, in means of `MEAN_S`.
ANSWER_S, MEAN_S = 50.0, 8.0
#: What was learned long ago counts less: by this part for each new lesson.
FORGET = 0.9
#: A rise that is not ours: the means that show it, from which slope on (K/s), how long it goes on.
QUICK_S, QUIET_S = 2.0, 6.0
RISE_FROM, RISE_S = 0.08, 20.0
#: A residual of more than this (K, over `RESIDUAL_S`) is a jump: the filter follows it faster.
JUMP_C, RESIDUAL_S = 0.7, 3.0
#: After a gap of readings longer than this nothing is known of trends.
GAP_S = 30.0


class Lag:
    """A first-order lag of a series that comes in any rhythm."""

    __slots__ = ("_over_s", "value")

    def __init__(self, over_s: float, value: float) -> None:
        self._over_s = over_s
        self.value = value

    def follow(self, value: float, dt: float) -> float:
        self.value += (value - self.value) * -math.expm1(-dt / self._over_s)
        return self.value


class Gain:
    """K per busy thread, from one lesson per change of rate."""

    def __init__(self) -> None:
        self.value = FIRST_GAIN
        self._sums = (
            0.5 * FIRST_GAIN,
            0.5,
        )  # weighted sum, weight
        self._lesson: tuple[float, float, float, float] | None = None

    def begin(self, time: float, celsius: float, busy: float, trend: float) -> None:
        """The rate changes now; these are the means before it."""
        self._lesson = (time, celsius, busy, trend)

    def spoil(self) -> None:
        """Something else heats the board: what follows teaches nothing of us."""
        self._lesson = None

    def learn(self, time: float, celsius: float, busy: float) -> None:
        """The means of this moment."""
        if self._lesson is None or time - self._lesson[0] < ANSWER_S:
            return
        began, before, busy_before, trend = self._lesson
        self._lesson = None
        change = busy - busy_before
        if abs(change) < 0.02:
            return
        seen = (celsius - before - trend * (time - began)) / change
        seen = min(2.0 * self.value, max(0.5 * self.value, seen))
        weight = 4.0 * change * change
        total, weights = self._sums
        self._sums = (FORGET * total + weight * seen, FORGET * weights + weight)
        self.value = min(LARGEST_GAIN, max(SMALLEST_GAIN, self._sums[0] / self._sums[1]))


class Heat:
    """The estimate of one board. `follow` takes a reading; the rest says what it makes of it."""

    def __init__(self, time: float, celsius: float, busy: float) -> None:
        self.gain = Gain()
        self._time = time
        self._ours = Lag(LAG_S, busy)
        self._using = Lag(RESIDUAL_S, busy)
        self._means = (Lag(MEAN_S, celsius), Lag(MEAN_S, busy))
        self._residual = Lag(RESIDUAL_S, 0.0)
        self._begin(celsius - self.gain.value * busy)

    def _begin(self, slow: float) -> None:
        self._slow, self._trend = slow, 0.0
        self._short = (Lag(QUICK_S, slow), Lag(QUIET_S, slow))
        self._residual.value = 0.0

    def follow(self, time: float, celsius: float, busy: float) -> None:
        """A reading, and the threads that were busy since the one before."""
        dt = time - self._time
        if dt <= 0.0:
            return
        self._time = time
        ours = self._ours.follow(busy, dt)
        self._using.follow(busy, dt)
        self._learn(time, celsius, dt)
        rest = celsius - self.gain.value * ours
        if dt > GAP_S:
            self.gain.spoil()
            self._begin(rest)
            return
        for mean in self._short:
            mean.follow(rest, dt)
        self._filter(rest, dt)

    def changes(self) -> None:
        """The rate changes now: what follows teaches something."""
        celsius, busy = self._means
        self.gain.begin(self._time, celsius.value, busy.value, self._trend)

    def present(self) -> float:
        """The temperature without the sensor's noise; of a fast rise, where it will end."""
        return self._top() + self.gain.value * self._ours.value

    def ahead(self, busy: float, seconds: float) -> float:
        """The highest temperature within so many seconds with so many threads busy."""
        return self._top() + seconds * max(0.0, self._trend) + self.gain.value * busy

    def room(self, celsius: float, seconds: float) -> float:
        """The threads that may be busy so that it stays below `celsius` for so long."""
        return (celsius - self.ahead(0.0, seconds)) / self.gain.value

    @property
    def using(self) -> float:
        """The threads that are busy at present, over some seconds."""
        return max(self._using.value, self._ours.value)

    # --- below -----------------------------------------------------------------------------------

    def _top(self) -> float:
        quick, quiet = self._short
        slope = (quick.value - quiet.value) / (QUIET_S - QUICK_S)
        if slope <= RISE_FROM:
            return self._slow
        return max(self._slow, quick.value + RISE_S * slope)

    def _learn(self, time: float, celsius: float, dt: float) -> None:
        means = self._means
        means[0].follow(celsius, dt)
        means[1].follow(self._ours.value, dt)
        before = self.gain.value
        self.gain.learn(time, means[0].value, means[1].value)
        if self.gain.value != before:  # the same temperature, split up another way
            moved = (self.gain.value - before) * self._ours.value
            self._slow -= moved
            for mean in self._short:
                mean.value -= moved

    def _filter(self, rest: float, dt: float) -> None:
        """Alpha-beta, critically damped; after a jump the level follows and the trend hardly."""
        theta = math.exp(-dt / FILTER_S)
        alpha, beta = 1.0 - theta * theta, (1.0 - theta) ** 2
        guess = self._slow + self._trend * dt
        residual = rest - guess
        if abs(self._residual.follow(residual, dt)) > JUMP_C:
            self.gain.spoil()
            alpha, beta = max(alpha, 0.4), 0.3 * beta
        self._slow = guess + alpha * residual
        self._trend += beta * residual / dt
