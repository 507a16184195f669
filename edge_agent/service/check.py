"""Whether a configuration and what it names fit together: sources, models and their labels.

`config` judges the file alone; here it meets the world outside of it, for `check`, `run` and
`reload`. Every mistake is reported at its line, even when other parts of the file are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import find
from edge_agent.config.explain import pipeline_spec, worst_time_to_alert
from edge_agent.config.load import Mistake, in_file_order, mistake, read
from edge_agent.config.schema import Config
from edge_agent.config.values import file_beside
from edge_agent.config.wording import did_you_mean, listed, printable, quoted
from edge_agent.config.yaml_text import Fault
from edge_agent.config.yaml_text import Path as Where
from edge_agent.errors import EdgeError
from edge_agent.service.assemble import FOLLOWED
from edge_agent.sources.images import find as find_pictures
from edge_agent.sources.scene import SceneSpec


@dataclass(frozen=True, slots=True)
class AlertTime:
    """How long a rule may take from what happens to the event that it opens."""

    pipeline: str
    rule: str
    priority: str
    fps: float | None  # inferred frames a second; None: as many as the source delivers
    worst_s: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found. `config` is there exactly when there are no mistakes."""

    file: Path
    config: Config | None
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    alerts: tuple[AlertTime, ...]


def check(path: Path, state: Path | None, otherwise: Path | None = None) -> Report:
    """Judge the configuration in `path` together with everything that it names.

    Installed models are looked for in `state`, else in the file's `store.path`, else in
    `otherwise`; shipped ones are always there. Never raises for what a person wrote.
    """
    loaded = read(path)
    beside = path.absolute().parent
    state = state or _stated_state(loaded.data, beside) or otherwise
    faults = [
        *_scene_faults(_entries(loaded.data, "sources")),
        *_model_faults(_entries(loaded.data, "pipelines"), state, beside),
    ]
    found = [mistake(path, fault, loaded.marks) for fault in faults]
    mistakes = in_file_order([*loaded.mistakes, *found])
    if mistakes or loaded.config is None:
        return Report(path, None, mistakes, (), ())
    missing = (mistake(path, fault, loaded.marks) for fault in _missing_footage(loaded.config))
    warnings = in_file_order([*loaded.warnings, *missing])
    return Report(path, loaded.config, (), warnings, tuple(_alert_times(loaded.config)))


def _stated_state(data: object, beside: Path) -> Path | None:
    store = data.get("store") if isinstance(data, dict) else None
    stated = store.get("path") if isinstance(store, dict) else None
    return Path(file_beside(stated, beside)) if isinstance(stated, str) and stated else None


# --- sources -------------------------------------------------------------------------------------


def _scene_faults(sources: dict[str, Any]) -> Iterator[Fault]:
    for name, source in sources.items():
        uri = source.get("uri")
        if source.get("kind") == "scene" and isinstance(uri, str):
            try:
                SceneSpec.parse(uri)
            except EdgeError as fault:
                yield Fault(("sources", name, "uri"), _sentence(fault))


def _missing_footage(config: Config) -> Iterator[Fault]:
    """Files that are not there yet: no mistake of the text, and perhaps another machine's."""
    for name, source in config.sources.items():
        if source.kind == "video" and not Path(source.uri).is_file():
            yield Fault(("sources", name, "uri"), f"there is no file {printable(source.uri)} yet")
        if source.kind == "images" and not find_pictures(source.uri):
            message = f"there is no picture at {printable(source.uri)} yet"
            yield Fault(("sources", name, "uri"), message)


# --- models --------------------------------------------------------------------------------------


def _model_faults(pipelines: dict[str, Any], state: Path | None, beside: Path) -> Iterator[Fault]:
    for name, pipeline in pipelines.items():
        path: Where = ("pipelines", name)
        reference = pipeline.get("model")
        if not isinstance(reference, str) or not reference.strip():
            continue  # the schema says so
        try:
            bundle = find(reference, state, beside)
        except EdgeError as fault:
            yield Fault((*path, "model"), _sentence(fault))
            continue
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            yield Fault((*path, "model"), f"cannot be read: {reason}")
            continue
        yield from _rules_faults(pipeline, path, bundle)


def _rules_faults(pipeline: dict[str, Any], path: Where, bundle: Bundle) -> Iterator[Fault]:
    defaults = pipeline.get("defaults")
    defaults = defaults if isinstance(defaults, dict) else {}
    yield from _label_faults(defaults.get("label"), (*path, "defaults", "label"), bundle)
    rules = pipeline.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            here: Where = (*path, "rules", index)
            yield from _label_faults(rule.get("label"), (*here, "label"), bundle)
            if {**defaults, **rule}.get("score_above") is None:
                yield from _unfollowed(bundle, here)


def _unfollowed(bundle: Bundle, path: Where) -> Iterator[Fault]:
    family = bundle.manifest.family
    if family not in FOLLOWED:
        message = (
            f"model {bundle.name} is a {family}, there are no objects to follow, "
            "allowed: rules with score_above"
        )
        yield Fault(path, message)


def _label_faults(stated: object, path: Where, bundle: Bundle) -> Iterator[Fault]:
    several = isinstance(stated, list)
    for index, label in enumerate(stated if isinstance(stated, list) else [stated]):
        word = str(label) if isinstance(label, int) and not isinstance(label, bool) else label
        if isinstance(word, str) and not _known(word, bundle.labels):
            here: Where = (*path, index) if several else path
            yield Fault(here, _no_label(word, bundle))


def _known(label: str, labels: Sequence[str]) -> bool:
    """Without labels the label is the index."""
    return label in labels if labels else label.isascii() and label.isdigit()


def _no_label(label: str, bundle: Bundle) -> str:
    labels = bundle.labels
    sentence = f"model {bundle.name} has no label {quoted(label)}"
    if not labels:
        return f"{sentence}, allowed: the index of a class, such as 0 (it has no labels)"
    return f"{sentence}, allowed: {listed(labels)}{did_you_mean(label, labels)}"


# --- how fast ------------------------------------------------------------------------------------


def _alert_times(config: Config) -> Iterator[AlertTime]:
    for name in config.pipelines:
        spec = pipeline_spec(config, name)
        rates = [rate for rate in (spec.gate.max_fps, source_fps(config, spec.source)) if rate]
        fps = min(rates, default=None)
        for rule in spec.rules:
            worst = None if fps is None else worst_time_to_alert(rule, fps)
            yield AlertTime(name, rule.name, rule.priority.value, fps, worst)


def source_fps(config: Config, name: str) -> float | None:
    """Frames a second that the source is known to deliver; None: only the file itself knows."""
    source = config.sources[name]
    if source.kind == "scene":
        return SceneSpec.parse(source.uri).fps
    return source.fps


# --- below ---------------------------------------------------------------------------------------


def _entries(data: object, key: str) -> dict[str, Any]:
    """Those entries of a mapping by name that are mappings themselves."""
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, dict):
        return {}
    return {name: entry for name, entry in found.items() if isinstance(entry, dict)}


def _sentence(fault: EdgeError) -> str:
    return f"{fault.message}, {fault.next}" if fault.next else fault.message
