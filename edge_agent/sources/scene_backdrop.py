"""The empty yard of the built-in scene: one picture by day, one at dusk, one by night.

Drawn once per scene in a fixed size and then brought to the frame's. The seed varies what a real
yard would: the wall's paint, which doors are open, what stands about along the wall and the fence,
the skyline, stains and grain. Nothing of it is an object, and all of it lies behind the objects.
Read `scene_draw.py` next.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from edge_agent.frozen import frozen
from edge_agent.sources.scene_brush import (
    HEIGHT,
    WIDTH,
    Color,
    blend,
    block,
    cloudy,
    ellipse,
    grain,
    polygon,
    px,
    ring,
    stripe,
)
from edge_agent.sources.scene_world import GATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Image

    Floats: TypeAlias = NDArray[np.float32]

GROUND = 0.475  # y where the ground begins
WALL = (0.0, 0.07, 0.6, 0.5)  # the warehouse: x0, y0, x1, y1
DOORS = (0.06, 0.24, 0.42)  # left edges
DOOR = (0.125, 0.235, 0.5)  # width, top, bottom
POSTS = ((0.655, 0.1), (0.965, 0.06))  # lamp posts: x, y of the lamp
VANISHING = (0.62, 0.28)
#: The sky's light at the three times, as factors of BGR.
DAY, DUSK, NIGHT = (1.0, 1.0, 1.0), (0.58, 0.6, 0.68), (0.30, 0.24, 0.21)
WARM = np.array((0.55, 0.82, 1.0), np.float32)  # lamplight, BGR

PAINTS: tuple[Color, ...] = ((168, 160, 150), (150, 138, 118), (126, 148, 164), (158, 158, 160))
ROLLERS: tuple[Color, ...] = ((190, 188, 184), (170, 150, 120), (150, 172, 186))


@frozen
class Backdrop:
    """The empty yard at three times of day, and where lamps light the ground.

    Pictures are (height, width, 3) uint8 BGR. `lamps` is (height, width) float32: 0 dark, 1 right
    under a lamp.
    """

    day: Image
    dusk: Image
    night: Image
    lamps: Floats


@lru_cache(maxsize=4)
def backdrop(seed: int, width: int, height: int) -> Backdrop:
    """The yard of one seed in the frame's size."""
    rng = Random(f"backdrop/{seed}")
    yard = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    shine = np.zeros_like(yard)  # what gives light by itself after dark
    _ground(yard, rng)
    sky_mask = _fence(yard, rng)
    _warehouse(yard, shine, rng)
    _clutter(yard, rng)
    _posts(yard, shine)
    for box in (WALL, *((x - 0.003, y, x + 0.003, GROUND) for x, y in POSTS)):
        block(sky_mask, box, 0)
    lamps = _lamplight()
    shine = cv2.add(shine, cv2.GaussianBlur(shine, (0, 0), 9))

    def at(level: Sequence[float], lit: float, sky: Image) -> Image:
        light = np.array(level, np.float32) + lit * lamps[..., None] * WARM
        picture = np.clip(yard * light, 0, 255).astype(np.uint8)
        cv2.copyTo(sky, sky_mask[: len(sky)], picture[: len(sky)])
        picture = cv2.add(picture, cv2.multiply(shine, (lit, lit, lit, 0)))
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))

    skies = _skies(rng)
    return Backdrop(
        day=at(DAY, 0.0, skies[0]),
        dusk=at(DUSK, 0.4, skies[1]),
        night=at(NIGHT, 0.75, skies[2]),
        lamps=cv2.resize(lamps, (width, height), interpolation=cv2.INTER_AREA),
    )


def _ground(yard: Image, rng: Random) -> None:
    """Asphalt with its grain, patches, stains and markings."""
    top = round(GROUND * HEIGHT)
    ramp = np.linspace(132, 104, HEIGHT - top, dtype=np.float32)[:, None]
    fine = grain(rng.randrange(1 << 30), HEIGHT - top, WIDTH)
    tone = ramp + 2.2 * cv2.GaussianBlur(fine, (0, 0), 0.8) + 3.0 * cloudy(fine, (70, 24))
    yard[top:] = np.clip(tone[..., None] * (1.0, 0.99, 0.97), 0, 255).astype(np.uint8)
    for _ in range(rng.randrange(3, 7)):  # oil and repairs
        x, y = rng.uniform(0.05, 0.95), rng.uniform(0.6, 0.95)
        size = (rng.uniform(0.02, 0.06), rng.uniform(0.006, 0.014))
        blend(yard, ellipse(x, y, *size), (70, 70, 70), 0.35)
    _markings(yard)


def _markings(yard: Image) -> None:
    """Bays before the doors, a dashed lane, the hatched floor of the gate, a manhole."""
    white, yellow = (215, 218, 220), (60, 190, 225)
    for left in DOORS:
        for x in (left - 0.012, left + DOOR[0] + 0.012):
            blend(yard, stripe(_toward(x, 0.505), _toward(x, 0.6), 5), white, 0.7)
    for x in np.arange(-0.02, 1.0, 0.085):
        blend(yard, stripe((x, 0.745), (x + 0.045, 0.745), 6), white, 0.55)
    inside = polygon(GATE)
    hatch = np.zeros_like(inside)
    for x in np.arange(0.4, 1.3, 0.05):
        cv2.line(hatch, px(x, 0.5), px(x - 0.14, 1.0), 255, 12, cv2.LINE_AA)
    blend(yard, cv2.min(hatch, inside), yellow, 0.42)
    cv2.polylines(inside_edge := np.zeros_like(inside), [ring(GATE)], True, 255, 6, cv2.LINE_AA)
    blend(yard, inside_edge, yellow, 0.6)
    blend(yard, ellipse(0.3, 0.86, 0.03, 0.014), (84, 84, 86), 0.8)
    blend(yard, ellipse(0.3, 0.86, 0.024, 0.01), (104, 104, 106), 0.8)


def _fence(yard: Image, rng: Random) -> Image:
    """Skyline, hedge, fence, guard's booth and barrier. Returns the mask of the sky behind them."""
    land = np.zeros((HEIGHT, WIDTH), np.uint8)
    land[round(GROUND * HEIGHT) :] = 255

    def solid(x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        for layer, ink in ((yard, color), (land, 255)):
            cv2.rectangle(layer, px(x0, y0), px(x1, y1), ink, -1)

    x = 0.5
    while x < 1.0:  # far buildings in the haze
        width = rng.uniform(0.03, 0.09)
        shade = rng.randrange(150, 176)
        solid(x, rng.uniform(0.17, 0.3), x + width, GROUND, (shade + 14, shade + 4, shade - 4))
        x += width
    for x in np.arange(0.58, 1.02, 0.018):  # the hedge
        tone = rng.randrange(-14, 15)
        middle, size = (x, 0.4 + rng.uniform(-0.02, 0.02)), rng.randrange(24, 40)
        for layer, ink in ((yard, (58 + tone, 104 + tone, 78 + tone)), (land, 255)):
            cv2.circle(layer, px(*middle), size, ink, -1, cv2.LINE_AA)
    solid(0.58, 0.43, 1.0, GROUND + 0.005, (70, 96, 80))
    mesh = np.zeros_like(land)
    for x in np.arange(0.3, 1.4, 0.0085):
        for way in (-0.07, 0.07):
            cv2.line(mesh, px(x, 0.345), px(x + way, GROUND + 0.012), 255, 1, cv2.LINE_AA)
    mesh[: round(0.345 * HEIGHT)] = 0
    blend(yard, mesh, (176, 178, 176), 0.4)
    for x in np.arange(0.6, 1.01, 0.058):
        solid(x, 0.33, x + 0.004, GROUND + 0.015, (150, 152, 150))
    solid(0.58, 0.338, 1.0, 0.344, (150, 152, 150))
    _booth(yard, solid)
    return np.asarray(255 - land)


def _booth(yard: Image, solid: Any) -> None:
    """The guard's booth, and the barrier with its arm up."""
    solid(0.845, 0.295, 0.925, 0.525, (196, 200, 198))
    solid(0.838, 0.275, 0.932, 0.305, (92, 84, 78))
    solid(0.853, 0.335, 0.917, 0.415, (128, 112, 92))
    solid(0.845, 0.485, 0.925, 0.525, (150, 140, 60))
    solid(0.785, 0.43, 0.803, 0.53, (40, 150, 230))
    for part in range(8):  # the arm, red and white
        color = (60, 60, 205) if part % 2 else (225, 228, 230)
        x, y = 0.794 - 0.004 * part, 0.44 - 0.036 * part
        cv2.line(yard, px(x, y), px(x - 0.004, y - 0.036), color, 7, cv2.LINE_AA)


def _warehouse(yard: Image, shine: Image, rng: Random) -> None:
    """The wall, its doors, numbers, sign and wall lamps."""
    x0, y0, x1, y1 = WALL
    paint = rng.choice(PAINTS)
    ribs = 1.0 + 0.05 * np.sign(np.sin(np.arange(round(x1 * WIDTH)) * 2 * np.pi / 11))
    fall = np.linspace(1.04, 0.86, round((y1 - y0) * HEIGHT))
    wall = np.array(paint) * (fall[:, None] * ribs[None, :])[..., None]
    top = round(y0 * HEIGHT)
    yard[top : top + len(wall), : wall.shape[1]] = np.clip(wall, 0, 255).astype(np.uint8)
    block(yard, (x0, y0 - 0.012, x1 + 0.004, y0 + 0.022), (84, 78, 72))
    block(yard, (x1 - 0.006, y0, x1, y1), (104, 98, 92))
    block(yard, (x0, 0.47, x1, y1), (118, 116, 114))
    block(yard, (0.225, 0.1, 0.375, 0.175), (120, 62, 30))
    cv2.putText(yard, f"DEPOT {rng.randrange(1, 10)}", px(0.237, 0.156), 2, 1.15, (240,) * 3, 2, 16)
    roller = rng.choice(ROLLERS)
    for number, left in enumerate(DOORS, 1):
        _door(yard, shine, (left, rng.choice((0.0, 0.0, 0.45, 0.8))), roller)
        middle = left + DOOR[0] / 2
        cv2.putText(yard, str(number), px(middle - 0.008, 0.222), 2, 0.9, (50, 48, 46), 2, 16)
    for x in (0.03, 0.2125, 0.3925, 0.575):
        block(yard, (x - 0.008, 0.205, x + 0.008, 0.225), (70, 68, 66))
        cv2.ellipse(shine, px(x, 0.225), (11, 5), 0, 0, 360, (150, 220, 255), -1, cv2.LINE_AA)


def _door(yard: Image, shine: Image, door: tuple[float, float], roller: Color) -> None:
    """One roller door at (left, part open): its frame, slats, and the lit hall behind it."""
    left, opened = door
    width, top, bottom = DOOR
    block(yard, (left - 0.008, top - 0.012, left + width + 0.008, bottom), (66, 62, 58))
    sill = bottom - (bottom - top) * opened
    block(yard, (left, top, left + width, sill), roller)
    for y in np.arange(top + 0.012, sill, 0.016):
        darker = (roller[0] - 26, roller[1] - 26, roller[2] - 26)
        cv2.line(yard, px(left, y), px(left + width, y), darker, 2)
    if opened:
        block(yard, (left, sill, left + width, bottom), (62, 66, 70))
        block(yard, (left, sill, left + width, sill + 0.012), (40, 170, 220))
        block(shine, (left, sill + 0.012, left + width, bottom), (34, 60, 74))
        for x in (0.02, 0.07):  # shelves in the hall
            block(yard, (left + x, bottom - 0.1, left + x + 0.035, bottom - 0.012), (84, 100, 120))
    for x in (left - 0.008, left + width - 0.006):
        block(yard, (x, bottom - 0.06, x + 0.014, bottom), (40, 190, 225))


def _clutter(yard: Image, rng: Random) -> None:
    """Things that stand about along the wall and the fence and are nobody's business."""
    places = [0.015, 0.2, 0.215, 0.378, 0.565, 0.61, 0.67, 0.715, 0.95]
    for x in rng.sample(places, 6):
        draw = rng.choice((_pallets, _barrels, _cones, _bin, _cones))
        foot = 0.525 + rng.uniform(-0.006, 0.008)
        blend(yard, ellipse(x + 0.012, foot, 0.03, 0.008), (40, 40, 40), 0.5)
        draw(yard, x, foot)


def _pallets(yard: Image, x: float, foot: float) -> None:
    for layer in range(5):
        y = foot - 0.014 * layer
        block(yard, (x - 0.012, y - 0.008, x + 0.034, y - 0.003), (110, 150, 178))
        block(yard, (x - 0.01, y - 0.003, x + 0.032, y), (60, 84, 104))


def _barrels(yard: Image, x: float, foot: float) -> None:
    for left in (x - 0.008, x + 0.012):
        block(yard, (left, foot - 0.065, left + 0.018, foot), (150, 92, 40))
        for y in (0.06, 0.042, 0.022):
            block(yard, (left, foot - y, left + 0.018, foot - y + 0.003), (186, 134, 80))


def _cones(yard: Image, x: float, foot: float) -> None:
    for left in (x - 0.006, x + 0.018):
        tip = ring([(left, foot), (left + 0.006, foot - 0.05), (left + 0.012, foot)])
        cv2.fillPoly(yard, [tip], (40, 96, 235), cv2.LINE_AA)
        block(yard, (left + 0.003, foot - 0.027, left + 0.009, foot - 0.018), (230, 232, 234))
        block(yard, (left - 0.003, foot - 0.004, left + 0.015, foot), (40, 60, 150))


def _bin(yard: Image, x: float, foot: float) -> None:
    block(yard, (x - 0.012, foot - 0.075, x + 0.03, foot - 0.008), (70, 112, 60))
    block(yard, (x - 0.015, foot - 0.085, x + 0.033, foot - 0.072), (54, 84, 46))
    for left in (x - 0.008, x + 0.02):
        cv2.circle(yard, px(left + 0.003, foot - 0.004), 5, (40, 40, 40), -1, cv2.LINE_AA)


def _posts(yard: Image, shine: Image) -> None:
    """The lamp posts, before everything else that stands still."""
    for x, y in POSTS:
        block(yard, (x - 0.003, y, x + 0.003, 0.505), (98, 96, 94))
        block(yard, (x - 0.02, y - 0.008, x + 0.02, y + 0.006), (84, 82, 80))
        cv2.ellipse(shine, px(x, y + 0.012), (26, 7), 0, 0, 360, (170, 230, 255), -1, cv2.LINE_AA)


def _lamplight() -> Floats:
    """How strongly lamps light each place, 0..1: pools on the ground and cones on the wall."""
    xs = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :]
    ys = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None]
    light = np.zeros((HEIGHT, WIDTH), np.float32)
    for x, y, rx, ry in (
        (0.655, 0.62, 0.2, 0.14),
        (0.94, 0.66, 0.2, 0.16),
        (0.13, 0.56, 0.2, 0.1),
        (0.4, 0.58, 0.22, 0.12),
        (0.35, 0.95, 0.4, 0.16),
    ):
        light += np.exp(-(((xs - x) / rx) ** 2) - ((ys - y) / ry) ** 2)
    for x in (0.03, 0.2125, 0.3925, 0.575):
        below = np.clip((ys - 0.21) / 0.1, 0, 1) * np.exp(-np.maximum(ys - 0.21, 0) / 0.16)
        light += below * np.exp(-(((xs - x) / 0.06) ** 2))
    return np.asarray(np.minimum(light, 1.0), np.float32)


def _skies(rng: Random) -> tuple[Image, Image, Image]:
    """Day, dusk and night above the same clouds, down to where the ground begins."""
    above = round(GROUND * HEIGHT)
    fine = grain(rng.randrange(1 << 30), HEIGHT, WIDTH)
    clouds = np.clip(cloudy(fine, (140, 34))[:above] * 0.7 + 0.1, 0, 1)[..., None]
    stars = (fine[:above] > 3.55).astype(np.float32)[..., None]
    y = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:above, None, None]
    y = np.clip(y / 0.42, 0, 1)

    def sky(top: Color, low: Color, cloud: Color) -> Floats:
        air = np.array(top, np.float32) * (1 - y) + np.array(low, np.float32) * y
        return np.asarray(air + (np.array(cloud, np.float32) - air) * (0.6 * clouds))

    day = sky((214, 168, 118), (232, 216, 196), (240, 238, 236))
    dusk = sky((120, 84, 70), (110, 150, 226), (120, 130, 190))
    night = sky((42, 24, 16), (64, 44, 32), (50, 40, 36)) + stars * 130 * (1 - y)
    return _bytes(day), _bytes(dusk), _bytes(night)


def _bytes(picture: Floats) -> Image:
    return np.clip(picture, 0, 255).astype(np.uint8)


def _toward(x: float, y: float) -> tuple[float, float]:
    """The point at `y` on the ground line that meets (x, 0.5) and runs to the vanishing point."""
    far = (0.5 - VANISHING[1]) / (y - VANISHING[1])
    return VANISHING[0] + (x - VANISHING[0]) / far, y
