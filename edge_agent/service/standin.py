"""What takes the place of a part that ended the agent again and again, and how that is told.

A model: the version before it, else the one that came with the package, where their labels answer
the same rules; else its pipeline is set aside and the others watch on. A frame is passed over. A
configuration: the one that held before. A reload by a person gives each another chance. Read
`marker.py` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.bundles.find import find
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.bundles.slots import models_folder, read_slots
from edge_agent.config.schema import Config
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.blame import SERIES
from edge_agent.service.marker import Aside, Marker

_ENDED = f"ended the agent {SERIES} times in a row"
_AGAIN = "once more: edge-agent reload"


@frozen
class Notice:
    """What `status`, `health` and the log say of it; `since` is the wall's time."""

    code: str
    message: str
    next: str
    since: float


@frozen
class StoodIn:
    """The configuration that is run, and what is different from the one that was written."""

    config: Config
    notices: tuple[Notice, ...] = ()


def stand_in(config: Config, state: Path, beside: Path, marker: Marker) -> StoodIn:
    """Replace what is blamed."""
    pipelines, notices = dict(config.pipelines), []
    for aside in marker.asides:
        name = aside.blame.pipeline
        if name not in pipelines:
            continue
        if aside.blame.kind == "frame":
            message = f"pipeline {name} passes over a frame that {_ENDED}"
            notices.append(Notice("frame_skipped", message, _AGAIN, aside.since))
        if aside.blame.kind == "model":
            other = _other(pipelines[name].model, state, beside, marker.of("model", name))
            if other is None:
                continue  # it is not the one that is configured now
            notices.append(_of_model(name, other, aside))
            if other.instead is None:
                del pipelines[name]
            else:
                model = str(other.instead.folder)
                pipelines[name] = replace(pipelines[name], model=model)
    used = {pipeline.source for pipeline in pipelines.values()}
    sources = {name: each for name, each in config.sources.items() if name in used or not notices}
    return StoodIn(replace(config, pipelines=pipelines, sources=sources), tuple(notices))


def config_notice(path: Path, since: float) -> Notice:
    """The configuration in `path` is not the one that is run."""
    message = f"the configuration {path} {_ENDED}: the one that held before it is in charge"
    return Notice("config_replaced", message, "correct it, then: edge-agent reload", since)


@frozen
class _Other:
    """The blamed model, and what is run instead of it."""

    blamed: Bundle
    instead: Bundle | None


def _other(reference: str, state: Path, beside: Path, blamed: frozenset[str]) -> _Other | None:
    """None where the model that is configured now is not a blamed one."""
    try:
        bundle = find(reference, state, beside)
    except EdgeError:
        return None  # whoever loads it says so
    if bundle.manifest.sha256 not in blamed:
        return None
    for other in _candidates(reference, state):
        same = other.manifest.family == bundle.manifest.family
        if same and other.manifest.sha256 not in blamed and set(bundle.labels) <= set(other.labels):
            return _Other(bundle, other)
    return _Other(bundle, None)


def _candidates(name: str, state: Path) -> Iterator[Bundle]:
    """The version before, then the shipped one: those that can be opened."""
    previous = read_slots(state, name).previous
    folders = [] if previous is None else [models_folder(state) / name / previous]
    folders += [folder for shipped, folder in shipped_folders().items() if shipped == name]
    for folder in folders:
        try:
            yield open_bundle(folder, shipped=folder in shipped_folders().values())
        except EdgeError:
            continue  # a damaged one is no help


def _of_model(pipeline: str, other: _Other, aside: Aside) -> Notice:
    blamed = f"{other.blamed.name} {other.blamed.manifest.version}"
    if other.instead is None:
        message = f"pipeline {pipeline} is set aside: its model {blamed} {_ENDED}"
        return Notice("set_aside", message, f"choose another model, or {_AGAIN}", aside.since)
    version = other.instead.manifest.version
    message = f"pipeline {pipeline} runs {other.instead.name} {version}: model {blamed} {_ENDED}"
    return Notice("model_replaced", message, f"activate another version, or {_AGAIN}", aside.since)
