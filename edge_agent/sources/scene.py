"""The built-in scene: a source that needs no camera, deterministic by its seed, with its truth.

A loading yard with people, forklifts, vans and dogs, by day and by night. Every frame, and the
truth about it, is a pure function of the spec and the index. It serves the demo, the tests of
tracker and rules, and the training of the shipped detector. What happens is in `scene_world.py`,
how it looks in `scene_draw.py`. Read `signal_kinds.py` next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.frozen import frozen
from edge_agent.sources.built_in import Settings, number, whole
from edge_agent.sources.scene_world import GATE, LABELS, Truth, cast, daylight, truths
from edge_agent.types import Frame, SourceInfo

if TYPE_CHECKING:
    from edge_agent.types import Image

__all__ = ["GATE", "LABELS", "Scene", "SceneSpec", "Truth"]


def _size(text: str) -> tuple[int, int]:
    width, height = map(whole(64, 4096), text.split("x"))
    return width, height


SETTINGS = Settings(
    thing="scene",
    allowed="seed, fps, size, frames and day_s, "
    "as in built-in:?seed=7&fps=10&size=640x360&frames=900",
    readings={
        "seed": whole(0, 2**63),
        "fps": number(0.01, 1000),
        "size": _size,
        "frames": whole(1, 1e12),
        "day_s": number(1, 1e6),
    },
)


@frozen
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
        stated = SETTINGS.of(uri)
        if "size" in stated:
            stated["width"], stated["height"] = stated.pop("size")
        return cls(**stated)


class Scene:
    """The scene as a `Source`. It waits for nobody and is never lost."""

    live = False

    def __init__(self, name: str, spec: SceneSpec) -> None:
        self.name = name
        self.spec = spec
        from edge_agent.sources.scene_draw import Painter  # heavy: `check` reads the uri alone

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
