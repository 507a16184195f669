"""From a configuration to a pipeline that can step: the model, the engine, the core's parts.

Everything that may be wrong with a model is found here, before the first frame. `Assembled` is what
the worker and the replay hold in their hands. Read `runner.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import find
from edge_agent.config.explain import PipelineSpec, canonical, config_sha256, pipeline_spec
from edge_agent.config.schema import Config
from edge_agent.engines import EngineName
from edge_agent.engines.choice import Choice, choose
from edge_agent.engines.measure import kept
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.gate import Gate
from edge_agent.pipeline.preprocess import Preprocessor
from edge_agent.pipeline.rules import Ident, Rules, RulesSpec
from edge_agent.pipeline.step import Parts, Pipeline
from edge_agent.pipeline.track import Tracker, TrackSpec
from edge_agent.policy.documents import About
from edge_agent.ports import Engine, Stopwatch
from edge_agent.service.models import open_model
from edge_agent.types import ModelSpec

#: Families whose findings are objects that can be followed from frame to frame.
FOLLOWED = frozenset({"yolo", "ssd"})


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pipelines work: the state directory, the configuration's folder, who they are."""

    state: Path
    beside: Path
    ident: Ident = Ident()
    engine: EngineName | None = None  # replay's --engine and --threads win over the configuration
    threads: int | None = None


@dataclass(frozen=True, slots=True)
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


def assemble(config: Config, name: str, site: Site, clock: Stopwatch) -> Assembled:
    """Build one pipeline. Raises UsageError and Refused with the model's fault."""
    spec = pipeline_spec(config, name)
    bundle = find(spec.model, site.state, site.beside)
    choice = choose(
        site.engine or spec.engine,  # type: ignore[arg-type]
        site.threads or spec.threads,
        kept(site.state, bundle.manifest.sha256),
    )
    opened = open_model(bundle, replace(choice.plan, delegate=spec.delegate), site.state)
    model, engine = opened.spec, opened.engine
    pipeline = Pipeline(_parts(spec, model, engine, site.ident), clock)
    sha = config_sha256(config, name, model.sha256)
    about = About(model.name, model.version, model.sha256, engine.name, sha)
    text = canonical(config, name, model.sha256)
    return Assembled(spec, bundle, model, choice, engine, pipeline, about, text)


def _parts(spec: PipelineSpec, model: ModelSpec, engine: Engine, ident: Ident) -> Parts:
    rules = RulesSpec(
        pipeline=spec.name,
        source=spec.source,
        rules=spec.rules,
        zones=spec.zones,
        lines=spec.lines,
        object_masks=spec.object_masks,
        min_score=model.min_score,
        ident=ident,
    )
    lowest = _lowest_score(spec, model)
    follow = model.family in FOLLOWED
    # Half of what counts is enough to keep a track alive that was confident before (ByteTrack).
    weakest = lowest / 2 if follow else lowest
    return Parts(
        gate=Gate(spec.gate),
        preprocess=Preprocessor(model.input, model.input_tensor),
        engine=engine,
        decode=decoder(replace(model, min_score=weakest)),
        tracker=Tracker(TrackSpec(high=lowest, low=weakest)) if follow else None,
        rules=Rules(rules),
        privacy=spec.privacy,
        min_score=lowest,
    )


def _lowest_score(spec: PipelineSpec, model: ModelSpec) -> float:
    """From which score on a finding counts: nothing is dropped that any rule wants to see."""
    wanted = [rule.min_score for rule in spec.rules if rule.min_score is not None]
    return min([model.min_score, *wanted])
