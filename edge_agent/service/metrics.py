"""`metrics.textfile`: the agent's numbers for node_exporter, every 15 seconds.

Rules: written beside its place and renamed, so that nobody reads half of it; readable by all (mode
0644), as node_exporter is another user; not synced to the disk, for after a power cut it is worth
nothing. What the disk refuses is logged once per change and costs the agent nothing else. On a stop
the file is removed: what is not there cannot be taken for news. Most numbers are those of `status`.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_agent import __version__
from edge_agent.durable import whole
from edge_agent.host.process import cpu_s, pss_mb, written_mb
from edge_agent.policy.exposition import Sample, exposition
from edge_agent.service.meter import STAGES
from edge_agent.service.runner import Runner
from edge_agent.service.watch import Watch
from edge_agent.store.db import FILE

log = logging.getLogger("edge_agent.metrics")

EVERY_S = 15.0
MODE = 0o644
VERDICTS = ("well", "degraded", "down")
_CLOCKS = {"synced": 1, "corrected": 1, "unsynced": 0}


class Textfile:
    """Writes what `status` and the pipelines say. The configuration of the moment says where."""

    def __init__(
        self,
        state: Path,
        watch: Callable[[], Watch],
        status: Callable[[], Mapping[str, Any]],
        started: float,
    ) -> None:
        self._state = state
        self._watch = watch
        self._status = status
        self._started = started
        self._written: Path | None = None
        self._refusal = ""

    def run(self, stop: threading.Event) -> None:
        try:
            while True:
                self.tick()
                if stop.wait(EVERY_S):
                    return
        finally:
            self._remove()

    def tick(self) -> None:
        """Write the file where one is wanted; one at a former place is removed."""
        wanted = self._watch().config.metrics.textfile
        path = None if wanted is None else Path(wanted)
        if path != self._written:
            self._remove()
        if path is None:
            return
        try:
            write(path, exposition(self.samples()))
        except OSError as fault:
            reason = f"{path}: {fault.strerror}"
            if reason != self._refusal:  # once per change
                log.error("metrics are not written reason=%r", reason)
            self._refusal = reason
        else:
            self._written, self._refusal = path, ""

    def samples(self) -> Iterator[Sample]:
        status = self._status()
        yield from of_status(status)
        for name, runner in self._watch().runners.items():
            yield from _of_runner(name, runner)
        yield from self._of_process()

    def _of_process(self) -> Iterator[Sample]:
        """What it costs, and what room there is."""
        files = (self._state / FILE, self._state / f"{FILE}-wal")
        disk = os.statvfs(self._state)
        yield Sample("build_info", 1, (__version__, platform.python_version()))
        yield Sample("store_bytes", sum(path.stat().st_size for path in files if path.exists()))
        yield Sample("disk_free_bytes", disk.f_bavail * disk.f_frsize)
        yield Sample("memory_bytes", round(pss_mb() * 2**20))
        yield Sample("cpu_seconds_total", round(cpu_s(), 3))
        yield Sample("written_bytes_total", round(written_mb() * 1e6))
        yield Sample("start_time_seconds", self._started)

    def _remove(self) -> None:
        if self._written is not None:
            self._written.unlink(missing_ok=True)
            self._written = None


def of_status(status: Mapping[str, Any]) -> Iterator[Sample]:
    """The numbers of `status/1`."""
    for verdict in VERDICTS:
        yield Sample("status", int(status["verdict"] == verdict), (verdict,))
    codes = [reason["code"] for reason in status["reasons"]]
    for code in dict.fromkeys(codes):
        yield Sample("reason", codes.count(code), (code,))
    for name, source in status["sources"].items():
        yield Sample("source_up", int(source["state"] == "delivering"), (name,))
        yield Sample("source_frames_total", source["frames"], (name,))
        yield Sample("source_broken_total", source["failed"], (name,))
        yield Sample("source_losses_total", source["losses"], (name,))
    for name, pipeline in status["pipelines"].items():
        yield from _of_ledger(name, pipeline["ledger"])
        yield Sample("events_open", pipeline["open_events"], (name,))
    for name, output in status["outputs"].items():
        yield Sample("output_failures_total", output["failures"], (name,))
    yield Sample("queue_messages", status["queue"]["depth"])
    if (broker := status["broker"]) is not None:
        yield Sample("broker_connected", int(broker["connected"]))
        yield Sample("messages_sent_total", broker["sent"])
        yield Sample("messages_set_aside", broker["set_aside"])
    yield Sample("clock_synced", _CLOCKS[status["clock"]])
    if status["temperature_c"] is not None:
        yield Sample("temperature_celsius", float(status["temperature_c"]))


def write(path: Path, text: str) -> None:
    """Whole or not at all, for everybody to read. Raises OSError."""
    with whole(path) as draft, draft.open("w", encoding="utf-8", errors="replace") as file:
        os.fchmod(file.fileno(), MODE)  # the agent's umask hides everything else
        file.write(text)


# --- below ---------------------------------------------------------------------------------------


def _of_ledger(pipeline: str, ledger: Mapping[str, Any]) -> Iterator[Sample]:
    yield Sample("frames_captured_total", ledger["captured"], (pipeline,))
    yield Sample("frames_total", ledger["inferred"], (pipeline, "inferred", ""))
    for reason, count in ledger["skipped"].items():
        yield Sample("frames_total", count, (pipeline, "skipped", reason))
    yield Sample("frames_total", ledger["failed"], (pipeline, "failed", ""))
    yield Sample("frames_pending", ledger["pending"], (pipeline,))


def _of_runner(pipeline: str, runner: Runner) -> Iterator[Sample]:
    """What `status` does not tell: events by rule, and where the time goes."""
    rules = {(rule.name, rule.priority.value): 0 for rule in runner.assembled.spec.rules}
    opened = runner.recorder.opened_by_rule.copy()  # the worker counts on
    for (rule, priority), count in {**rules, **opened}.items():
        yield Sample("events_total", count, (pipeline, rule, priority))
    for stage in STAGES:
        count, seconds = runner.meter.sum(stage)
        if count:
            yield Sample("stage_seconds", seconds, (pipeline, stage), "_sum")
            yield Sample("stage_seconds", count, (pipeline, stage), "_count")
