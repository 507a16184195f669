"""The guide from keys to a model in charge and back: its commands run, and say what it says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from desk import ROOT, surroundings
from transcript import Shell, commands, fits, follow, programs

GUIDE = (ROOT / "docs" / "guide-model-rollout.md").read_text("utf-8")


@pytest.mark.acceptance  # a minute on a quiet machine, many on a busy one
def test_the_guide_as_it_is_written(tmp_path: Path) -> None:
    # a short name: what a command says is broken into lines of 80
    with tempfile.TemporaryDirectory(prefix="guide") as made:
        home = Path(made)
        shutil.copytree(ROOT / "models" / "scene-detector", home / "scene-detector")
        environment = {**surroundings(home), **programs(tmp_path / "bin")}
        done = []
        with Shell(home, environment) as shell:
            for command, said in follow(GUIDE, home, shell):
                done.append(command.line)
                log = home / "agent.log"
                end = log.read_text()[-2000:] if log.exists() else ""
                assert fits(command.says, said), f"$ {command.line}\n{said}\n{end}"
    assert done == commands(GUIDE)


@pytest.mark.parametrize(
    ("written", "said", "right"),
    [
        (("id … kept",), "id 12 kept\n", True),
        (("id … kept",), "id 12 lost\n", False),
        (("…", "end"), "one\ntwo\nend\n", True),
        (("…", "end"), "end\n", True),
        (("…", "end"), "end\nmore\n", False),
        (("a …",), "a b\nc\n", False),
        ((), "a warning\n", False),
    ],
)  # fmt: skip
def test_what_changes_is_left_open_and_nothing_else(
    written: tuple[str, ...], said: str, right: bool
) -> None:
    assert fits(written, said) is right
