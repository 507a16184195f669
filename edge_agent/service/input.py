"""Sources from what people write: a configuration's `sources`, or a file on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_agent.config.schema import ImagesSource, SceneSource, VideoSource
from edge_agent.config.schema import Source as SourceConfig
from edge_agent.errors import UsageError
from edge_agent.ports import Source
from edge_agent.sources.images import SUFFIXES, Images, ImagesSpec
from edge_agent.sources.video import Video, VideoSpec

SCHEME = "built-in:"


def open_input(uri: str, start: float, like: SourceConfig | None = None) -> Source:
    """What a recorded input is, by its name: the built-in scene, pictures, or else a video.

    `like` is the source that it stands for: of the same kind, it has the same rate.
    """
    if uri.startswith(SCHEME):
        from edge_agent.sources.scene import Scene, SceneSpec  # draws: only where it is asked for

        return Scene("scene", replace(SceneSpec.parse(uri), origin=start))
    path = Path(uri)
    if path.is_dir() or path.suffix.lower() in SUFFIXES or any(mark in uri for mark in "*?["):
        fps = like.fps if isinstance(like, ImagesSource) else 1.0
        return Images(path.name, ImagesSpec(uri, fps, origin=start))
    if not path.exists():
        raise UsageError(f"there is no file {uri}")
    fps_of_video = like.fps if isinstance(like, VideoSource) else None
    return Video(path.name, VideoSpec(path, fps_of_video, origin=start))


def source_of(name: str, config: SourceConfig) -> Source:
    """The source that a configuration describes."""
    if isinstance(config, SceneSource):
        from edge_agent.sources.scene import Scene, SceneSpec

        return Scene(name, SceneSpec.parse(config.uri))
    if isinstance(config, ImagesSource):
        return Images(name, ImagesSpec(config.uri, config.fps, config.loop))
    return Video(name, VideoSpec(Path(config.uri), config.fps, config.loop))
