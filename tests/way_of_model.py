"""A model's whole way, without an exam: version 2 is installed, takes charge, is committed; 3 takes
charge and is put back. Run by the tests as a program, or in a fork of theirs.

    python way_of_model.py STATE      # tells each step once it has returned
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from edge_agent.bundles import folders, slots
from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.policy.ota import Step
from edge_agent.service.charge import CLI, PROBATION, Reason, Request, commit, go_back, switch
from edge_agent.service.marker import LastEnd
from edge_agent.service.resume import resume

SHIPPED = shipped_folders()["scene-detector"]
MANIFEST = yaml.safe_load((SHIPPED / "manifest.yaml").read_text("utf-8"))
NAME = "yard"
STEPS = ("installed 2", "switched 2", "committed 2", "installed 3", "switched 3", "back 2")
END = "2"
#: What may be in charge once these were told, an unclean end and a start behind them.
RIGHT = {
    "": {"1"}, "installed 2": {"1"}, "switched 2": {"1", "2"}, "committed 2": {"2"},
    "installed 3": {"2"}, "switched 3": {"2"}, "back 2": {"2"},
}  # fmt: skip


def put(state: Path, version: str) -> None:
    """Install a bundle whose model is a few bytes: nobody runs it."""
    model = f"model {version} ".encode() * 300
    sha256 = hashlib.sha256(model).hexdigest()
    manifest = MANIFEST | {"name": NAME, "version": version, "sha256": sha256}
    with folders.staging(state, NAME) as staged:
        (staged / "model.tflite").write_bytes(model)
        (staged / "manifest.yaml").write_text(json.dumps(manifest), "utf-8")
        (staged / "labels.txt").write_bytes((SHIPPED / "labels.txt").read_bytes())
        folders.install(state, NAME, staged, f"{version}-x", replace=True)


def begin(state: Path) -> None:
    put(state, "1")
    slots.change(state, NAME, lambda found: found.with_active("1-x", 1.0, None))


def go(state: Path, tell: Callable[[str], object]) -> None:
    """What is done already is not done again: as somebody would go on after a kill."""
    for version, end in (("2", "committed"), ("3", "back")):
        found = slots.read_slots(state, NAME)
        if found.committed == f"{version}-x":
            continue
        put(state, version)
        tell(f"installed {version}")
        folder = slots.models_folder(state) / NAME / f"{version}-x"
        switch(Request(folder, CLI, (), begun=True), open_bundle(folder), state)
        tell(f"switched {version}")
        if end == "committed":
            commit(NAME, {}, state, nobody)
        else:
            go_back(NAME, Reason("score_shift 1 is over 0.5", PROBATION), state, nobody)
        tell(f"{end} 2")


def try_another(state: Path) -> None:
    """One takes charge, and is on probation."""
    put(state, "2")
    folder = slots.models_folder(state) / NAME / "2-x"
    switch(Request(folder, CLI, (), begun=True), open_bundle(folder), state)


def restart(state: Path) -> int:
    """What a start does about it; how much that was."""
    return len(resume(state, LastEnd(asked=False)))


def in_charge(state: Path) -> str:
    """The version that a start loads; it opens, so its hash is right."""
    found = slots.read_slots(state, NAME)
    assert found.probation is None
    assert found.active is not None, "nothing is in charge"
    return open_bundle(slots.models_folder(state) / NAME / found.active).manifest.version


def nobody(step: Step) -> None:
    """There is no store here."""


if __name__ == "__main__":
    go(Path(sys.argv[1]), lambda step: os.write(1, f"{step}\n".encode()))
