"""One source's thread: open, read, hand on the newest frame; when it is lost, come back for ever.

Rules: open and read are bounded by the source itself. A lost source is closed and opened again
after a back-off with jitter, which costs no CPU while it waits; the pipelines are told how long
nobody watched. A recorded source is played at its own pace, as a camera would deliver it. A live
frame keeps the moment at which it was taken, on the agent's clock; a recorded one gets the moment
at which it is handed on. Each gets the next number of this start of the agent: numbers go on over
losses and reloads, because event ids are made of them. Read `worker.py` next.
"""

from __future__ import annotations

import logging
import math
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from time import monotonic

from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.backoff import Backoff
from edge_agent.policy.vigil import Beat
from edge_agent.ports import Noting, Source
from edge_agent.service.slot import NewestFrame
from edge_agent.types import Broken, Frame

log = logging.getLogger("edge_agent.capture")

#: A recorded source with no rate of its own is played at this one.
DEFAULT_FPS = 10.0
#: A camera that comes back is seen again within this time.
LONGEST_BACKOFF_S = 30.0
#: A broken item of a live source that is like one before is told again after this.
TELL_AGAIN_S = 60.0
MOST_TOLD = 100
_DIGITS = re.compile(r"\d+")
#: Beyond what a source is allowed by its own time-outs: it clears up, a process ends.
GRACE_S = 15.0
#: A recorded source is never held longer than this between two looks at the stop event.
LONGEST_HOLD_S = 0.5


@frozen
class SourceFacts:
    """What `status` says of a source."""

    state: str = "opening"  # opening, delivering, lost, ended
    since: float = 0.0
    frames: int = 0
    failed: int = 0
    losses: int = 0
    latest: float = 0.0  # when the latest frame was handed on
    period_s: float | None = None  # between two frames, where the source says it
    reason: str = ""  # of the loss, and what to do about it
    next: str = ""
    notes: Mapping[str, int] = field(default_factory=dict)  # gaps, bad lines, ... by words


class Capture:
    """Reads one source for all the pipelines that look at it: it is decoded once."""

    def __init__(
        self,
        source: Source,
        slots: tuple[NewestFrame, ...],
        now: Callable[[], float],
        numbers: Iterator[int],
        bound_s: float = 0.0,
    ) -> None:
        """`bound_s` is the longest that the source's own time-outs let an open or a read take."""
        self._source = source
        self._within_s = bound_s + GRACE_S
        self.beat = Beat(f"source {source.name}", renewable=True)
        self._slots = slots
        self._now = now
        self._numbers = numbers
        self._last_item = now()  # that was a frame
        self._taken = -math.inf  # the latest time given to an item: none steps back
        self._told: dict[tuple[str, str], float] = {}  # of broken items: when, by name and kind
        self._facts = SourceFacts(since=now())

    @property
    def facts(self) -> SourceFacts:
        """As they are now: a signal may count gaps for long without delivering a window."""
        notes = self._source.notes if isinstance(self._source, Noting) else {}
        return replace(self._facts, notes=dict(notes))

    def run(self, stop: threading.Event) -> None:
        """Until the stop event, or the end of a recorded source."""
        backoff = Backoff(cap_s=LONGEST_BACKOFF_S)
        while not stop.is_set():
            opened = self._now()
            try:
                self._watch(stop)
                return
            except EdgeError as loss:  # also a file that is not there: it may come
                if stop.is_set():
                    return  # it was woken
                self._lost(loss)
            finally:
                self._source.close()
            # Only time in which it delivered counts, not the time that it took to be refused.
            backoff = backoff.ended(self._last_item - opened)
            pause_s = backoff.delay(random.random())
            self.beat.begin("pausing before it is opened again", pause_s + GRACE_S)
            stop.wait(pause_s)

    def wake(self) -> None:
        """From another thread, with the stop event set: wait no longer for what may never come."""
        if self._source.live:
            self._source.close()

    def _watch(self, stop: threading.Event) -> None:
        """Open and read until the end of the input or the stop event."""
        self.beat.begin("opening it", self._within_s)
        info = self._source.open()
        self._facts = replace(self._facts, period_s=1.0 / info.fps if info.fps else None)
        pace = 0.0 if self._source.live else 1.0 / (info.fps or DEFAULT_FPS)
        due = self._now()
        while not stop.is_set():
            self.beat.begin("reading it", self._within_s)
            item = self._source.read()
            if item is None:
                self._ended()
                return
            if isinstance(item, Broken) and not item.counted:
                self._tell(item, self._now())
                continue
            while (wait := due - self._now()) > 0 and not stop.wait(min(wait, LONGEST_HOLD_S)):
                self.beat.begin("holding it to its pace", GRACE_S)
            # A slow decoder must not be followed by a burst: the pace starts again from now.
            due = max(due, self._now() - pace) + pace
            self._hand_on(item)

    def _hand_on(self, item: Frame | Broken) -> None:
        now = self._now()
        broken = isinstance(item, Broken)
        if isinstance(item, Broken):
            self._tell(item, now)
        else:
            if self._facts.state != "delivering":
                self._found(now)
            self._last_item = now
        taken = now
        if self._source.live:
            taken -= max(0.0, monotonic() - item.time)
        # What comes in a burst is dated back from its end, and two bursts may overlap.
        taken = self._taken = max(taken, self._taken)
        item = replace(item, time=taken, index=next(self._numbers))
        for slot in self._slots:
            slot.offer(item)
        facts = self._facts
        self._facts = replace(
            facts,
            frames=facts.frames + 1,
            failed=facts.failed + broken,
            latest=facts.latest if broken else now,
        )

    def _tell(self, item: Broken, now: float) -> None:
        """A camera or a sensor may send garbage many times a second: the same is told once a
        minute, whatever the numbers in it."""
        kind = item.name, _DIGITS.sub("#", item.reason)
        told = self._told.get(kind)
        if not self._source.live or told is None or now - told >= TELL_AGAIN_S:
            if len(self._told) >= MOST_TOLD:
                self._told.clear()
            self._told[kind] = now
            what = "broken item" if item.counted else "passed over"
            log.warning("%s source=%s name=%s reason=%r", what, *_named(item))

    def _found(self, now: float) -> None:
        away = now - self._last_item if self._facts.state == "lost" else 0.0
        for slot in self._slots:
            slot.was_away(away)
        log.info("source delivers source=%s away_s=%.1f", self._source.name, away)
        self._facts = replace(self._facts, state="delivering", since=now, reason="", next="")

    def _lost(self, loss: EdgeError) -> None:
        if self._facts.state != "lost":  # once per loss, however many attempts follow
            log.warning("source lost source=%s reason=%r", self._source.name, loss.message)
            losses = self._facts.losses + 1
            self._facts = replace(self._facts, state="lost", since=self._now(), losses=losses)
        self._facts = replace(self._facts, reason=loss.message, next=loss.next)

    def _ended(self) -> None:
        log.info("source ended source=%s frames=%d", self._source.name, self._facts.frames)
        self._facts = replace(self._facts, state="ended", since=self._now())
        for slot in self._slots:
            slot.end()


def _named(item: Broken) -> tuple[str, str, str]:
    return item.source, item.name, item.reason
