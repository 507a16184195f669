"""A `Config` in the words of the core: what one pipeline is made of, and what follows from it.

Pure: nothing is read here. `canonical` is what `config_sha256` is taken of (CONTRACT, ledger).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, fields
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

from edge_agent.config.part import plain
from edge_agent.config.rules import rule_spec
from edge_agent.config.schema import Config, Pipeline, SignalSource, Source
from edge_agent.config.signal_uri import parse
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.camera_events import CameraEventsSpec
from edge_agent.pipeline.gate import GateSpec
from edge_agent.pipeline.motion import MotionSpec
from edge_agent.pipeline.rulespec import Clip, Kind, RuleSpec
from edge_agent.pipeline.schedule import Schedule
from edge_agent.pipeline.zones import Line, Zone
from edge_agent.types import Polygon, Priority

Threads: TypeAlias = int | Literal["auto"]


@frozen
class PipelineSpec:
    """One pipeline as the core knows it, but for its model, which `bundles` must find first."""

    name: str
    source: str
    model: str  # as the configuration names it
    engine: str  # auto, litert or tflite-runtime
    threads: Threads
    delegate: str | None
    gate: GateSpec
    privacy: tuple[Polygon, ...]
    rules: tuple[RuleSpec, ...]
    zones: tuple[Zone, ...]
    lines: tuple[Line, ...]
    object_masks: tuple[Polygon, ...]
    camera_events: CameraEventsSpec | None = None


def pipeline_spec(config: Config, name: str) -> PipelineSpec:
    """The pipeline of that name; KeyError when there is none."""
    pipeline = config.pipelines[name]
    rules = tuple(rule_spec(rule, pipeline.defaults) for rule in pipeline.rules)
    return PipelineSpec(
        name=name,
        source=pipeline.source,
        model=pipeline.model,
        engine=pipeline.engine,
        threads=pipeline.threads,
        delegate=pipeline.delegate,
        gate=gate_spec(pipeline, rules, signal=config.sources[pipeline.source].kind == "signal"),
        privacy=pipeline.masks.privacy,
        rules=rules,
        zones=tuple(Zone(name, polygon) for name, polygon in pipeline.zones.items()),
        lines=tuple(Line(name, line.start, line.end) for name, line in pipeline.lines.items()),
        object_masks=pipeline.masks.object,
        camera_events=camera_events_spec(pipeline),
    )


def camera_events_spec(pipeline: Pipeline) -> CameraEventsSpec | None:
    """None: nobody looks whether the camera is well."""
    health = pipeline.camera_health
    return None if health is None else CameraEventsSpec(Priority(health.priority), health.output)


def gate_spec(pipeline: Pipeline, rules: tuple[RuleSpec, ...], *, signal: bool = False) -> GateSpec:
    """The gate lets what is new through for as many frames as any rule needs to confirm it.

    Of a signal every window counts, unless `max_fps` is stated, and nothing is seen that moves.
    """
    gate = pipeline.gate
    motion = None
    if gate.motion is not None and not signal:
        motion = MotionSpec(gate.motion.keepalive_s, gate.motion.sensitivity)
    windows = [window for needed, window in (rule.confirm for rule in rules) if needed > 1]
    return GateSpec(
        max_fps=0.0 if signal and "max_fps" not in gate.stated else gate.max_fps,
        motion=motion,
        stationary=motion is not None if gate.stationary is None else gate.stationary,
        schedule=None if gate.schedule is None else Schedule.parse(gate.schedule),
        motion_masks=pipeline.masks.motion,
        settle=max([GateSpec().settle, *windows]),
        settle_all=any(rule.kind is Kind.SWITCH for rule in rules),
        camera_health=pipeline.camera_health is not None,
        privacy=pipeline.masks.privacy,
    )


def resolve_id(text: str, hostname: str, serial: str) -> str:
    """`device.id` on this board: `${hostname}` and `${serial}` become what they name.

    Letters that an id cannot have become `-`. Raises UsageError when nothing is left.
    """
    named = {"${hostname}": hostname, "${serial}": serial}.get(text, text)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", named).strip("-")[:64]
    if not plain:
        raise UsageError(f"device.id {text} is empty on this board", "write an id of your own")
    return plain


# --- what it is hashed as ------------------------------------------------------------------------


def canonical(config: Config, name: str, model_sha256: str) -> str:
    """The resolved pipeline as JSON: all defaults filled in, keys sorted, no spaces.

    Without store, mqtt, outputs, secrets and paths: the model goes by its name and its hash. What
    is the same to the pipeline is the same text, however it was written.
    """
    pipeline, spec = config.pipelines[name], pipeline_spec(config, name)
    document = plain(pipeline, without=("defaults", "rules", "camera_health"))
    document |= {
        "name": name,
        "source": {"name": pipeline.source, **_source_document(config.sources[pipeline.source])},
        "model": {"name": model_name(pipeline.model), "sha256": model_sha256},
        "delegate": pipeline.delegate and PurePosixPath(pipeline.delegate).name,
        "rules": [_rule_document(rule) for rule in spec.rules],
    }
    document["gate"]["stationary"] = spec.gate.stationary
    document["gate"]["max_fps"] = spec.gate.max_fps
    if spec.camera_events is not None:
        document["camera_health"] = {"priority": spec.camera_events.priority.value}
    if spec.gate.motion is None:
        document["gate"]["motion"] = None
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _source_document(source: Source) -> dict[str, Any]:
    """How it is read, not where it lies: of a signal's uri the options, where it has any."""
    stated = plain(source, without=("uri", "username", "password"))
    options = parse(source.uri).options if isinstance(source, SignalSource) else {}
    return {**stated, "options": dict(options)} if options else stated


def _rule_document(rule: RuleSpec) -> dict[str, Any]:
    stated = {field.name: getattr(rule, field.name) for field in fields(rule)}
    if not rule.switched:
        del stated["switched"]  # so that rules of older versions have the hash they had
    del stated["output"]  # what an event switches on says nothing of how it was judged
    kept = [asdict(kind) if isinstance(kind, Clip) else kind for kind in rule.evidence]
    return stated | {
        "evidence": kept,
        "min_score": "model" if rule.min_score is None else rule.min_score,
        "schedule": rule.schedule and rule.schedule.text,
        "priority": rule.priority.value,
    }


def config_sha256(config: Config, name: str, model_sha256: str) -> str:
    return hashlib.sha256(canonical(config, name, model_sha256).encode()).hexdigest()


def model_name(reference: str) -> str:
    """`person` for `models/person`, `person.tar` and `person.tflite`."""
    path = PurePosixPath(reference)
    return path.stem if path.suffix in (".tar", ".tflite") else path.name


# --- what follows from it ------------------------------------------------------------------------


def worst_time_to_alert(rule: RuleSpec, fps: float) -> float:
    """Seconds from when something happens until its event opens, at the latest.

    At `fps` inferred frames a second, for an object that is found in n of any m frames in a row
    (`confirm`). Schedules and cool-downs come on top. docs/configuration.md has the table, a law in
    the tests holds it against the rules themselves.
    """
    interval = 1 / fps
    needed, window = rule.confirm
    misses = (window - needed) * interval  # in a row, at the most
    confirmed = window * interval
    match rule.kind:
        case Kind.PRESENCE if rule.dwell_s:
            held = misses + _whole(rule.dwell_s, interval) + misses
            return max(confirmed, interval + held)
        case Kind.PRESENCE:
            return confirmed
        case Kind.CROSSING:
            return interval + misses
        case Kind.COUNT:
            return confirmed + _whole(rule.dwell_s, interval)
        case Kind.ABSENCE:
            return _whole(rule.absent_s or 0.0, interval)
        case Kind.LEVEL:
            return interval + _whole(rule.for_s, interval)
        case Kind.SWITCH:
            return confirmed


def _whole(span: float, interval: float) -> float:
    """The span rounded up to whole intervals; sums of inexact steps are no step more."""
    return math.ceil(span / interval - 1e-6) * interval
