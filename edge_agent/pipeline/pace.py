"""Which frames keep a rate: the one question of the gate that needs no picture, only times.

So it can be asked before a picture is made. A source that knows the rates of its pipelines asks it
for all of them (`Paces`), decodes only what one of them will look at, and marks every frame with
the rates that it keeps; the gate goes by the mark. Where a source does not choose, the gate asks.

Rules: pure; time is the frame's own, and never runs backwards. Read `gate.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.types import Image

#: A frame may come this part of a period before it is due. Jitter does not cost a frame then, and
#: being no simple fraction, it puts no frame of a steady camera on the edge between two slots.
EARLY = 0.382


class Pace:
    """At most so many frames a second, on a grid of slots: the first frame of a slot is admitted.

    Slots keep their phase, so the average is exact for any frame rate (30 a second at 4 gives 4.0).
    A frame that comes after its slot began the next one starts a new grid, so a gap is not made
    up for by a burst.
    """

    def __init__(self) -> None:
        self._due: float | None = None  # when the current slot begins
        self._period = 0.0

    def admits(self, time: float, fps: float) -> bool:
        period = 1.0 / fps
        # When the rate changed, the slot counts from the same frame as before.
        due = time if self._due is None else self._due + period - self._period
        late = time - due
        admitted = late >= -EARLY * period
        if admitted:
            due = due + period if late < (1.0 - EARLY) * period else time + period
        self._due, self._period = due, period
        return admitted


class Paces:
    """The rates that several pipelines ask of one source; without any, every frame is wanted."""

    def __init__(self, rates: Iterable[float]) -> None:
        self._paces = {rate: Pace() for rate in rates}

    def keeps(self, time: float) -> tuple[float, ...] | None:
        """The rates that this frame keeps, for `Frame.paced`; None where no rates were asked."""
        if not self._paces:
            return None
        return tuple(rate for rate, pace in self._paces.items() if pace.admits(time, rate))


def rates_of(max_fps: Iterable[float]) -> tuple[float, ...]:
    """What pipelines with these `max_fps` ask of the source that they share: each rate once; none
    where one of them wants every frame."""
    rates = sorted(set(max_fps))
    return () if 0 in rates else tuple(rates)


def no_picture() -> Image:
    """What stands in `Frame.data` of a frame that keeps no rate."""
    import numpy as np

    return np.empty((0, 0, 3), np.uint8)
