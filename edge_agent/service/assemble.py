"""From a configuration to a pipeline that can step: the model, the engine, the core's parts.

Everything that may be wrong with a model is found here, before the first frame. `Assembled` is what
the worker and the replay hold in their hands. Read `runner.py` next.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import find
from edge_agent.config.explain import PipelineSpec, canonical, config_sha256, pipeline_spec
from edge_agent.config.schema import Config
from edge_agent.engines import EngineName
from edge_agent.engines.choice import Choice, choose
from edge_agent.engines.measure import kept
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.camera_events import CameraEvents
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.pipeline.family import followed
from edge_agent.pipeline.gate import Gate
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.rules import Ident, Rules, RulesSpec
from edge_agent.pipeline.rulespec import threshold_fault
from edge_agent.pipeline.step import Parts, Pipeline
from edge_agent.pipeline.subjects import Subjects
from edge_agent.pipeline.track import CELLS, Tracker, TrackSpec
from edge_agent.policy.documents import About
from edge_agent.ports import Engine, Stopwatch
from edge_agent.service.models import open_model
from edge_agent.service.sharing import Shared
from edge_agent.types import ModelSpec, Priority, SignalSpec

#: Families in whose weaker findings a confident object may be seen again. Those of a heat map would
#: change the outlines of all others.
_SEEN_WEAKLY = frozenset({"yolo", "ssd"})
#: Families of which every finding counts: their scores have no scale that is the same for all.
_ALL_COUNT = frozenset({"anomaly", "generic"})


@frozen
class Site:
    """Where the pipelines work: the state directory, the configuration's folder, who they are."""

    state: Path
    beside: Path
    ident: Ident = Ident()
    engine: EngineName | None = None  # replay's --engine and --threads win over the configuration
    threads: int | None = None
    shared: Shared | None = None  # None: the pipeline has model and cores for itself
    #: Told the pipeline and the model's sha256 just before that is loaded.
    loading: Callable[[str, str], None] | None = None


@frozen
class Assembled:
    """One pipeline that can step, and what is to be said of it."""

    spec: PipelineSpec
    bundle: Bundle
    model: ModelSpec
    choice: Choice
    engine: Engine
    pipeline: Pipeline
    about: About
    canonical: str  # the text behind config_sha256
    ident: Ident


def assemble(config: Config, name: str, site: Site, clock: Stopwatch) -> Assembled:
    """Build one pipeline. Raises UsageError and Refused with the model's fault."""
    spec = pipeline_spec(config, name)
    bundle = find(spec.model, site.state, site.beside)
    if site.loading is not None:
        site.loading(name, bundle.manifest.sha256)
    choice = choose(
        site.engine or spec.engine,  # type: ignore[arg-type]
        site.threads or spec.threads,
        kept(site.state, bundle.manifest.sha256),
    )
    opener = open_model if site.shared is None else site.shared.open
    opened = opener(bundle, replace(choice.plan, delegate=spec.delegate), site.state)
    model, engine = opened.spec, opened.engine
    parts = parts_of(spec, model, engine, site.ident)
    if site.shared is not None:
        parts = replace(parts, turn=partial(site.shared.turns.turn, rank_of(spec), engine))
    pipeline = Pipeline(parts, clock)
    sha = config_sha256(config, name, model.sha256)
    about = About(model.name, model.version, model.sha256, engine.name, sha)
    text = canonical(config, name, model.sha256)
    return Assembled(spec, bundle, model, choice, engine, pipeline, about, text, site.ident)


def goes_on(old: Assembled, new: Assembled) -> bool:
    """Whether a pipeline can go on with another model between two frames: the source gives what
    it takes, and the rules find what they looked at."""
    was, is_ = old.model.input, new.model.input
    if isinstance(was, SignalSpec) and isinstance(is_, SignalSpec):
        same = ("window", "hop", "rate_hz", "channels")
        fits = all(getattr(was, key) == getattr(is_, key) for key in same)
    else:
        fits = type(was) is type(is_)
    return fits and followed(old.model.family) == followed(new.model.family)


def rank_of(spec: PipelineSpec) -> int:
    """The highest priority of its rules; 0 is the most urgent."""
    return min((rule.priority.rank for rule in spec.rules), default=Priority.NOTICE.rank)


def parts_of(spec: PipelineSpec, model: ModelSpec, engine: Engine, ident: Ident) -> Parts:
    """What a pipeline is made of, by its configuration and by its model's family.

    Raises Refused when the model's tensors do not fit, UsageError when a rule asks for a threshold
    that did not come with the model.
    """
    rules = RulesSpec(
        pipeline=spec.name,
        source=spec.source,
        rules=spec.rules,
        zones=spec.zones,
        lines=spec.lines,
        object_masks=spec.object_masks,
        min_score=model.min_score,
        threshold=_threshold(spec, model),
        ident=ident,
    )
    lowest = _lowest_score(spec, model)
    # Half of what counts is enough to keep a track alive that was confident before (ByteTrack).
    weakest = lowest / 2 if model.family in _SEEN_WEAKLY else lowest
    return Parts(
        gate=Gate(spec.gate),
        preprocess=preparer(model),
        engine=engine,
        decode=decoder(replace(model, min_score=weakest)),
        tracker=_tracker(model, lowest, weakest) if followed(model.family) else None,
        rules=Rules(rules),
        camera_events=None
        if spec.camera_events is None
        else CameraEvents(spec.camera_events, rules),
        privacy=spec.privacy,
        min_score=lowest,
    )


def _tracker(model: ModelSpec, lowest: float, weakest: float) -> Tracker:
    """How the findings of the model's family are followed."""
    match model.family:
        case "pose":
            return Subjects(model.labels or COCO, TrackSpec(high=lowest))
        case "segmentation":
            return Subjects(model.labels, TrackSpec(high=lowest), areas=True)
        case "fomo":
            return Tracker(replace(CELLS, high=lowest, low=lowest))
    return Tracker(TrackSpec(high=lowest, low=weakest))


def _threshold(spec: PipelineSpec, model: ModelSpec) -> float | None:
    """The threshold that came with the model. Raises UsageError when a rule asks for it in vain."""
    threshold = model.output.get("threshold")
    for rule in spec.rules:
        fault = threshold_fault(rule, threshold)
        if fault is not None:
            raise UsageError(f"rule {rule.name} of pipeline {spec.name}: {fault}")
    return threshold


def _lowest_score(spec: PipelineSpec, model: ModelSpec) -> float:
    """From which score on a finding counts: nothing is dropped that any rule wants to see."""
    if model.family in _ALL_COUNT:
        return -math.inf
    wanted = [model.min_score]
    for rule in spec.rules:
        asked = (rule.min_score, rule.score_above, rule.clear_below)
        wanted += [score for score in asked if isinstance(score, int | float)]
    return min(wanted)
