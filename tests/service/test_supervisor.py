"""Threads start and end in one place; a failure restarts its part, then the process."""

from __future__ import annotations

import threading
import time

from edge_agent.service import supervisor
from edge_agent.service.supervisor import RESTARTS, Group

PATIENCE_S = 10.0


def test_a_worker_that_fails_is_restarted(caplog) -> None:  # type: ignore[no-untyped-def]
    runs = 0
    well = threading.Event()

    def work(stop: threading.Event) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError("first time")
        well.set()
        stop.wait(PATIENCE_S)

    hopeless: list[str] = []
    group = Group("test", hopeless.append)
    group.start("part", work)
    assert well.wait(PATIENCE_S)
    assert group.stop(PATIENCE_S) == ()
    assert runs == 2
    assert hopeless == []
    assert "first time" in caplog.text  # our own fault: a traceback in the log


def test_one_that_fails_again_and_again_ends_the_process(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(supervisor, "PAUSE_S", 0.001)
    told = threading.Event()
    runs = 0

    def work(stop: threading.Event) -> None:
        nonlocal runs
        runs += 1
        raise RuntimeError("always")

    group = Group("test", lambda name: told.set())
    group.start("part", work)
    assert told.wait(PATIENCE_S)
    group.stop(PATIENCE_S)
    assert runs == RESTARTS + 1


def test_one_that_does_not_end_is_named_and_the_others_end() -> None:
    release = threading.Event()
    group = Group("test", lambda name: None)
    group.start("good", lambda stop: stop.wait(PATIENCE_S) and None)
    group.start("stuck", lambda stop: release.wait(PATIENCE_S) and None)
    assert group.stop(0.2) == ("stuck",)
    assert group.alive() == ("stuck",)
    release.set()
    # It was only late: who ends the process in anger must look again.
    deadline = time.monotonic() + PATIENCE_S
    while group.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert group.alive() == ()
