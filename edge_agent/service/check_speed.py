"""How long each rule may take from what happens to its event, as `check` tells it.

Rules: a pipeline is as fast as the slower of its gate and its source; what only the samples or the
film itself know is not guessed. Read `config/explain.py` for the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge_agent.bundles.bundle import Bundle
from edge_agent.config.explain import pipeline_spec, worst_time_to_alert
from edge_agent.config.schema import Config, SignalSource
from edge_agent.frozen import frozen
from edge_agent.service.signals import wanted_by, windows_a_second


@frozen
class AlertTime:
    """How long a rule may take from what happens to the event that it opens."""

    pipeline: str
    rule: str
    priority: str
    fps: float | None  # inferred frames or windows a second; None: as many as the source delivers
    worst_s: float | None
    hot_fps: float  # with the board so hot that `thermal.min_fps` is all that is left
    hot_worst_s: float


def alert_times(
    config: Config, bundles: Mapping[str, Bundle], heard: Mapping[str, float]
) -> Iterator[AlertTime]:
    """Of every rule. `bundles` are the models by pipeline, `heard` the windows a second of those
    sources that were listened to."""
    for name in config.pipelines:
        spec = pipeline_spec(config, name)
        source = heard.get(spec.source) or _source_fps(config, spec.source, bundles.get(name))
        rates = [rate for rate in (spec.gate.max_fps, source) if rate]
        fps = min(rates, default=None)
        hot = min([config.thermal.min_fps, *rates])
        for rule in spec.rules:
            worst = None if fps is None else worst_time_to_alert(rule, fps)
            at_worst = worst_time_to_alert(rule, hot)
            yield AlertTime(name, rule.name, rule.priority.value, fps, worst, hot, at_worst)


def _source_fps(config: Config, name: str, bundle: Bundle | None) -> float | None:
    """Frames or windows a second that the source is known to deliver, from what is written."""
    source = config.sources[name]
    if source.kind == "scene":
        from edge_agent.sources.scene import SceneSpec  # draws: only where it is asked for

        return SceneSpec.parse(source.uri).fps
    if isinstance(source, SignalSource):
        return windows_a_second(source, None if bundle is None else wanted_by(bundle))
    return source.fps
