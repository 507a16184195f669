"""The built-in scene: a source that needs no camera, deterministic by its seed, with its truth.

A loading yard with people, forklifts, vans and dogs, by day and by night. Every frame, and the
truth about it, is a pure function of the spec and the index. It serves the demo, the tests of
tracker and rules, and the training of the shipped detector. What happens is in `scene_world.py`,
how it looks in `scene_draw.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from edge_agent.errors import UsageError
from edge_agent.sources.scene_draw import Painter
from edge_agent.sources.scene_world import GATE, LABELS, Truth, cast, daylight, truths
from edge_agent.types import Frame, SourceInfo

if TYPE_CHECKING:
    from edge_agent.types import Image

__all__ = ["GATE", "LABELS", "Scene", "SceneSpec", "Truth"]

SCHEME = "built-in:"
ALLOWED = "seed, fps, size, frames and day_s, as in built-in:?seed=7&fps=10&size=640x360&frames=900"


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """Which scene, and how it is filmed.

    `frames` None never ends. `origin` is the time of frame 0, in seconds since the epoch; `day_s`
    is how long a day with its night takes: the first night begins after a quarter of it.
    """

    seed: int = 7
    width: int = 640
    height: int = 360
    fps: float = 10.0
    frames: int | None = None
    origin: float = 0.0
    day_s: float = 80.0

    @classmethod
    def parse(cls, uri: str) -> SceneSpec:
        """The spec of `built-in:?seed=7&fps=10&size=640x360&frames=900`; every key may be missing.

        Raises UsageError for anything else.
        """
        rest = uri.removeprefix(SCHEME)
        if rest == uri or (rest and not rest.startswith("?")):
            raise UsageError(f"{uri!r} is no built-in scene", f"write {SCHEME} and {ALLOWED}")
        spec = cls()
        for key, value in parse_qsl(rest[1:], keep_blank_values=True):
            spec = replace(spec, **_setting(uri, key, value))
        return spec


def _setting(uri: str, key: str, value: str) -> dict[str, Any]:
    """One key of the URI as fields of the spec."""
    try:
        match key:
            case "seed":
                return {"seed": _within(int(value), 0, 2**63)}
            case "fps":
                return {"fps": _within(float(value), 0.01, 1000)}
            case "day_s":
                return {"day_s": _within(float(value), 1, 1e6)}
            case "frames":
                return {"frames": _within(int(value), 1, 1e12)}
            case "size":
                width, height = (_within(int(side), 64, 4096) for side in value.split("x"))
                return {"width": width, "height": height}
    except ValueError:
        raise UsageError(f"{uri}: {value!r} is no value for {key}", f"use {ALLOWED}") from None
    raise UsageError(f"{uri}: the built-in scene has no setting {key!r}", f"use {ALLOWED}")


def _within(number: Any, low: float, high: float) -> Any:
    if not low <= number <= high:
        raise ValueError
    return number


class Scene:
    """The scene as a `Source`. It waits for nobody and is never lost."""

    live = False

    def __init__(self, name: str, spec: SceneSpec) -> None:
        self.name = name
        self.spec = spec
        self._painter = Painter(spec.seed, spec.width, spec.height)
        self._next = 0

    def open(self) -> SourceInfo:
        """Begin at frame 0."""
        self._next = 0
        spec = self.spec
        return SourceInfo(spec.width, spec.height, spec.fps, spec.frames)

    def read(self) -> Frame | None:
        """The next frame; None after the last one."""
        if self.spec.frames is not None and self._next >= self.spec.frames:
            return None
        self._next += 1
        return self.frame(self._next - 1)

    def close(self) -> None:
        """Nothing is held that would have to be given back."""

    def frame(self, index: int) -> Frame:
        """Frame `index`, whatever was read before."""
        return Frame(
            self.name, index, self.spec.origin + index / self.spec.fps, self.picture(index)
        )

    def picture(self, index: int) -> Image:
        """The picture of frame `index`: (height, width, 3) uint8, BGR, the caller's to keep."""
        spec, t = self.spec, index / self.spec.fps
        return self._painter.paint(index, daylight(t, spec.day_s), cast(spec.seed, t))

    def truth(self, index: int) -> tuple[Truth, ...]:
        """Everything in frame `index` that is to be seen at all, farthest first."""
        return truths(cast(self.spec.seed, index / self.spec.fps))

    def light(self, index: int) -> float:
        """Daylight in frame `index`: 1 by day, 0 by night."""
        return daylight(index / self.spec.fps, self.spec.day_s)
