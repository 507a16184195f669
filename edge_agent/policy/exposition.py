"""Metrics in Prometheus' text format, as node_exporter's textfile collector reads it. Pure.

Every metric that there is stands in `METRICS`, and in docs/metrics.md, which a test holds to it.
Names are those of Prometheus' conventions: base units, counters end in `_total`. Format:
https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4). Read
`service/metrics.py` next: where the numbers come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from edge_agent.frozen import frozen

PREFIX = "edge_agent_"


@frozen
class Metric:
    """`labels` are their names; a summary has the samples `_sum` and `_count`."""

    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    labels: tuple[str, ...] = ()


@frozen
class Sample:
    """One number. `labels` are the values, in the order of the metric's names."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()
    suffix: Literal["", "_sum", "_count"] = ""


METRICS = (
    Metric("build_info", "gauge", "Always 1; its labels say what runs.", ("version", "python")),
    Metric("status", "gauge", "1 of the verdict that holds, 0 of the others.", ("verdict",)),
    Metric("reason", "gauge", "Reasons of the verdict, as status tells them.", ("code",)),
    Metric("frames_captured_total", "counter", "Frames offered to the pipeline.", ("pipeline",)),
    Metric(
        "frames_total",
        "counter",
        "Frames decided: inferred, skipped for a reason, failed.",
        ("pipeline", "verdict", "reason"),
    ),
    Metric("frames_pending", "gauge", "Frames that wait for a verdict.", ("pipeline",)),
    Metric(
        "events_total", "counter", "Events that opened.", ("pipeline", "rule", "priority")
    ),
    Metric("events_open", "gauge", "Events that are open.", ("pipeline",)),
    Metric(
        "stage_seconds",
        "summary",
        "Time in each stage of a frame's way.",
        ("pipeline", "stage"),
    ),
    Metric("source_up", "gauge", "1 while the source delivers.", ("source",)),
    Metric("source_frames_total", "counter", "Frames that the source delivered.", ("source",)),
    Metric("source_broken_total", "counter", "Broken items of the source.", ("source",)),
    Metric("source_losses_total", "counter", "Times that the source was lost.", ("source",)),
    Metric("output_failures_total", "counter", "Changes of the output that failed.", ("output",)),
    Metric("queue_messages", "gauge", "Messages that wait for the broker."),
    Metric("broker_connected", "gauge", "1 while the broker is connected."),
    Metric("messages_sent_total", "counter", "Messages that the broker acknowledged."),
    Metric("messages_set_aside", "gauge", "Messages that the broker refuses."),
    Metric("clock_synced", "gauge", "1 while times can be believed."),
    Metric("temperature_celsius", "gauge", "The temperature that the governor goes by."),
    Metric("store_bytes", "gauge", "Size of the database with its log."),
    Metric("disk_free_bytes", "gauge", "Room where the state directory lies."),
    Metric("memory_bytes", "gauge", "Memory of the agent's processes (PSS)."),
    Metric("cpu_seconds_total", "counter", "CPU time of the agent."),
    Metric("written_bytes_total", "counter", "Bytes that the agent sent towards the disk."),
    Metric("start_time_seconds", "gauge", "When this start of the agent began, Unix time."),
)  # fmt: skip


def exposition(samples: Iterable[Sample]) -> str:
    """The whole file, in the order of METRICS; a metric without a sample is left out."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.metric, []).append(sample)
    lines = []
    for metric in METRICS:
        if metric.name in found:
            name = PREFIX + metric.name
            lines += [f"# HELP {name} {_help(metric.help)}", f"# TYPE {name} {metric.kind}"]
            lines += [_line(metric, sample) for sample in found.pop(metric.name)]
    if found:
        raise ValueError(f"no metrics: {', '.join(found)}")
    return "".join(f"{line}\n" for line in lines)


def _line(metric: Metric, sample: Sample) -> str:
    pairs = zip(metric.labels, sample.labels, strict=True)
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    whole = f"{{{labels}}}" if labels else ""
    return f"{PREFIX}{metric.name}{sample.suffix}{whole} {_number(sample.value)}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
