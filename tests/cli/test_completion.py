"""Shell completion as a shell drives it: commands, event ids, rules, pipelines, models, schemas."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Offer = Callable[..., list[str]]


@pytest.fixture
def environment(tmp_path: Path, replayed: Path) -> dict[str, str]:
    """A PATH with `edge-agent`, and a state directory with events."""
    program = tmp_path / "bin" / "edge-agent"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge_agent "$@"\n')
    program.chmod(0o755)
    plain = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "EDGE_AGENT_STATE": str(replayed),
        "HOME": str(tmp_path),
    }
    plain.pop("EDGE_AGENT_CONFIG", None)
    return plain


@pytest.fixture
def bash(environment: dict[str, str], tmp_path: Path) -> Offer:
    """What bash offers for these words, the last of which is being typed."""

    def offer(*words: str, **changes: str) -> list[str]:
        typed = " ".join(f"'{word}'" for word in ("edge-agent", *words))
        script = (
            'eval "$(edge-agent completion bash)"\n'
            f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}; COMPREPLY=()\n"
            "_edge_agent_completion edge-agent\n"
            "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
        )
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env={**environment, **changes},
            cwd=tmp_path,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return offer


@pytest.fixture(scope="module")
def ids(replayed: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", "events", "list", "--json", "--state", replayed],
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line)["id"] for line in done.stdout.splitlines()]


def test_bash_offers_commands_and_options(bash: Offer) -> None:
    assert bash("st") == ["status"]
    assert {"list", "show", "follow", "export"} <= set(bash("events", ""))
    assert bash("status", "--w") == ["--watch"]
    assert bash("completion", "") == ["bash", "zsh", "fish"]


def test_bash_offers_event_ids(bash: Offer, ids: list[str]) -> None:
    assert bash("why", "") == ids
    assert bash("events", "show", ids[0][:5]) == [ids[0]]


def test_bash_offers_rules_pipelines_models_and_schemas(bash: Offer) -> None:
    assert bash("events", "list", "--rule", "") == ["any", "侵入"]
    assert bash("pause", "") == ["yard"]
    assert bash("why", "--pipeline", "y") == ["yard"]
    assert "scene-detector" in bash("models", "show", "")
    assert bash("schema", "mqtt-a") == ["mqtt-alert"]


def test_the_state_named_on_the_line_is_looked_at(
    bash: Offer, ids: list[str], replayed: Path, tmp_path: Path
) -> None:
    elsewhere = str(tmp_path / "nothing")
    assert bash("why", "--state", str(replayed), "", EDGE_AGENT_STATE=elsewhere) == ids
    assert bash("why", "", EDGE_AGENT_STATE=elsewhere) == []


def test_a_broken_configuration_does_not_disturb_what_is_being_typed(
    bash: Offer, ids: list[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.yaml").write_text("sources: 5\n")
    assert bash("why", "", EDGE_AGENT_CONFIG=str(tmp_path / "broken.yaml")) == ids
    assert bash("why", "-c", str(tmp_path / "broken.yaml"), "") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_what_the_events_say(
    environment: dict[str, str], ids: list[str], shell: str
) -> None:
    """The protocol of click's own scripts for these shells."""
    words = {"zsh": ("edge-agent why ", "2"), "fish": ("edge-agent why", "")}[shell]
    asked = {
        **environment,
        "_EDGE_AGENT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words[0],
        "COMP_CWORD": words[1],
    }
    done = subprocess.run(["edge-agent"], env=asked, capture_output=True, text=True, timeout=60)
    assert all(id_ in done.stdout for id_ in ids)
    assert "person" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_accepts_its_script(environment: dict[str, str], shell: str) -> None:
    script = subprocess.run(
        ["edge-agent", "completion", shell],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "_EDGE_AGENT_COMPLETE" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was made, not read")
    checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
