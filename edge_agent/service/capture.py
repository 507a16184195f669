"""One source's thread: open, read, hand on the newest frame; when it is lost, come back for ever.

Rules: open and read are bounded by the source itself. A lost source is closed and opened again
after a back-off with jitter, which costs no CPU while it waits; the pipelines are told how long
nobody watched. A recorded source is played at its own pace, as a camera would deliver it. Frames
get the time at which they are handed on, and the next number of this start of the agent: numbers go
on over losses and reloads, because event ids are made of them. Read `worker.py` next.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from edge_agent.errors import EdgeError
from edge_agent.policy.backoff import Backoff
from edge_agent.ports import Source
from edge_agent.service.slot import NewestFrame
from edge_agent.types import Broken, Frame

log = logging.getLogger("edge_agent.capture")

#: A recorded source with no rate of its own is played at this one.
DEFAULT_FPS = 10.0
#: A recorded source is never held longer than this between two looks at the stop event.
LONGEST_HOLD_S = 0.5


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What `status` says of a source."""

    state: str = "opening"  # opening, delivering, lost, ended
    since: float = 0.0
    frames: int = 0
    failed: int = 0
    losses: int = 0
    reason: str = ""


class Capture:
    """Reads one source for all the pipelines that look at it: it is decoded once."""

    def __init__(
        self,
        source: Source,
        slots: tuple[NewestFrame, ...],
        now: Callable[[], float],
        numbers: Iterator[int],
    ) -> None:
        self._source = source
        self._slots = slots
        self._now = now
        self._numbers = numbers
        self._last_item = now()
        self.facts = SourceFacts(since=now())

    def run(self, stop: threading.Event) -> None:
        """Until the stop event, or the end of a recorded source."""
        backoff = Backoff()
        while not stop.is_set():
            opened = self._now()
            try:
                self._watch(stop)
                return
            except EdgeError as loss:  # also a file that is not there: it may come
                self._lost(loss)
            finally:
                self._source.close()
            backoff = backoff.ended(self._now() - opened)
            stop.wait(backoff.delay(random.random()))

    def _watch(self, stop: threading.Event) -> None:
        """Open and read until the end of the input or the stop event."""
        info = self._source.open()
        pace = 0.0 if self._source.live else 1.0 / (info.fps or DEFAULT_FPS)
        due = self._now()
        while not stop.is_set():
            item = self._source.read()
            if item is None:
                self._ended()
                return
            while (wait := due - self._now()) > 0 and not stop.wait(min(wait, LONGEST_HOLD_S)):
                pass
            # A slow decoder must not be followed by a burst: the pace starts again from now.
            due = max(due, self._now() - pace) + pace
            self._hand_on(item)

    def _hand_on(self, item: Frame | Broken) -> None:
        now = self._now()
        if self.facts.state != "delivering":
            self._found(now)
        broken = isinstance(item, Broken)
        if isinstance(item, Broken):
            log.warning("broken item source=%s name=%s reason=%r", *_named(item))
        item = replace(item, time=now, index=next(self._numbers))
        self._last_item = now
        for slot in self._slots:
            slot.offer(item)
        facts = self.facts
        self.facts = replace(facts, frames=facts.frames + 1, failed=facts.failed + broken)

    def _found(self, now: float) -> None:
        away = now - self._last_item if self.facts.state == "lost" else 0.0
        for slot in self._slots:
            slot.was_away(away)
        log.info("source delivers source=%s away_s=%.1f", self._source.name, away)
        self.facts = replace(self.facts, state="delivering", since=now, reason="")

    def _lost(self, loss: EdgeError) -> None:
        if self.facts.state != "lost":  # once per loss, however many attempts follow
            log.warning("source lost source=%s reason=%r", self._source.name, loss.message)
            losses = self.facts.losses + 1
            self.facts = replace(self.facts, state="lost", since=self._now(), losses=losses)
        self.facts = replace(self.facts, reason=loss.message)

    def _ended(self) -> None:
        log.info("source ended source=%s frames=%d", self._source.name, self.facts.frames)
        self.facts = replace(self.facts, state="ended", since=self._now())
        for slot in self._slots:
            slot.end()


def _named(item: Broken) -> tuple[str, str, str]:
    return item.source, item.name, item.reason
