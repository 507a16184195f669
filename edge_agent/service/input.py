"""Sources from what people write: a configuration's `sources`, or a file on the command line.

Rule: what reads a kind of source is loaded where there is one, so that a start waits for no other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.config.schema import (
    CameraSource,
    ImagesSource,
    SceneSource,
    SignalSource,
    VideoSource,
)
from edge_agent.config.schema import Source as SourceConfig
from edge_agent.errors import UsageError
from edge_agent.ports import Source
from edge_agent.service.signals import RECORDINGS, recorded_signal, signal_of
from edge_agent.service.surroundings import MAX_AGE_S
from edge_agent.sources.built_in import SCHEME
from edge_agent.types import InputSpec, SignalSpec

if TYPE_CHECKING:
    from edge_agent.sources.camera import CameraSpec

#: What an event keeps of a signal: one window, or those of a clip.
KEPT_WINDOWS = (".npz", ".npy")


def open_input(
    uri: str,
    start: float,
    like: SourceConfig | None = None,
    wanted: InputSpec | SignalSpec | None = None,
    rates: tuple[float, ...] = (),
) -> Source:
    """What a recorded input is, by its name: the built-in scene, pictures, or else a video; for a
    model that `wanted` a signal, a CSV or WAV file or the built-in machine.

    `like` is the source that it stands for: of the same kind, it has the same rate. `rates` are
    those of the pipelines that look at it; without any, every frame has its picture.
    """
    if isinstance(wanted, SignalSpec) and uri.lower().endswith(KEPT_WINDOWS):
        from edge_agent.sources.kept_windows import KeptWindows

        return KeptWindows(Path(uri), wanted.window, start)
    if isinstance(wanted, SignalSpec):
        return recorded_signal(uri, start, like, wanted)
    if uri.lower().endswith(RECORDINGS):
        raise UsageError(f"{uri} is a signal, and the model reads pictures")
    if uri.startswith(SCHEME):
        from edge_agent.sources.scene import Scene, SceneSpec  # draws: only where it is asked for

        return Scene("scene", replace(SceneSpec.parse(uri), origin=start))
    from edge_agent.sources.images import Images, ImagesSpec, names_pictures

    path = Path(uri)
    if names_pictures(uri):
        fps = like.fps if isinstance(like, ImagesSource) else 1.0
        return Images(path.name, ImagesSpec(uri, fps, origin=start))
    if not path.exists():
        raise UsageError(f"there is no file {uri}")
    from edge_agent.sources.video import Video, VideoSpec

    fps_of_video = like.fps if isinstance(like, VideoSource) else None
    return Video(path.name, VideoSpec(path, fps_of_video, origin=start, rates=rates))


def source_of(
    name: str,
    config: SourceConfig,
    wanted: SignalSpec | None = None,
    rates: tuple[float, ...] = (),
) -> Source:
    """The source that a configuration describes; a signal in windows as its model `wanted` them,
    a camera or a video with pictures of the frames that keep one of `rates`, without any of all."""
    if isinstance(config, SignalSource):
        return signal_of(name, config, wanted)
    if isinstance(config, SceneSource):
        from edge_agent.sources.scene import Scene, SceneSpec

        return Scene(name, SceneSpec.parse(config.uri))
    if isinstance(config, CameraSource):
        from edge_agent.sources.camera import Camera

        return Camera(name, replace(camera_spec(config), rates=rates))
    if isinstance(config, ImagesSource):
        from edge_agent.sources.images import Images, ImagesSpec

        return Images(name, ImagesSpec(config.uri, config.fps, config.loop))
    from edge_agent.sources.video import Video, VideoSpec

    video = VideoSpec(Path(config.uri), config.fps, config.loop, rates=rates, packets=True)
    return Video(name, video)


def camera_spec(config: CameraSource) -> CameraSpec:
    from edge_agent.sources.camera import CameraSpec

    width, height = map(int, config.size.split("x")) if config.size else (0, 0)
    return CameraSpec(
        uri=config.uri,
        username=config.username,
        password=config.password,
        transport=config.transport,
        fps=config.fps,
        size=(width, height) if config.size else None,
        stall_s=config.stall_s,
        open_timeout_s=config.open_timeout_s,
    )


def max_age_s(config: SourceConfig) -> float:
    """How long a frame of it may have waited before it is `stale`."""
    stated: float = getattr(config, "max_age_s", MAX_AGE_S)
    return stated


def bound_s(config: SourceConfig) -> float:
    """The longest that its own time-outs let an open or a read take; 0 where it has none."""
    waits = (getattr(config, key, None) or 0.0 for key in ("open_timeout_s", "stall_s"))
    fps = getattr(config, "fps", None)
    longest: float = max(waits)
    return longest + (1 / fps if fps else 0.0)
