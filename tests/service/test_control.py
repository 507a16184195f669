"""The control socket: one line in, one line out; nobody can hold the agent by it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import EdgeError, NotRunning, UsageError
from edge_agent.service.control import NAME, ControlServer, ask, reachable

PATIENCE_S = 10.0


def echo(args: Mapping[str, Any]) -> dict[str, Any]:
    return {"said": args["word"]}


def refuse(args: Mapping[str, Any]) -> dict[str, Any]:
    raise UsageError("there is no pipeline x", "edge-agent status")


RELOADED = threading.Event()


def reload(args: Mapping[str, Any]) -> dict[str, Any]:
    return {"waited": RELOADED.wait(PATIENCE_S)}


@pytest.fixture(params=["", "deep" * 30 + "/" + "deeper" * 20])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A running server, also in a directory deeper than a socket's address is long."""
    folder = tmp_path / request.param
    folder.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    server = ControlServer(folder, {"echo": echo, "refuse": refuse, "reload": reload})
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as probe, reachable(folder / NAME) as address:
            if probe.connect_ex(address) == 0:  # the file is there a moment before it listens
                break
        stop.wait(0.05)
    yield folder
    stop.set()
    thread.join(PATIENCE_S)
    assert not (folder / NAME).exists()


def test_a_request_is_answered(state: Path) -> None:
    assert ask(state, "echo", word="人") == {"said": "人"}


def test_an_error_comes_back_with_its_sentence_and_exit_code(state: Path) -> None:
    with pytest.raises(EdgeError, match="no pipeline x") as caught:
        ask(state, "refuse")
    assert caught.value.exit_code == 2
    assert caught.value.next == "edge-agent status"


def test_a_slow_answer_holds_nobody_else(state: Path) -> None:
    RELOADED.clear()
    answers: list[dict[str, Any]] = []
    slow = threading.Thread(target=lambda: answers.append(ask(state, "reload")))
    slow.start()
    assert ask(state, "echo", word="meanwhile") == {"said": "meanwhile"}
    assert not answers
    RELOADED.set()
    slow.join(PATIENCE_S)
    assert answers == [{"waited": True}]


def test_an_unknown_command_is_named(state: Path) -> None:
    with pytest.raises(EdgeError, match="no command 'dance'"):
        ask(state, "dance")


@pytest.mark.parametrize("nonsense", [b"not json\n", b"[]\n", b"{}\n", b"x" * 200_000, b""])
def test_nonsense_does_not_hold_the_agent(state: Path, nonsense: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client, reachable(state / NAME) as address:
        client.connect(address)
        client.settimeout(PATIENCE_S)
        try:
            client.sendall(nonsense)
        except OSError:
            assert len(nonsense) > 65_536  # it hung up on us, as it should
    assert ask(state, "echo", word="still here") == {"said": "still here"}


def test_without_an_agent_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no agent is running"):
        ask(tmp_path, "status")
