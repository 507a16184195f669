"""Does a source deliver? What `sources test` and `sources snapshot` find out, of every kind.

It is opened, read and reopened as the agent does it, and everything that comes is measured: how
often, how evenly, how bright, how sharp. Rate and jitter are of the items' own times. Read
`named.py` for which source, `capture.py` for what the agent does with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from edge_agent.errors import EdgeError, SourceLost
from edge_agent.ports import Noting, Source
from edge_agent.types import Broken, Frame, SourceInfo

if TYPE_CHECKING:
    from edge_agent.types import Array, Image

#: A lost source is tried again after this.
RETRY_S = 1.0
#: A picture is looked at closely at most so often: looking must not slow down what is measured.
LOOK_S = 0.5
#: Sharpness is measured at this width, so that cameras compare.
SHARP_WIDTH = 640
#: Grey levels up to and from which a pixel has lost its detail.
CLIPPED = (4, 251)
#: A camera settles its exposure within this time.
SETTLING_S = 1.5
#: Beyond these a person is told what to do.
DARK, BRIGHT, BURNT, SOFT, SLOW = 25.0, 230.0, 0.25, 20.0, 0.8


@dataclass(slots=True)
class Delivery:
    """What came of a source while it was watched. Times of items are the source's own."""

    seconds: float  # of watching that are wanted
    until: float  # when they are over, monotonic
    stated: SourceInfo = SourceInfo(None, None, None, None)
    opened_s: float | None = None  # how long it took to open; None: it never did
    watched_s: float = 0.0  # while it was open
    times: list[float] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)  # of live items, when they were handed over
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # as `_size` has them
    looks: list[dict[str, float]] = field(default_factory=list)  # one a picture or window looked at
    broken: int = 0
    damage: str = ""  # what was wrong with the latest broken item
    losses: list[EdgeError] = field(default_factory=list)
    lost: bool = True  # at the end
    ended: bool = False
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def delivers(self) -> bool:
        return bool(self.times) and not self.lost

    @property
    def reason(self) -> str | None:
        """Why it does not deliver, or did not for a while; None where nothing is wrong."""
        if self.losses:
            return self.losses[-1].message
        if self.times:
            return None
        return self.damage or "it has nothing to read"

    @property
    def span_s(self) -> float:
        """From the first item to the last, in the source's own time."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    def is_over(self, live: bool) -> bool:
        return monotonic() >= self.until if live else self.span_s >= self.seconds


def probe(source: Source, seconds: float) -> Delivery:
    """Watch a source for so long, from its first opening on; a recorded one for so much of its own
    time. Raises UsageError as `open` does."""
    found = Delivery(seconds, monotonic() + seconds)
    while not found.ended:
        began = monotonic()
        try:
            found.stated = source.open()
            if found.opened_s is None:
                found.opened_s = monotonic() - began
                found.until = monotonic() + seconds
            _watch(source, found)
        except SourceLost as loss:
            found.losses.append(loss)
            found.lost = True
        finally:
            source.close()
        if found.is_over(source.live) or monotonic() + RETRY_S >= found.until:
            break
        sleep(RETRY_S)
    found.notes = source.notes if isinstance(source, Noting) else {}
    return found


def first_picture(source: Source) -> Frame:
    """A picture to aim by: of a live camera one after its exposure has settled.

    Raises EdgeError where there is none.
    """
    try:
        return _first_picture(source)
    except SourceLost as loss:
        message = f"source {source.name} has no picture: {loss.message}"
        raise SourceLost(message, loss.next) from None
    finally:
        source.close()


def _first_picture(source: Source) -> Frame:
    source.open()
    until = monotonic() + (SETTLING_S if source.live else 0.0)
    reason = "it has nothing to read"
    while (item := source.read()) is not None:
        if isinstance(item, Broken):
            reason = item.reason
        elif monotonic() >= until:
            return item
    raise SourceLost(reason, "look at what stands behind its uri")


def _watch(source: Source, found: Delivery) -> None:
    """Take down what comes until the time is over, or until the end."""
    found.lost = False
    looked = monotonic() - LOOK_S
    while not found.is_over(source.live) and not found.ended:
        now = monotonic()
        item = source.read()
        found.watched_s += monotonic() - now
        if isinstance(item, Frame):
            _take_down(item, found, source.live)
            if now - looked >= LOOK_S:
                looked = now
                found.looks.append(_look(item.data))
        if isinstance(item, Broken):
            found.broken += item.counted
            found.damage = item.reason
        found.ended = item is None


def _take_down(frame: Frame, found: Delivery, live: bool) -> None:
    found.times.append(frame.time)
    found.sizes[_size(frame.data)] += 1
    if live:
        found.ages_s.append(monotonic() - frame.time)


def _size(data: Array) -> tuple[int, int]:
    """Width and height of a picture, samples and channels of a window."""
    first, second = data.shape[:2]
    return (second, first) if data.ndim == 3 else (first, second)


def _look(data: Array) -> dict[str, float]:
    return _picture(data) if data.ndim == 3 else _window(data)


def _picture(image: Image) -> dict[str, float]:
    """Mean grey level, share of pixels that lost shadows or lights, variance of the Laplacian."""
    import cv2

    height, width = image.shape[:2]
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    low, high = CLIPPED
    small = cv2.resize(
        gray,
        (SHARP_WIDTH, max(1, round(height * SHARP_WIDTH / width))),
        interpolation=cv2.INTER_AREA if width > SHARP_WIDTH else cv2.INTER_LINEAR,
    )
    return {
        "brightness": float(gray.mean()),
        "shadows": float((gray <= low).mean()),
        "lights": float((gray >= high).mean()),
        "sharpness": float(cv2.Laplacian(small, cv2.CV_64F).var()),
    }


def _window(samples: Array) -> dict[str, float]:
    """Mean, RMS about it and peak over all channels, in the sensor's own units."""
    import numpy as np

    mean = float(np.nanmean(samples))
    return {
        "mean": mean,
        "rms": float(np.sqrt(np.nanmean((samples - np.nanmean(samples, axis=0)) ** 2))),
        "peak": float(np.nanmax(np.abs(samples))),
    }


# --- what is said of it --------------------------------------------------------------------------


def document(name: str, kind: str, found: Delivery) -> dict[str, Any]:
    """`source-test/1`."""
    rate, jitter_s, gap_s = _rhythm(found)
    return {
        "schema": "source-test/1",
        "source": name,
        "kind": kind,
        "delivers": found.delivers,
        "reason": found.reason,
        "opened_s": _rounded(found.opened_s),
        "watched_s": _rounded(found.watched_s),
        "items": len(found.times),
        "broken": found.broken,
        "losses": len(found.losses),
        "ended": found.ended,
        "rate": _rounded(rate),
        "stated_rate": _rounded(found.stated.fps),
        "jitter_ms": _rounded(None if jitter_s is None else 1000 * jitter_s),
        "longest_gap_s": _rounded(gap_s),
        "age_ms": _rounded(1000 * _middle(found.ages_s) if found.ages_s else None),
        "sizes": [list(size) for size, _ in found.sizes.most_common()],
        "look": _typical(found.looks),
        "notes": dict(found.notes),
        "advice": advice(found),
    }


def advice(found: Delivery) -> list[str]:
    """What a person should do about what was measured."""
    said = [loss.next for loss in found.losses[-1:] if loss.next]
    rate, _, _ = _rhythm(found)
    stated = found.stated.fps
    if rate and stated and rate < SLOW * stated and not found.losses:
        said.append(
            f"{rate:.1f} a second come of {stated:.1f}: lower its size or its rate, "
            "or look at the network"
        )
    look = _typical(found.looks) or {}
    if look.get("brightness", 128.0) < DARK:
        said.append("the picture is dark: is the lens covered, is there light?")
    if look.get("brightness", 128.0) > BRIGHT or look.get("lights", 0.0) > BURNT:
        said.append("the lights are burnt out: turn it away from the light, lower its exposure")
    if look.get("sharpness", SOFT) < SOFT:
        said.append("the picture is not sharp: clean the lens, set its focus")
    return said


def _rhythm(found: Delivery) -> tuple[float | None, float | None, float | None]:
    """Items a second, the 95th percentile of the deviation from the median interval, the longest
    interval in seconds."""
    gaps = [after - before for before, after in pairwise(found.times)]
    if found.span_s <= 0:
        return None, None, None
    usual = _middle(gaps)
    off = sorted(abs(gap - usual) for gap in gaps)
    return len(gaps) / found.span_s, off[int(0.95 * (len(off) - 1))], max(gaps)


def _typical(looks: list[dict[str, float]]) -> dict[str, float] | None:
    """The median of each figure."""
    if not looks:
        return None
    return {word: round(_middle([look[word] for look in looks]), 4) for word in looks[-1]}


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
