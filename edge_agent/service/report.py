"""The run report: what a run did and what it cost, as `run-report/1`.

Top level = sums; a field that is one word for several pipelines is null where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.host.process import cpu_s, pss_mb, written_mb
from edge_agent.service.ledger import frames_document, total
from edge_agent.service.meter import STAGES, Meter
from edge_agent.service.runner import Runner
from edge_agent.types import Ledger


@frozen
class Cost:
    """Readings at the start of a run; `spent` says what it took since."""

    wall: float
    cpu: float
    written: float


def begin(wall: float) -> Cost:
    return Cost(wall, cpu_s(), written_mb())


def run_report(runners: Sequence[Runner], start: Cost, wall: float) -> dict[str, Any]:
    """The report of one run. `wall` is read on the same clock as `start.wall`."""
    wall_s = wall - start.wall
    pipelines = {runner.name: _pipeline(runner, wall_s) for runner in runners}
    costs = {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(cpu_s() - start.cpu, 3),
        "rss_mb": round(pss_mb(), 1),
        "written_mb": round(written_mb() - start.written, 3),
    }
    return assembled(pipelines, costs)


def merged_report(
    reports: Sequence[Mapping[str, Any]], meters: Sequence[Mapping[str, Meter]], wall: float
) -> dict[str, Any]:
    """One report of several runs of the same pipelines, `wall` seconds for all of them together.

    Sums and merged latencies; what differs between the runs is null. CPU and memory are those of
    this process and of the children that it has waited for.
    """
    pipelines = {
        name: _merged(
            [report["pipelines"][name] for report in reports],
            Meter.merged([meter[name] for meter in meters]),
            wall,
        )
        for name in reports[0]["pipelines"]
    }
    costs = {
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu_s(), 3),
        "rss_mb": round(max([pss_mb(), *(report["rss_mb"] for report in reports)]), 1),
        "written_mb": round(sum(report["written_mb"] for report in reports), 3),
    }
    return assembled(pipelines, costs)


def assembled(pipelines: dict[str, dict[str, Any]], costs: dict[str, float]) -> dict[str, Any]:
    """The whole document from its pipelines' parts."""
    parts = list(pipelines.values())
    frames = total([_ledger(part["frames"]) for part in parts])
    return {
        "schema": "run-report/1",
        **{key: _same(parts, key) for key in ("source", "model", "engine", "threads")},
        "frames": frames_document(frames),
        "events": {key: sum(part["events"][key] for part in parts) for key in ("opened", "closed")},
        "wall_s": costs["wall_s"],
        "cpu_s": costs["cpu_s"],
        "fps": round(frames.captured / costs["wall_s"], 1) if costs["wall_s"] else 0.0,
        "latency_ms": _same(parts, "latency_ms") or dict.fromkeys(STAGES),
        "rss_mb": costs["rss_mb"],
        "written_mb": costs["written_mb"],
        "invoke_fps": _same(parts, "invoke_fps"),
        "efficiency": _same(parts, "efficiency"),
        "pipelines": {name: {**part, **costs} for name, part in pipelines.items()},
    }


def _pipeline(runner: Runner, wall_s: float) -> dict[str, Any]:
    return {
        "source": runner.assembled.spec.source,
        "model": runner.assembled.about.model,
        "engine": runner.assembled.about.engine,
        "threads": runner.assembled.engine.threads,
        "events": {"opened": runner.recorder.opened, "closed": runner.recorder.closed},
        **_pace(runner.account.ledger(), runner.meter, wall_s),
    }


def _merged(parts: Sequence[dict[str, Any]], meter: Meter, wall_s: float) -> dict[str, Any]:
    return {
        **{key: _same(parts, key) for key in ("source", "model", "engine", "threads")},
        "events": {key: sum(part["events"][key] for part in parts) for key in ("opened", "closed")},
        **_pace(total([_ledger(part["frames"]) for part in parts]), meter, wall_s),
    }


def _pace(ledger: Ledger, meter: Meter, wall_s: float) -> dict[str, Any]:
    """How much was done and how fast; `efficiency` is told where every frame was inferred."""
    invoke_ms = meter.p50("invoke")
    invoke_fps = 1000 / invoke_ms if invoke_ms else None
    efficiency = None
    if invoke_fps and wall_s and ledger.inferred == ledger.captured - ledger.failed:
        efficiency = round(ledger.inferred / wall_s / invoke_fps, 3)
    return {
        "frames": frames_document(ledger),
        "fps": round(ledger.captured / wall_s, 1) if wall_s else 0.0,
        "latency_ms": meter.summary(),
        "invoke_fps": None if invoke_fps is None else round(invoke_fps, 1),
        "efficiency": efficiency,
    }


def _ledger(frames: dict[str, Any]) -> Ledger:
    return Ledger(**frames)


def _same(parts: Sequence[dict[str, Any]], key: str) -> Any:
    values = [part[key] for part in parts]
    return values[0] if values and all(value == values[0] for value in values) else None
