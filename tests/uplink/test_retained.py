"""Which retained topic leaves when: changes soon, repeats later, `state` rarely when spent."""

from __future__ import annotations

from typing import Any

from edge_agent.uplink.retained import AGAIN_S, SPARING_S, Retained


def state(persons: int) -> dict[str, Any]:
    labels = {"person": persons} if persons else {}
    return {"present": {"yard": {"labels": labels, "zones": {}}}, "open": {}}


def taken(retained: Retained, now: float, sparing: bool = False) -> list[str]:
    found = []
    while (due := retained.take_due(now, sparing)) is not None:
        retained.left(*due, 300, now)
        found.append(due[0])
    return found


def test_a_change_leaves_at_once_and_then_not_before_its_time() -> None:
    retained = Retained(1.0)
    assert retained.put("health", {"reasons": []})
    assert not retained.put("health", {"reasons": []})
    assert taken(retained, 10.0) == ["health"]
    retained.touch("health")
    assert taken(retained, 10.9) == []
    assert taken(retained, 11.0) == ["health"]


def test_with_the_budget_spent_health_tells_what_changed_and_repeats_itself_rarely() -> None:
    retained = Retained(1.0)
    retained.put("health", {"reasons": []})
    assert taken(retained, 10.0) == ["health"]
    retained.put("health", {"reasons": ["budget_spent"]})
    assert taken(retained, 11.0, sparing=True) == ["health"]
    retained.touch("health")
    assert taken(retained, 11.0 + AGAIN_S - 1, sparing=True) == []
    assert taken(retained, 11.0 + AGAIN_S, sparing=True) == ["health"]


def test_with_the_budget_spent_state_is_rare_and_a_new_connection_is_told_all_the_same() -> None:
    retained = Retained(1.0, state_bytes=1e6)
    retained.put("state", state(0))
    assert taken(retained, 10.0) == ["state"]
    retained.put("state", state(1))
    assert taken(retained, 20.0, sparing=True) == []
    assert taken(retained, 10.0 + SPARING_S, sparing=True) == ["state"]
    retained.put("state", state(0))
    retained.touch_all()
    assert taken(retained, 12.0 + SPARING_S, sparing=True) == ["state"]


def test_what_is_told_already_is_not_told_again() -> None:
    retained = Retained(1.0, state_bytes=1e6)
    retained.put("state", state(0))
    assert taken(retained, 10.0) == ["state"]
    retained.put("state", state(1))
    retained.put("state", state(0))
    assert taken(retained, 100.0) == []
