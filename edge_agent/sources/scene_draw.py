"""How the built-in scene looks at one moment: backdrop, light, objects, the sensor's grain.

`Painter.paint` is a pure function of (seed, size, index, time): what it keeps between calls are
pictures that never change. Read `scene.py` next, which makes a source of it.
"""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from edge_agent.sources.scene_backdrop import (
    DAY,
    DUSK,
    NIGHT,
    WARM,
    Backdrop,
    backdrop,
)
from edge_agent.sources.scene_brush import grain
from edge_agent.sources.scene_figures import MARGIN
from edge_agent.sources.scene_sprites import CYCLES, sprite
from edge_agent.sources.scene_world import KINDS, Actor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Image

    Floats: TypeAlias = NDArray[np.float32]

GRAIN_STEPS = 24.0  # grey levels per unit of noise in the kept grain
GRAIN_ROOM = 64  # pixels by which the kept grain is larger than a frame


class Painter:
    """Paints the frames of one scene, in one size."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        self._seed, self._width, self._height = seed, width, height

    def paint(self, index: int, light: float, actors: tuple[Actor, ...]) -> Image:
        """One frame, (height, width, 3) uint8 BGR; `light` 1 is day, `actors` farthest first."""
        picture = self._empty_yard(light)
        lamps = _lamps_on(light)
        ambient = _ambient(light)
        for actor in actors:
            self._place(picture, actor, ambient, lamps)
        self._add_grain(picture, index, 1.1 + 1.9 * (1 - light))
        return picture

    @cached_property
    def _backdrop(self) -> Backdrop:
        return backdrop(self._seed, self._width, self._height)

    @cached_property
    def _grain(self) -> Image:
        """Grey noise around 128, larger than the frame, to be cut at a new place each time."""
        seed = Random(f"grain/{self._seed}").randrange(1 << 30)
        noise = grain(seed, self._height + GRAIN_ROOM, 3 * (self._width + GRAIN_ROOM))
        levels = np.clip(128 + GRAIN_STEPS * noise, 0, 255).astype(np.uint8)
        return levels.reshape(self._height + GRAIN_ROOM, -1, 3)

    def _empty_yard(self, light: float) -> Image:
        yard = self._backdrop
        if light >= 0.5:
            brighter, darker, share = yard.day, yard.dusk, 2 * light - 1
        else:
            brighter, darker, share = yard.dusk, yard.night, 2 * light
        return np.asarray(cv2.addWeighted(brighter, share, darker, 1 - share, 0))

    def _place(self, picture: Image, actor: Actor, ambient: Floats, lamps: float) -> None:
        """Paint one object over `picture`, lit by the sky and by the lamps above its feet."""
        x0, y0, x1, y1 = actor.box
        size = (round((x1 - x0) * self._width), round((y1 - y0) * self._height))
        step = None if actor.cycle is None else int(actor.cycle * CYCLES)
        cut = sprite(actor.label, actor.look, actor.faces_right, step, size)
        kind = KINDS[actor.label]
        left = round((x0 - (x1 - x0) * MARGIN / kind.width) * self._width)
        top = round((y0 - (y1 - y0) * MARGIN / kind.height) * self._height)
        bottom, right = max(0, top + cut.color.shape[0]), max(0, left + cut.color.shape[1])
        inside = np.s_[max(0, -top) : self._height - top, max(0, -left) : self._width - left]
        part = picture[max(0, top) : bottom, max(0, left) : right]
        if part.size == 0:
            return
        light = ambient + self._lamplight(actor) * lamps * WARM
        lit = cv2.multiply(cut.color[inside], (*light.tolist(), 0))
        cv2.multiply(part, cut.clear[inside], dst=part, scale=1 / 255)
        cv2.add(part, lit, dst=part)
        if lamps and cut.glow is not None:
            cv2.scaleAdd(cut.glow[inside], lamps, part, dst=part)

    def _lamplight(self, actor: Actor) -> float:
        x = min(0.999, max(0.0, (actor.box[0] + actor.box[2]) / 2))
        y = min(0.999, actor.box[3])
        return float(self._backdrop.lamps[int(y * self._height), int(x * self._width)])

    def _add_grain(self, picture: Image, index: int, strength: float) -> None:
        """Sensor noise of `strength` grey levels; where the grain is cut depends on the index."""
        place = (index * 2654435761 + 40503) % (1 << 32) >> 8
        y, x = place % GRAIN_ROOM, place // GRAIN_ROOM % GRAIN_ROOM
        cut = self._grain[y : y + self._height, x : x + self._width]
        share = strength / GRAIN_STEPS
        cv2.addWeighted(picture, 1, cut, share, -128 * share, dst=picture)


def _ambient(light: float) -> Floats:
    """The sky's light by colour, BGR factors: white by day, reddish at dusk, bluish at night."""
    levels = zip(NIGHT, DUSK, DAY, strict=True)
    return np.array([np.interp(light, (0.0, 0.5, 1.0), level) for level in levels], np.float32)


def _lamps_on(light: float) -> float:
    """How bright the lamps burn: off by day, as bright at dusk and night as the backdrop has it."""
    return 0.8 * (1 - light) if light >= 0.5 else 0.4 + 0.7 * (0.5 - light)
