"""`metrics.textfile` of an agent that runs: whole, readable, right, and gone when it stops."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.errors import NotRunning
from edge_agent.service.control import ask
from edge_agent.service.metrics import Textfile, of_status, write
from edge_agent.service.status import stored_status
from edge_agent.store.rows import Depth, Identity, LastStatus

CONFIG = """\
sources: {庭: {kind: scene, uri: "built-in:?seed=11&fps=20"}}
pipelines:
  庭:
    source: 庭
    model: scene-detector
    rules: [{name: "侵入 \\"A\\"", confirm: [1, 1], cooldown_s: 0, priority: alert}]
metrics: {textfile: out/edge.prom}
"""


def numbers(path: Path) -> dict[tuple[str, ...], float]:
    """Name and label values -> number, of a whole file."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text("utf-8"))
        for sample in family.samples
    }


def test_a_running_agent_tells_its_numbers(
    tmp_path: Path, service: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    (tmp_path / "out").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, "utf-8")
    path = tmp_path / "out" / "edge.prom"
    running = service(config)
    eventually(path.exists, "the first file is written", 60)
    found = numbers(path)
    name = "edge_agent_"
    assert found[f"{name}status", "well"] + found[f"{name}status", "degraded"] == 1
    assert found[f"{name}events_total", "庭", '侵入 "A"', "alert"] >= 0
    assert found[f"{name}memory_bytes",] > 10e6
    assert found[f"{name}store_bytes",] > 0
    assert found[f"{name}start_time_seconds",] > 1.7e9
    assert (f"{name}queue_messages",) in found
    assert (f"{name}temperature_celsius",) not in found or found[f"{name}temperature_celsius",] > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert running.stop()[0] == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_the_ledger_adds_up_and_is_that_of_status(
    tmp_path: Path, service: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("out/", ""), "utf-8")
    service(config)
    path = tmp_path / "edge.prom"
    state = tmp_path / "state"
    eventually((state / "control.sock").exists, "the agent runs", 60)

    def seen() -> Any:
        try:
            status = ask(state, "status")
        except NotRunning:  # the socket is there a moment before anybody listens
            return None
        return status if status["pipelines"]["庭"]["ledger"]["inferred"] > 3 else None

    status = eventually(seen, "frames are inferred", 60)
    samples = tuple(of_status(status))
    decided = sum(each.value for each in samples if each.metric == "frames_total")
    (captured,) = (each.value for each in samples if each.metric == "frames_captured_total")
    (pending,) = (each.value for each in samples if each.metric == "frames_pending")
    assert captured == decided + pending
    assert path.exists()


def test_a_file_is_replaced_as_a_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    mask = os.umask(0o077)
    try:
        write(path, "a 1\n")
    finally:
        os.umask(mask)
    first = path.stat().st_ino
    with path.open() as reader:
        write(path, "a 2\n")
        assert reader.read() == "a 1\n"  # who reads has a whole one
    assert path.read_text() == "a 2\n"
    assert path.stat().st_ino != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def idle(state: Path, textfile: Path | None) -> tuple[Textfile, SimpleNamespace]:
    """A writer of an agent without pipelines, and its configuration that a test may change."""
    last = LastStatus(Identity("s", 1), None, {}, {}, (), Depth(0, None, None))
    status = {**stored_status(last, 1.0, NotRunning("x")), "clock": "synced"}
    metrics = SimpleNamespace(textfile=None if textfile is None else str(textfile))
    watch = SimpleNamespace(config=SimpleNamespace(metrics=metrics), runners={})
    return Textfile(state, lambda: watch, lambda: json.loads(json.dumps(status)), 1.0), metrics  # type: ignore[arg-type, return-value]


def test_a_disk_that_refuses_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "gone"
    textfile, _ = idle(tmp_path, folder / "x.prom")
    with caplog.at_level(logging.ERROR):
        textfile.tick()
        textfile.tick()
    assert len(caplog.records) == 1
    assert "No such file or directory" in caplog.text
    folder.mkdir()
    textfile.tick()
    assert 'edge_agent_status{verdict="down"} 1\n' in (folder / "x.prom").read_text()


def test_a_reload_that_names_another_place_leaves_none_behind(tmp_path: Path) -> None:
    textfile, metrics = idle(tmp_path, tmp_path / "a.prom")
    textfile.tick()
    metrics.textfile = str(tmp_path / "b.prom")
    textfile.tick()
    assert [path.name for path in tmp_path.iterdir()] == ["b.prom"]
    metrics.textfile = None
    textfile.tick()
    assert list(tmp_path.iterdir()) == []


def test_a_stop_removes_the_file(tmp_path: Path) -> None:
    textfile, _ = idle(tmp_path, tmp_path / "a.prom")
    stop = threading.Event()
    stop.set()
    textfile.run(stop)
    assert list(tmp_path.iterdir()) == []
