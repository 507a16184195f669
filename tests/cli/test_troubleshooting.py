"""docs/troubleshooting.md: its outputs are real, its tables name everything that can be met."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from edge_agent.pipeline.why import STAGES
from edge_agent.service.control import NAME
from edge_agent.types import Skip

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
SHOWN = [
    (command, output)
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for command, output in re.findall(r"\$ edge-agent (.*)\n((?:[^$].*\n|\n)*)", block)
    if output
]
#: Reasons that no part of the program gives yet.
LATER = {Skip.PREDICTED, Skip.SWAP}
#: Stages at which no rule stops: they open events of the camera's own.
NO_RULES = {"camera"}


def words(text: str) -> list[str]:
    """What a person reads, without what differs from run to run: numbers, ids, the clock."""
    text = re.sub(r"(clock|heat)  .*", "", text)
    text = re.sub(r"skipped \(.*?\)", "skipped", text, flags=re.DOTALL)
    text = re.sub(r"\b(is|are) open", "are open", text)
    text = re.sub(r"messages? waits?", "messages wait", text)
    return re.sub(r"\b[0-9a-f]{8}\b|\d+( d| h| min)?([-:.,T]\d+)*Z?", "N", text).split()


def table(heading: str) -> set[str]:
    """The words in backticks of the first column of the table with that heading."""
    rows = PAGE.split(f"| {heading} |")[1].split("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def settled(status: str) -> bool:
    """Both sources deliver, both rates are known, and the motor's gaps are more than one."""
    return status.count("delivering") == 2 == status.count("  rate ") and " gaps" in status


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo, and an agent that runs its configuration and is paused."""
    folder = tmp_path_factory.mktemp("site")
    agent = [sys.executable, "-m", "edge_agent"]

    def edge(*arguments: str) -> str:
        done = subprocess.run(
            [*agent, *arguments], cwd=folder, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    edge("demo", "--seconds", "20")
    live = ["-c", "demo-out/config.yaml", "--state", "demo-out/live"]
    child = subprocess.Popen([*agent, "run", *live], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not (folder / "demo-out" / "live" / NAME).exists():
            assert time.monotonic() < end, "the agent runs"
            time.sleep(0.1)
        while not settled(edge("status", "--state", "demo-out/live")):
            assert time.monotonic() < end, "the source delivers"
        edge("pause", "--state", "demo-out/live")
        yield folder
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_outputs_are_what_the_program_says(site: Path, command: str, output: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", *shlex.split(command)],
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TZ": "UTC"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert words(done.stdout) == words(output)


def test_every_output_is_looked_at() -> None:
    assert [command.split()[0] for command, _ in SHOWN] == ["status", "status", "why", "events"]


def test_every_reason_of_status_has_its_row() -> None:
    schema = json.loads((resources.files("edge_agent") / "schemas" / "status.json").read_text())
    codes = schema["properties"]["reasons"]["items"]["properties"]["code"]["enum"]
    assert table("reason (`code` in `--json`)") == set(codes)


def test_every_reason_of_a_skip_and_every_stage_of_a_rule_has_its_row() -> None:
    assert table("frames were skipped as") == {skip.value for skip in Skip if skip not in LATER}
    assert table("a rule stopped at") == set(STAGES) - NO_RULES
