"""Everything wrong that a person can type: one sentence, what to do next, the right exit code."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.store.record import open_store

Ask = Callable[..., Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

MISTAKES = [
    (("stats",), 2, "there is no command 'stats' (did you mean status?)", "edge-agent --help"),
    (("events", "lst"), 2, "'events lst' (did you mean list?)", "edge-agent events --help"),
    (("models", "lits"), 2, "'models lits' (did you mean list?)", "edge-agent models --help"),
    (("xyzzy",), 2, "there is no command 'xyzzy'", "edge-agent --help"),
    (("-x",), 2, "No such option '-x'", "edge-agent --help"),
    (("--jsno",), 2, "No such option '--jsno'", "edge-agent --help"),
    (("status", "--wach"), 2, "Did you mean one of: ", "edge-agent status --help"),
    (("events", "list", "--since"), 2, "requires an argument", "edge-agent events list --help"),
    (("events", "list", "-n", "0"), 2, "0 is not in the range", "edge-agent events list --help"),
    (("events", "list", "-n", "many"), 2, "'many' is not a valid", "edge-agent events list --help"),
    (("events", "list", "--priority", "high"), 2, "'alert', 'notice', 'record'", "events list"),
    (("events", "list", "--since", "dawn"), 2, "'dawn' is no moment", "write 24h"),
    (("events", "show"), 2, "Missing argument 'ID'", "edge-agent events show --help"),
    (("events", "export"), 2, "Missing option '--to'", "edge-agent events export --help"),
    (("events", "list"), 2, "there is no database in", "--state"),
    (("why", "a", "b"), 2, "unexpected extra argument", "edge-agent why --help"),
    (("version", "x"), 2, "unexpected extra argument", "edge-agent version --help"),
    (("schema", "evnet"), 2, "'evnet' (did you mean event?)", "one of: "),
    (("completion",), 2, "Missing argument 'SHELL'", "edge-agent completion --help"),
    (("completion", "tcsh"), 2, "'bash', 'zsh', 'fish'", "edge-agent completion --help"),
    (("status", "--watch", "--check"), 2, "--watch never ends", "say one of them"),
    (("status", "-c", "no.yaml"), 2, "there is no such file", "edge-agent check"),
    (("sources", "list"), 2, "there is no configuration", "-c FILE"),
    (("pause",), 3, "no agent is running on", "edge-agent run"),
    (("resume", "yard"), 3, "no agent is running on", "edge-agent run"),
    (("reload",), 3, "no agent is running on", "edge-agent run"),
]


@pytest.mark.parametrize(
    ("words", "code", "said", "what_next"), MISTAKES, ids=lambda value: str(value)[:30]
)
def test_a_mistake_is_one_sentence_and_a_next_step(
    ask: Ask, words: tuple[str, ...], code: int, said: str, what_next: str
) -> None:
    wrong = ask(*words)
    assert (wrong.code, wrong.out) == (code, "")
    sentence, step = wrong.err.splitlines()
    assert sentence.startswith("edge-agent: ")
    assert said in sentence
    assert step.startswith("next: ")
    assert what_next in step


@pytest.mark.parametrize(
    ("words", "code", "said", "what_next"), MISTAKES, ids=lambda value: str(value)[:30]
)
def test_with_json_it_is_one_line_of_json(
    ask: Ask, words: tuple[str, ...], code: int, said: str, what_next: str
) -> None:
    wrong = ask(*words, "--json") if words[-1] != "--since" else ask("events", "--json")
    assert (wrong.code, wrong.out) == (2 if words[0] == "completion" else code, "")
    (line,) = wrong.err.splitlines()
    error = json.loads(line)["error"]
    assert list(error) == ["code", "message", "next"]
    assert error["code"] == {2: "usage", 3: "not_running"}[code]


@pytest.mark.parametrize("words", [(), ("events",), ("models",), ("sources",)])
def test_half_a_command_gets_the_help_on_stderr(ask: Ask, words: tuple[str, ...]) -> None:
    half = ask(*words)
    assert (half.code, half.out) == (2, "")
    assert half.err.startswith("Usage: edge-agent")
    assert "Commands:" in half.err


# --- the configuration ---------------------------------------------------------------------------

BROKEN = "sources: 5\nstore: {path: mine}\n"


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Databases without an event where the commands may look."""
    for name in ("state", "mine"):
        open_store(tmp_path / name).close()
    return tmp_path


@pytest.mark.parametrize("words", [("status",), ("events", "list")])
def test_a_broken_default_configuration_keeps_nobody_from_reading(
    ask: Ask, filled: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    path = filled / "config.yaml"
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(path))
    path.write_text("sources: 5\n", "utf-8")
    read = ask(*words)
    assert read.code == 0
    assert read.out
    (note,) = read.err.splitlines()
    assert note.startswith(f"edge-agent: {path}:1:1: pipelines: ")
    assert note.endswith(f"(going on with {filled}/state)")


def test_its_state_directory_is_used_where_it_can_be_read(
    ask: Ask, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(filled / "config.yaml"))
    (filled / "config.yaml").write_text(BROKEN, "utf-8")
    assert f"(going on with {filled}/mine)" in ask("status").err
    (line,) = ask("status", "--json").err.splitlines()
    assert "going on" in json.loads(line)["note"]


def test_a_broken_configuration_that_was_named_is_exit_2(
    ask: Ask, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled / "config.yaml"
    path.write_text(BROKEN, "utf-8")
    for words in (("status",), ("events", "list"), ("why", "abc"), ("pause",)):
        wrong = ask(*words, "-c", path)
        assert (wrong.code, wrong.out) == (2, "")
        assert f"{path}:1:1: pipelines: " in wrong.err
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(path))
    assert ask("status", "--state", "state").err == ""


def test_no_default_configuration_is_no_fault(
    ask: Ask, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("status").err == ""
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(filled / "nowhere" / "config.yaml"))
    assert (ask("status").code, ask("status").err) == (0, "")


# --- the database --------------------------------------------------------------------------------


def test_a_newer_database_is_refused_and_left_as_it_is(ask: Ask, filled: Path) -> None:
    path = filled / "state" / "edge.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = path.read_bytes()
    for words in (("status",), ("events", "list"), ("why", "abc")):
        refused = ask(*words)
        assert (refused.code, refused.out) == (4, "")
        assert "written by a newer edge-agent (schema 99" in refused.err
    monitored = ask("status", "--check")
    assert monitored.code == 2
    assert "written by a newer edge-agent (schema 99" in monitored.out
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_one_sentence(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "edge.db").write_bytes(b"no database at all" * 400)
    for words in (("status",), ("events", "list"), ("why", "abc")):
        wrong = ask(*words)
        assert (wrong.code, wrong.out) == (1, "")
        assert "is damaged, or not an SQLite database" in wrong.err


@pytest.fixture
def read_only(filled: Path) -> Iterator[Path]:
    """The state directory on a disk that can only be read."""
    state = filled / "state"
    if os.geteuid() != 0:
        pytest.skip("only root may mount the read-only disk of this test")
    if subprocess.run(["mount", "--bind", state, state], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", state], check=True)
        yield state
    finally:
        subprocess.run(["umount", state], check=True)


def test_a_read_only_state_directory_can_be_read(ask: Ask, read_only: Path) -> None:
    assert ask("status").out.startswith("Nobody is watching:")
    assert ask("events", "list").out == "no events\n"


READING = (("status",), ("pause",), ("events", "list"), ("why", "abc"))


@pytest.fixture
def someone_else(ask: Ask, filled: Path) -> Iterator[None]:
    """Become another user, from whom the state directory is locked."""
    for words in READING:
        ask(*words)  # that user may perhaps not load our modules
    user = os.geteuid()
    (filled / "state").chmod(0)
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)
    (filled / "state").chmod(0o700)


@pytest.mark.usefixtures("someone_else")
@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_what_belongs_to_another_user_is_not_called_absent(
    ask: Ask, words: tuple[str, ...]
) -> None:
    locked = ask(*words)
    assert (locked.code, locked.out) == (2, "")
    assert "Permission denied" in locked.err
    assert "user" in locked.err.splitlines()[1]


# --- the output ----------------------------------------------------------------------------------


def test_a_full_disk_behind_stdout_is_exit_5(replayed: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent", "events", "list", "--state", replayed],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 5
    assert done.stderr.startswith("edge-agent: there is no space left")
    assert "Traceback" not in done.stderr


def test_a_letter_that_the_terminal_has_not_is_no_traceback(replayed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", "events", "list", "--json", "--state", replayed],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert done.returncode == 0, done.stderr
    assert rb'"rule":"\u4fb5\u5165"' in done.stdout
