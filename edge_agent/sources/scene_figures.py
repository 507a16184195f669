"""The four kinds of object of the built-in scene as drawings, in metres, and the pen for them.

Everything is drawn facing right, from the side, with x from the middle of the box and y upwards
from the ground. `look` chooses colours and build; `cycle` (0..1) the position of the legs, None
stands. Read `scene_sprites.py` next, which makes cut-out pictures of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge_agent.types import Point

Color: TypeAlias = tuple[int, int, int]  # BGR

MARGIN = 0.35  # metres around the box: room for the shadow and the glow of lamps
PIXELS = 110  # per metre, before a picture is brought to its size

DARK: Color = (38, 36, 34)
GLASS: Color = (120, 104, 84)
SKINS: tuple[Color, ...] = ((150, 180, 222), (110, 145, 196), (70, 98, 145), (52, 70, 104))
COATS: tuple[Color, ...] = (
    (40, 120, 240),
    (60, 200, 215),
    (160, 80, 40),
    (60, 50, 170),
    (96, 120, 60),
    (180, 176, 170),
)
TROUSERS: tuple[Color, ...] = ((92, 64, 44), (52, 50, 50), (96, 100, 104), (60, 74, 92))
HELMETS: tuple[Color, ...] = ((40, 200, 240), (235, 235, 235), (200, 110, 40), (40, 42, 60))
VANS: tuple[Color, ...] = (
    (222, 224, 226),
    (168, 92, 36),
    (52, 44, 176),
    (78, 78, 80),
    (92, 128, 60),
)
LIFTS: tuple[Color, ...] = ((24, 170, 238), (36, 110, 236), (40, 44, 190), (80, 140, 50))
CRATES: tuple[Color, ...] = ((104, 148, 186), (88, 122, 156), (150, 150, 148))
COATS_OF_DOGS: tuple[Color, ...] = (
    (60, 98, 150),
    (46, 42, 44),
    (190, 206, 220),
    (84, 132, 190),
)


class Pen:
    """Draws filled shapes, in metres, into colour, alpha and glow at once."""

    def __init__(self, width: float, height: float) -> None:
        shape = (pixels(height + 2 * MARGIN), pixels(width + 2 * MARGIN))
        self.color = np.zeros((*shape, 3), np.uint8)
        self.alpha = np.zeros(shape, np.uint8)
        self.glow = np.zeros((*shape, 3), np.uint8)
        self._middle, self._ground = width / 2 + MARGIN, height + MARGIN

    def shape(self, points: Sequence[Point], color: Color) -> None:
        ring = [self._at(x, y) for x, y in points]
        for layer, ink in ((self.color, color), (self.alpha, 255)):
            cv2.fillPoly(layer, [np.array(ring, np.int32)], ink, cv2.LINE_AA, 4)

    def block(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)

    def oval(self, middle: Point, rx: float, ry: float, color: Color) -> None:
        axes = (pixels(rx * 16), pixels(ry * 16))
        for layer, ink in ((self.color, color), (self.alpha, 255)):
            cv2.ellipse(layer, self._at(*middle), axes, 0, 0, 360, ink, -1, cv2.LINE_AA, 4)

    def limb(self, points: Sequence[Point], width: float, color: Color) -> None:
        """A line with round ends and joints."""
        line = np.array([self._at(x, y) for x, y in points], np.int32)
        for layer, ink in ((self.color, color), (self.alpha, 255)):
            cv2.polylines(layer, [line], False, ink, pixels(width), cv2.LINE_AA, 4)

    def lamp(self, middle: Point, radius: float, color: Color) -> None:
        """A lamp: bright glass by day, a halo by night."""
        glass = (127 + color[0] // 2, 127 + color[1] // 2, 127 + color[2] // 2)
        self.oval(middle, radius, radius, glass)
        axes = (pixels(radius * 1.5 * 16),) * 2
        cv2.ellipse(self.glow, self._at(*middle), axes, 0, 0, 360, color, -1, cv2.LINE_AA, 4)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return pixels((self._middle + x) * 16), pixels((self._ground - y) * 16)


def _person(pen: Pen, look: int, cycle: float | None) -> None:
    coat, trousers = COATS[look % 6], TROUSERS[look // 6 % 4]
    skin, helmet = SKINS[look // 24 % 4], HELMETS[look // 96 % 4]
    swing = 0.0 if cycle is None else math.sin(2 * math.pi * cycle)
    spread = 0.06 if cycle is None else 0.0
    far, near = _darker(trousers), trousers
    for side, color in ((-1, far), (1, near)):  # legs
        foot = side * (0.27 * swing + spread)
        lift = 0.0 if cycle is None else 0.09 * max(0.0, side * math.cos(2 * math.pi * cycle))
        knee = foot * 0.55 + 0.05
        pen.limb([(0.0, 0.86), (knee, 0.47), (foot, 0.1 + lift)], 0.16, color)
        pen.limb([(foot, 0.05 + lift), (foot + 0.12, 0.05 + lift)], 0.1, DARK)
    _arm(pen, swing, _darker(coat), skin)
    pen.shape([(-0.17, 1.43), (0.14, 1.45), (0.17, 0.82), (-0.17, 0.82)], coat)
    pen.limb([(-0.06, 1.4), (0.06, 1.4)], 0.22, coat)
    if look // 384 % 2:  # a warning vest's reflecting stripes
        pen.block(-0.17, 0.98, 0.17, 1.04, (225, 240, 240))
        pen.block(-0.17, 1.16, 0.16, 1.22, (225, 240, 240))
    if look // 768 % 3 == 0:  # a rucksack
        pen.limb([(-0.2, 1.34), (-0.22, 1.02)], 0.2, _darker(helmet))
    _arm(pen, -swing, coat, skin)
    pen.limb([(0.02, 1.5), (0.02, 1.44)], 0.11, _darker(skin))
    pen.oval((0.03, 1.6), 0.115, 0.135, skin)
    pen.shape(
        [(-0.1, 1.61), (-0.1, 1.69), (-0.03, 1.745), (0.08, 1.74), (0.15, 1.67), (0.17, 1.64)],
        helmet,
    )


def _arm(pen: Pen, swing: float, coat: Color, skin: Color) -> None:
    hand = (0.02 + 0.26 * swing, 0.86 + 0.05 * abs(swing))
    pen.limb([(0.0, 1.38), (0.14 * swing - 0.04, 1.1), hand], 0.11, coat)
    pen.oval(hand, 0.055, 0.055, skin)


def _dog(pen: Pen, look: int, cycle: float | None) -> None:
    coat = COATS_OF_DOGS[look % 4]
    chest = COATS_OF_DOGS[(look // 4) % 4] if look % 3 == 0 else coat
    beat = 0.0 if cycle is None else 2 * math.pi * cycle
    for near in (False, True):  # the far pair of legs first
        color = coat if near else _darker(coat)
        for hip, turn in ((-0.3, 0.0), (0.2, 0.5)):
            gait = 0.0 if cycle is None else math.sin(beat + 2 * math.pi * (turn + 0.4 * near))
            foot = hip + 0.15 * gait + 0.02
            pen.limb([(hip, 0.4), (hip - 0.03, 0.2), (foot, 0.04)], 0.075, color)
    wag = 0.04 * math.sin(beat)
    pen.limb([(-0.38, 0.5), (-0.47, 0.58), (-0.5, 0.7 + wag)], 0.055, coat)
    pen.oval((-0.06, 0.44), 0.36, 0.135, coat)
    pen.oval((0.18, 0.43), 0.17, 0.155, chest)
    pen.limb([(0.22, 0.48), (0.34, 0.62)], 0.17, coat)
    pen.oval((0.37, 0.65), 0.12, 0.105, coat)
    pen.limb([(0.42, 0.62), (0.49, 0.6)], 0.085, coat)
    pen.oval((0.53, 0.61), 0.022, 0.022, DARK)
    pen.shape([(0.28, 0.75), (0.33, 0.76), (0.31, 0.58), (0.25, 0.56)], _darker(coat))
    pen.limb([(0.24, 0.47), (0.3, 0.45)], 0.05, HELMETS[look // 16 % 3])  # the collar


def _van(pen: Pen, look: int, cycle: float | None) -> None:
    paint, stripe = VANS[look % 5], LIFTS[look // 5 % 4]
    cab = [(0.95, 0.3), (2.22, 0.3), (2.24, 0.85), (2.1, 1.08), (1.72, 1.2), (1.25, 1.98)]
    pen.shape([(-2.2, 0.3), *cab, (1.1, 2.04), (-2.1, 2.04), (-2.22, 1.9)], paint)
    pen.shape([(-2.22, 0.28), (2.24, 0.28), (2.24, 0.48), (-2.22, 0.48)], _darker(paint))
    pen.shape([(1.0, 1.2), (1.62, 1.2), (1.24, 1.84), (1.0, 1.86)], GLASS)
    pen.shape([(1.68, 1.2), (1.78, 1.2), (1.36, 1.88), (1.28, 1.9)], _darker(GLASS))
    if look // 20 % 2:  # a firm's stripe, or a window
        pen.block(-2.15, 0.95, 0.7, 1.15, stripe)
        pen.block(-2.15, 1.2, 0.7, 1.26, stripe)
    else:
        pen.block(-1.7, 1.25, 0.55, 1.78, GLASS)
    for x in (0.8, -0.75):  # joints of the doors
        pen.limb([(x, 0.5), (x, 1.95)], 0.02, _darker(paint))
    for x in (-1.45, 1.45):
        pen.oval((x, 0.38), 0.42, 0.4, _darker(DARK))
        pen.oval((x, 0.34), 0.34, 0.34, DARK)
        pen.oval((x, 0.34), 0.17, 0.17, (150, 150, 152))
    pen.lamp((2.14, 0.78), 0.09, (190, 240, 255))
    pen.lamp((-2.18, 0.9), 0.06, (30, 30, 235))


def _forklift(pen: Pen, look: int, cycle: float | None) -> None:
    paint = LIFTS[look % 4]
    crates = look // 4 % 3
    pen.limb([(0.52, 0.1), (1.3, 0.1)], 0.08, DARK)  # forks
    for layer in range(crates):
        low = 0.16 + 0.46 * layer
        color = CRATES[(look // 12 + layer) % 3]
        pen.block(0.66, low, 1.3, low + 0.44, color)
        pen.limb([(0.7, low + 0.05), (1.26, low + 0.39)], 0.03, _darker(color))
        pen.limb([(0.7, low + 0.39), (1.26, low + 0.05)], 0.03, _darker(color))
    _driver(pen, look)
    pen.shape(
        [(-1.3, 0.28), (0.42, 0.24), (0.42, 0.62), (0.2, 0.66), (-0.2, 0.9), (-1.22, 0.98)], paint
    )
    pen.block(-1.32, 0.3, -1.0, 0.96, _darker(paint))
    pen.block(-1.02, 0.4, -0.3, 0.48, DARK)
    for bar in ([(-1.0, 0.95), (-0.86, 2.08)], [(0.3, 0.6), (0.12, 2.08)]):
        pen.limb(bar, 0.07, DARK)
    pen.limb([(-1.0, 2.08), (0.3, 2.08)], 0.09, paint)
    for x in (0.47, 0.57):  # the mast
        pen.limb([(x, 0.08), (x, 2.05)], 0.06, DARK)
    for y in (0.7, 1.35, 1.98):
        pen.limb([(0.45, y), (0.6, y)], 0.05, (90, 88, 86))
    for x, radius in ((-0.92, 0.25), (0.16, 0.31)):
        pen.oval((x, radius), radius, radius, DARK)
        pen.oval((x, radius), radius * 0.45, radius * 0.45, (170, 172, 174))
    pen.lamp((0.34, 0.98), 0.07, (190, 240, 255))
    pen.lamp((-0.7, 2.14), 0.05, (30, 150, 255))


def _driver(pen: Pen, look: int) -> None:
    pen.limb([(-0.62, 0.95), (-0.68, 1.35)], 0.16, DARK)  # the seat's back
    pen.limb([(-0.46, 0.95), (-0.5, 1.38)], 0.3, COATS[look // 36 % 6])
    pen.limb([(-0.44, 1.3), (-0.2, 1.08), (0.06, 1.16)], 0.1, COATS[look // 36 % 6])
    pen.oval((-0.44, 1.66), 0.11, 0.13, SKINS[look // 216 % 4])
    pen.limb([(-0.5, 1.74), (-0.36, 1.74)], 0.11, HELMETS[look // 864 % 3])


def _darker(color: Color) -> Color:
    return (color[0] * 2 // 3, color[1] * 2 // 3, color[2] * 2 // 3)


#: How to draw one object of a class: (pen, look, cycle).
FIGURES: dict[str, Callable[[Pen, int, float | None], None]] = {
    "person": _person,
    "forklift": _forklift,
    "van": _van,
    "dog": _dog,
}


def pixels(metres: float) -> int:
    """A length in pixels of the drawing, at least 1."""
    return max(1, round(metres * PIXELS))
