"""A policy's whole way, without pinned cases: 1 is kept, takes charge over the configuration alone,
is committed; 2 takes charge and is put back; 1 is taken back. Run as `way_of_model.py` is.

    python way_of_policy.py STATE      # tells each step once it has returned
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from edge_agent.bundles import policies, slots
from edge_agent.bundles.policies import Kept
from edge_agent.bundles.slots import POLICIES
from edge_agent.policy.ota import Step, Verdict
from edge_agent.service.charge import CLI, PROBATION, Reason
from edge_agent.service.marker import LastEnd
from edge_agent.service.policy_charge import Request, commit, go_back, keep, switch
from edge_agent.service.resume import resume_policies
from edge_agent.service.start import Start

NAME = "night"
NONE = "the configuration"
#: Which one counts shows in `max_fps`.
CONFIG = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=11&fps=10"}}
pipelines:
  yard: {source: yard, model: scene-detector, gate: {max_fps: 10}, rules: [{name: seen}]}
"""
POLICY = "name: night\nversion: {version}\npipelines:\n  yard:\n    gate: {{max_fps: {fps}}}\n"
FPS = {NONE: 10.0, "1": 11.0, "2": 12.0}
STEPS = ("kept 1", "switched 1", "committed 1", "kept 2", "switched 2", "back 1", "back to none")
END = NONE
#: What may be in charge once these were told, an unclean end and a start behind them.
RIGHT = {
    "": {NONE}, "kept 1": {NONE}, "switched 1": {NONE, "1"}, "committed 1": {"1"},
    "kept 2": {"1"}, "switched 2": {"1"}, "back 1": {"1", NONE}, "back to none": {NONE},
}  # fmt: skip


def config(state: Path) -> Path:
    """Beside the state directory, which alone is cut."""
    return state.with_name("config.yaml")


def put(state: Path, version: str) -> Kept:
    file = state.with_name(f"{version}.yaml")
    remark = "# what nobody reads, as long as two blocks of the disk\n" * 160
    file.write_text(POLICY.format(version=version, fps=FPS[version]) + remark)
    return keep(file, CLI, state, nobody)


def begin(state: Path) -> None:
    config(state).write_text(CONFIG)


def go(state: Path, tell: Callable[[str], object]) -> None:
    """What is done already is not done again: as somebody would go on after a kill."""
    for version in ("1", "2"):
        committed = slots.read_slots(state, NAME, POLICIES).committed
        if committed is not None and committed.startswith(f"{version}-"):
            continue
        kept = put(state, version)
        tell(f"kept {version}")
        switch(Request(kept, CLI, begun=True), state)
        tell(f"switched {version}")
        if version == "1":
            commit(NAME, {}, state, nobody)
            tell("committed 1")
        else:
            go_back(NAME, Reason("events 3 is over 2", PROBATION), state, nobody)
            tell("back 1")
    go_back(NAME, Reason("asked for at the device", CLI, Verdict.OK), state, nobody)
    tell("back to none")


def try_another(state: Path) -> None:
    """One takes charge, and is on probation."""
    switch(Request(put(state, "1"), CLI, begun=True), state)


def restart(state: Path) -> int:
    """What a start does about it; how much that was."""
    return len(resume_policies(state, LastEnd(asked=False)))


def in_charge(state: Path) -> str:
    """Which one a start watches by: it reads what counts, whole and without a mistake."""
    assert slots.read_slots(state, NAME, POLICIES).probation is None
    start = Start(config(state), state)
    gate = start.read().pipelines["yard"].gate
    found = next(name for name, fps in FPS.items() if fps == gate.max_fps)
    stated = [Path(file).parent.name for _, file in policies.stated(state)]
    assert [slot.partition("-")[0] for slot in stated] == ([] if found == NONE else [found])
    return found


def nobody(step: Step) -> None:
    """There is no store here."""


if __name__ == "__main__":
    go(Path(sys.argv[1]), lambda step: os.write(1, f"{step}\n".encode()))
