"""Measuring takes child processes, and the answer is kept with what it is true of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.engines import available, version
from edge_agent.engines.measure import Measurement, board, kept, measure, save
from edge_agent.errors import UsageError

Find = Callable[[str], Path]


def test_every_engine_is_measured_with_every_number_of_threads(tiny_file: Find) -> None:
    found = measure(tiny_file("float16_weights"), seconds=0.1)
    threads = range(1, min(4, len(os.sched_getaffinity(0))) + 1)
    assert {(one.engine, one.threads) for one in found} == {
        (engine, count) for engine in available() for count in threads
    }
    for one in found:
        assert one.version == version(one.engine)
        assert one.p50_ms is not None
        assert one.p95_ms is not None
        assert 0 < one.p50_ms <= one.p95_ms
        assert one.invokes >= 15
    speeds = [one.p50_ms for one in found if one.p50_ms is not None]
    assert speeds == sorted(speeds)


def test_an_engine_that_refuses_or_crashes_is_listed_with_its_reason(tiny_file: Find) -> None:
    for one in measure(tiny_file("crashes"), seconds=0.1):
        assert one.p50_ms is None
        assert "crashed the runtime" in one.refused


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        measure(tmp_path / "nothing.tflite")


def test_measurements_are_kept_per_model(tmp_path: Path) -> None:
    fast = Measurement("litert", "2.3.0", 1, 0.5, 0.75, 100)
    refused = Measurement("tflite-runtime", "2.14.0", 1, None, None, 0, "needs X")
    save(tmp_path, "abc", [fast, refused])
    save(tmp_path, "def", [refused])
    entry = kept(tmp_path, "abc")
    assert entry is not None
    assert entry.measurements == (fast, refused)
    assert entry.board == board()
    assert len(entry.date) == len("2026-11-24")
    assert kept(tmp_path, "another") is None


def test_the_board_is_named() -> None:
    assert board().endswith(f", {os.cpu_count()} cores")
    assert "\0" not in board()
