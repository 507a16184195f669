"""Clips: what was seen before and after an event opened, in one file beside its other evidence.

Rules:

* Only where a rule asks for one is anything kept: then each frame that got past the rate, the pause
  and the schedule, as JPEG (a window as it is), for the longest `pre_s` of the rules and within the
  largest `max_mb`. The oldest go first.
* Frames are kept as the model gets them: with the privacy masks blackened, colour not subsampled,
  at the times they had. So a replay of the file shows the pipeline what it saw.
* A clip ends `post_s` after the opening, at `max_mb`, or with the pipeline. One that the disk
  refuses is lost, and the log says so: it must not cost the alert.

Read `store/evidence.py` next.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.errors import EdgeError
from edge_agent.pipeline.rulespec import Clip, RuleSpec
from edge_agent.store.evidence import Scene, jpeg, save_clip
from edge_agent.types import Event, Frame, Outcome, Skip

log = logging.getLogger(__name__)

#: Frames that nobody looked at, or that the rate left out: a replay would leave them out again.
_NOT_KEPT = frozenset({Skip.RATE, Skip.PAUSED, Skip.SCHEDULE, Skip.SWAP})
#: Clips that are being taken at once, of one pipeline; an event beyond them has none.
MOST = 4

#: Told the id of an event and the entry of its clip, which is on the disk.
Attach = Callable[[str, Mapping[str, Any]], None]


@dataclass(slots=True)
class Taking:
    """A clip that is being taken."""

    event: Event
    until: float
    room: int  # bytes that are left of `max_mb`
    scenes: list[Scene] = field(default_factory=list)


class Clips:
    """The clips of one pipeline. Only its worker uses it."""

    def __init__(self, state: Path, rules: Sequence[RuleSpec], attach: Attach) -> None:
        self._state = state
        self._attach = attach
        self._wanted = {rule.name: rule.clip for rule in rules if rule.clip is not None}
        self._pre_s = max((clip.pre_s for clip in self._wanted.values()), default=0.0)
        self._room = max((_bytes(clip) for clip in self._wanted.values()), default=0)
        self._past: deque[Scene] = deque()
        self._held = 0  # bytes in `_past`
        self._taking: list[Taking] = []

    def show(self, outcome: Outcome) -> None:
        """A frame whose events are recorded already."""
        if not self._wanted:
            return
        frame = outcome.frame
        if outcome.skip not in _NOT_KEPT and frame.seen:
            self._keep(_scene(frame))
        for event in outcome.opened:
            self._begin(event)
        self._finish([each for each in self._taking if frame.time >= each.until or each.room <= 0])

    def close(self) -> None:
        """No more frames come."""
        self._finish(self._taking)

    def _keep(self, scene: Scene) -> None:
        self._past.append(scene)
        self._held += scene.size
        while self._past and (
            self._past[0].time < scene.time - self._pre_s or self._held > self._room
        ):
            self._held -= self._past.popleft().size
        for taking in self._taking:
            if taking.room >= scene.size:
                taking.scenes.append(scene)
            taking.room -= scene.size

    def _begin(self, event: Event) -> None:
        clip = self._wanted.get(event.rule)
        if clip is None:
            return
        if len(self._taking) == MOST:
            log.warning("no clip, %d are being taken event=%s", MOST, event.id)
            return
        taking = Taking(event, event.opened + clip.post_s, _bytes(clip))
        # The newest first, so that what does not fit is the oldest; half is left for what follows.
        for scene in reversed(self._past):
            enough = scene.time < event.opened - clip.pre_s
            if enough or (taking.scenes and taking.room - scene.size < _bytes(clip) // 2):
                break
            taking.scenes.insert(0, scene)
            taking.room -= scene.size
        self._taking.append(taking)

    def _finish(self, done: Sequence[Taking]) -> None:
        self._taking = [each for each in self._taking if each not in done]
        for taking in done:
            if not taking.scenes:
                continue
            try:
                entry = save_clip(self._state, taking.event, taking.scenes)
                self._attach(taking.event.id, entry)
            except EdgeError as refusal:
                log.error("no clip kept event=%s reason=%r", taking.event.id, refusal.message)


def _scene(frame: Frame) -> Scene:
    if frame.data.ndim == 3:
        height, width = frame.data.shape[:2]
        return Scene(frame.time, jpeg(frame.data), (width, height))
    return Scene(frame.time, frame.data.copy(), None)


def _bytes(clip: Clip) -> int:
    return int(clip.max_mb * 1e6)
