"""A site with a policy: its configuration, its policy's versions, and the state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agent.bundles import policies, slots
from edge_agent.bundles.policies import Kept
from edge_agent.bundles.slots import POLICIES

CONFIG = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=11&fps=10"}}
store: {flush_s: 1}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 0, motion: false, stationary: false}
    masks: {privacy: [[[0.9, 0.9], [1, 0.9], [1, 1]]]}
    zones: {gate: [[0, 0], [0.6, 0], [0.6, 1], [0, 1]]}
    rules:
      - {name: seen, label: person, confirm: [2, 3], min_score: 0.3, priority: alert}
      - {name: any, count: 1}
"""
POLICY = """\
name: night
version: 1
pipelines:
  yard:
    gate: {max_fps: 5}
    rules:
      - {name: seen, label: person, zone: gate, min_score: 0.4, priority: alert}
"""


@dataclass
class Site:
    """`config` and `state` lie in `folder`; `offered` writes a version of the policy."""

    folder: Path

    def __post_init__(self) -> None:
        self.config.write_text(CONFIG)

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def local(self) -> Path:
        return self.folder / "config.local.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def offered(self, version: str = "1", *changes: tuple[str, str]) -> Path:
        text = POLICY
        for old, new in (("version: 1", f"version: {version}"), *changes):
            assert old in text
            text = text.replace(old, new)
        file = self.folder / f"{version}.yaml"
        file.write_text(text)
        return file

    def kept(self, version: str = "1", *changes: tuple[str, str]) -> Kept:
        return policies.keep(self.offered(version, *changes), self.state)

    def found(self) -> slots.Slots:
        return slots.read_slots(self.state, "night", POLICIES)
