"""Is the camera well? Black, covered, frozen, blurred, moved: from the gate's thumbnail alone.

| trouble | what it is | held for |
|---|---|---|
| black | the picture is uniform and dark: no light, or no picture | 3 s |
| covered | it is uniform and not dark, or detail, contrast and scene are gone at once | 3 s |
| frozen | the very same picture, of a camera whose pictures otherwise differ by noise | 8 s |
| blurred | the scene is there, its detail is not | 5 s |
| moved | there is detail, and its edges are nowhere where they were | 10 s |

A trouble is over when nothing of it was seen for 3 s. While a graver one hides what another is
judged by (nothing can move in the dark), the other one's clock stands still. A picture that is
black, covered or frozen is *blind*: no model sees it.

Rules: pure; time is an argument, and only time counts, not the number of frames (but no trouble on
fewer than three). docs/camera-health.md tells it to users. Read `view.py` for blurred and moved,
`camera_events.py` for the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum

import cv2
import numpy as np

from edge_agent.frozen import frozen
from edge_agent.pipeline.motion import Gray
from edge_agent.pipeline.view import Likeness, View, block_means, open_blocks
from edge_agent.types import Number, Numbers, Polygon


class Trouble(StrEnum):
    """What may be wrong with a camera; the graver one first."""

    BLACK = "black"
    COVERED = "covered"
    FROZEN = "frozen"
    BLURRED = "blurred"
    MOVED = "moved"


#: Troubles that leave nothing to see.
BLINDING = (Trouble.BLACK, Trouble.COVERED, Trouble.FROZEN)
#: Seconds that a trouble must have been seen for.
HOLD_S = {
    Trouble.BLACK: 3.0,
    Trouble.COVERED: 3.0,
    Trouble.FROZEN: 8.0,
    Trouble.BLURRED: 5.0,
    Trouble.MOVED: 10.0,
}
#: It is over when nothing of it was seen for so many seconds.
CLEAR_S = 3.0
#: And what has not held long enough begins anew after a gap of so many; frozen after any gap.
GAP_S = 1.0
LEAST_LOOKS = 3
#: Side of the blocks, in pixels of the thumbnail, whose means say whether a picture is uniform.
BLOCK = 8
#: A uniform picture's blocks lie this close together, in grey levels, ...
UNIFORM = 8.0
#: ... but for this share at either end: a lamp, or the camera's own lettering.
TAIL = 0.03
#: A uniform picture is black below this median block, in grey levels.
DARK = 24.0
#: A camera has noise when the pictures that differ do so in this share of the blocks.
NOISY = 0.3
#: And this is known after so many seconds of such pictures.
KNOWN_S = 5.0
#: Time constant in seconds by which it is learned how much of the picture changes.
LIVELY_S = 30.0
#: A picture is the same as the last when this part of the pixels changed that usually does.
SAME = 0.05
#: Who was still for a while and went on by itself is frozen after so many times as long.
PATIENCE = 3.0


@frozen
class Symptom:
    """A trouble that is there. `degree` in 0..1: how much of this picture shows it, 0 none.

    `held_s` is how long it was seen for, of `need_s`.
    """

    degree: float
    held_s: float
    need_s: float


@frozen
class Report:
    """What one look found. `blind`: why the picture is not worth a model's time.

    `troubles` are those that are there now; `numbers` is what the look saw.
    """

    blind: Trouble | None
    troubles: Mapping[Trouble, Symptom]
    numbers: Numbers


class Health:
    """The state of one camera from look to look."""

    def __init__(self, masks: tuple[Polygon, ...] = ()) -> None:
        """`masks`: polygons in 0..1 that were blackened; what they touch does not count."""
        self._masks = masks
        self._open = np.empty((0, 0), np.bool_)  # of each block: no mask touches it
        self._shape: tuple[int, ...] = (0, 0)
        self._view = View(masks)
        self._stillness = Stillness()
        self._spells = {trouble: Spell(need_s) for trouble, need_s in HOLD_S.items()}
        self._spells[Trouble.FROZEN].gap_s = 0.0
        self._time: float | None = None

    def look(self, thumb: Gray, time: float) -> Report:
        """One `thumbnail`, in order of time."""
        passed = 0.0 if self._time is None else max(0.0, time - self._time)
        self._time = time
        if thumb.shape != self._shape:
            self._shape = thumb.shape
            self._open = open_blocks(self._masks, thumb, BLOCK)
        level, spread = _tones(block_means(thumb, BLOCK)[self._open])
        numbers: dict[str, Number] = {"level": round(level, 1), "spread": round(spread, 1)}
        uniform = spread < UNIFORM
        if uniform:
            self._view.look_away(thumb, time)
            dark = level < DARK
            signs = {Trouble.BLACK: float(dark), Trouble.COVERED: float(not dark)}
        else:
            signs = {Trouble.BLACK: 0.0, Trouble.FROZEN: self._frozen(thumb, passed)}
            likeness = self._view.see(thumb, time)
            signs |= _signs(likeness)
            numbers |= _told(likeness)
        for trouble, spell in self._spells.items():
            spell.note(signs.get(trouble), passed)
        return Report(self._blind(signs, uniform), self._troubles(signs), numbers)

    def stand_still(self, seconds: float) -> None:
        """Nobody looked for so long: no clock runs."""
        if self._time is not None:
            self._time += seconds
        self._view.stand_still(seconds)

    # --- below, in call order -----------------------------------------------------------------

    def _frozen(self, thumb: Gray, passed: float) -> float:
        same = self._stillness.see(thumb, passed)
        self._spells[Trouble.FROZEN].need_s = self._stillness.need_s
        return float(same)

    def _blind(self, signs: Mapping[Trouble, float], uniform: bool) -> Trouble | None:
        """A uniform picture shows nothing by itself; what is judged by the past must have held."""
        for trouble in BLINDING:
            if signs.get(trouble) and (uniform or self._spells[trouble].there):
                return trouble
        return None

    def _troubles(self, signs: Mapping[Trouble, float]) -> dict[Trouble, Symptom]:
        return {
            trouble: Symptom(signs.get(trouble, 0.0), spell.held_s, spell.need_s)
            for trouble, spell in self._spells.items()
            if spell.there
        }


class Spell:
    """How long one trouble was seen for, and whether it is there."""

    __slots__ = ("_clear_s", "_looks", "gap_s", "held_s", "need_s", "there")

    def __init__(self, need_s: float) -> None:
        self.need_s = need_s
        self.gap_s = GAP_S
        self.held_s = 0.0
        self.there = False
        self._clear_s = 0.0
        self._looks = 0

    def note(self, sign: float | None, passed: float) -> None:
        """One look, `passed` seconds after the last. `sign` 0: not seen; None: nobody can tell."""
        if sign is None:
            return
        if sign:
            self.held_s += passed if self._looks else 0.0
            self._looks += 1
            self._clear_s = 0.0
            self.there |= self.held_s >= self.need_s and self._looks >= LEAST_LOOKS
            return
        self._clear_s += passed
        self.there &= self._clear_s < CLEAR_S
        if not self.there and self._clear_s >= self.gap_s:
            self.held_s, self._looks = 0.0, 0


class Stillness:
    """Is the picture the very same as the last one, though this camera's otherwise never are?

    Only of a camera that has noise all over can that be said. One that sends the same picture for a
    while as a rule (a codec that skips what did not change) gets more patience: `need_s`.
    """

    def __init__(self) -> None:
        self.need_s = HOLD_S[Trouble.FROZEN]
        self._last: Gray = np.empty((0, 0), np.uint8)
        self._lively = 0.0  # share of the pixels that change when the picture does
        self._spread = 0.0  # share of the blocks in which they do
        self._known_s = 0.0
        self._still_s = 0.0

    def see(self, thumb: Gray, passed: float) -> bool:
        """One thumbnail, `passed` seconds after the last. True: the same, and it should not be."""
        last, self._last = self._last, thumb
        if thumb.shape != last.shape:
            return False
        changed = cv2.threshold(cv2.absdiff(thumb, last), 0, 255, cv2.THRESH_BINARY)[1]
        share = cv2.countNonZero(changed) / changed.size
        if share <= SAME * self._lively:
            self._still_s += passed
            return self._known_s >= KNOWN_S and self._spread >= NOISY
        if self._still_s < self.need_s:  # it went on by itself
            self.need_s = max(self.need_s, PATIENCE * self._still_s)
        self._still_s = 0.0
        blocks = block_means(changed, BLOCK)
        self._learn(share, cv2.countNonZero(blocks) / blocks.size, passed)
        return False

    def _learn(self, share: float, spread: float, passed: float) -> None:
        self._known_s += passed
        # At first a plain average: all that was seen counts alike.
        weight = min(1.0, passed / min(self._known_s, LIVELY_S)) if passed else 0.0
        self._lively += weight * (share - self._lively)
        self._spread += weight * (spread - self._spread)


# --- below: what one picture says ----------------------------------------------------------------


def _tones(blocks: Gray) -> tuple[float, float]:
    """Of (N,) blocks the median, and how far they are apart, their tails left out: grey levels.

    Where no block is open the picture is neither dark nor uniform.
    """
    if not blocks.size:
        return 255.0, 255.0
    tail = int(TAIL * blocks.size)
    ends = (tail, blocks.size // 2, blocks.size - 1 - tail)
    low, middle, high = np.partition(blocks, ends)[list(ends)].tolist()
    return float(middle), float(high - low)


def _signs(likeness: Likeness | None) -> dict[Trouble, float]:
    """How much of the picture shows what; a trouble that is missing cannot be told."""
    if likeness is None:
        return {Trouble.COVERED: 0.0}
    signs = {Trouble.COVERED: likeness.soft if likeness.veiled else 0.0}
    if not likeness.veiled:
        signs[Trouble.BLURRED] = likeness.soft if likeness.blurred else 0.0
        if not likeness.blurred:
            signs[Trouble.MOVED] = likeness.lost if likeness.elsewhere else 0.0
    return signs


def _told(likeness: Likeness | None) -> dict[str, Number]:
    if likeness is None:
        return {}
    return {field.name: round(getattr(likeness, field.name), 3) for field in fields(likeness)}
