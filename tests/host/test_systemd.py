"""What is said to the service manager, over a real socket of either kind."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.host.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """NOTIFY_SOCKET as systemd would set it, and the manager's end."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0"))
        heard.settimeout(5)
        yield name, heard


def test_each_word_is_one_datagram(manager: tuple[str, socket.socket]) -> None:
    name, heard = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "6000000"})
    notifier.ready()
    notifier.reloading()
    notifier.alive()
    notifier.status("two pipelines,\nall is well")
    notifier.status("two pipelines,\nall is well")  # no news
    notifier.stopping()
    said = [heard.recv(4096).decode() for _ in range(5)]
    assert said[0] == "READY=1"
    word, moment = said[1].split("\n")
    assert word == "RELOADING=1"
    assert int(moment.removeprefix("MONOTONIC_USEC=")) > 0
    assert said[2:] == ["WATCHDOG=1", "STATUS=two pipelines, all is well", "STOPPING=1"]
    assert notifier.watchdog_s == 6.0


def test_by_hand_nothing_is_said_and_no_watchdog_waits() -> None:
    notifier = Notifier({})
    notifier.ready()
    notifier.alive()
    assert notifier.watchdog_s is None


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}, 6.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"}, None),  # another's
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_ours_or_nobodys(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier(environment).watchdog_s == watchdog_s


def test_a_manager_that_does_not_listen_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    with caplog.at_level(logging.WARNING):
        notifier.ready()
        notifier.stopping()
    assert caplog.text.count("does not listen") == 1
