"""The proof over reloads: a rule that goes on has no gap, one that comes back later has no past."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.host.fake import FakeClock
from edge_agent.pipeline.rulespec import RuleSpec
from edge_agent.policy.coverage import Cause, Since
from edge_agent.policy.standstill import Standstill
from edge_agent.service.lookout import Lookout
from edge_agent.service.proof import Proof
from edge_agent.service.surroundings import Surroundings
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch


def watch(now: float, covered: dict[tuple[str, str], Since], *rules: str) -> Any:
    before = {rule: since for (_, rule), since in covered.items()}
    lookout = Lookout(tuple(RuleSpec(rule) for rule in rules), now, Standstill(), before)
    return SimpleNamespace(lookouts={"people": lookout})


def test_a_rule_that_is_away_over_a_reload_did_not_live_meanwhile(tmp_path: Path) -> None:
    covered: dict[tuple[str, str], Since] = {}
    clock = FakeClock()
    with open_store(tmp_path) as store:
        store.start()
        proof = Proof(store, Surroundings(clock, "UTC"), covered, tmp_path)  # type: ignore[arg-type]
        for rules in (("stays", "goes"), ("stays",), ("stays", "goes")):
            at_work = watch(clock.now(), covered, *rules)
            clock.advance(100.0)
            proof.settle(at_work, whole=True)
            clock.advance(1.0)  # the reload
        store.record(Batch(coverage=proof.rows()))
        lived: dict[str, float] = {}
        for row in proof.rows():
            lived[row.rule] = lived.get(row.rule, 0.0) + row.stretch.seconds
    assert lived == {"stays": pytest.approx(302.0), "goes": pytest.approx(200.0)}
    assert covered[("people", "goes")].cause is Cause.SWAP
