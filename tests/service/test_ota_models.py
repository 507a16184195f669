"""How a model stands here against an order: its version counts as well as its file."""

from __future__ import annotations

from pathlib import Path

import yard

from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State
from edge_agent.policy.update import Do, Moment, next_act
from edge_agent.service.ota_models import Models, Reach
from edge_agent.service.verdicts import Verdicts


def test_another_version_with_the_same_file_is_not_in_charge_yet(tmp_path: Path) -> None:
    yard.installed(tmp_path, "1")
    reach = Reach(
        state=tmp_path,
        config_path=tmp_path / "config.yaml",
        charge=yard,  # nobody is put in charge here
        shadows=None,
        verdicts=Verdicts(tmp_path),
        tell=lambda step: None,
        held=lambda: False,
        stopped=lambda: False,
    )
    asked = {}
    for version in ("1", "2"):
        order = Rollout(
            id=f"to-{version}",
            serial=1,
            state=State.RUNNING,
            kind=Kind.MODEL,
            target=f"models/yard/{version}.tar",
            sha256=yard.sha256_of(tmp_path, "1"),
            name=yard.NAME,
            version=version,
            stages=(Stage("all", Mode.CHARGE, percent=100),),
            stage=0,
        )
        standing = Models(reach).standing(order)
        asked[version] = next_act(order, ("dock-07", {}), standing, Moment()).do
    assert asked == {"1": Do.NOTHING, "2": Do.FETCH}
