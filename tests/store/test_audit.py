"""Every step of a model's way is kept and reported in one transaction."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from edge_agent.policy.correction import Correction
from edge_agent.policy.envelope import Sender, envelope
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.policy.slots import Order
from edge_agent.store import audit
from edge_agent.store.clocks import Reading
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store

NOW = 1_700_000_000.0
SWAPPED = Step(
    "model", "people", Version("2.0", "b" * 64), "swapped", Verdict.OK, "ota",
    "", {"latency_ratio": 1 / 3}, Version("1.0", "a" * 64), Order("r1", 7, "first"),
)  # fmt: skip
HELD = Step("model", "people", Version("1.0", "a" * 64), "held", Verdict.OK, "cli")


def test_a_step_is_kept_told_and_the_latest_of_its_name(store: Store, state: Path) -> None:
    seq = store.audit(SWAPPED, NOW)
    assert store.audit(HELD, NOW + 1) is None
    (message,) = [each for each in store.outbox.pending() if each.topic == "ota"]
    assert message.seq == seq
    with open_reader(state) as reader:
        kept = reader.history("people")
        assert [each.step.step for each in kept] == ["held", "swapped"]
        assert kept[1].time == NOW
        assert kept[1].step.before == SWAPPED.before
        assert kept[1].step.order == SWAPPED.order
        assert kept[1].step.numbers == {"latency_ratio": 0.333333}
        assert [each.step.step for each in reader.under_way()] == ["held"]
        assert reader.history("nobody") == ()


def test_the_report_is_as_its_schema_says(store: Store) -> None:
    store.audit(SWAPPED, NOW)
    (message,) = store.outbox.pending()
    document = envelope(message, Sender("dock-07", store.identity.store, 1), NOW)
    schema = resources.files("edge_agent") / "schemas" / "mqtt-ota.json"
    jsonschema.validate(document, json.loads(schema.read_text("utf-8")))
    assert document["data"]["before"] == {"version": "1.0", "sha256": "a" * 64}


def test_a_step_that_cannot_be_reported_is_not_kept_either(store: Store, state: Path) -> None:
    with store.database.transaction() as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(Exception, match="full"):
        store.audit(SWAPPED, NOW)
    with open_reader(state) as reader:
        assert reader.history() == ()


def test_a_step_from_outside_is_on_the_true_clock_whatever_the_boot_believed(
    store: Store, state: Path
) -> None:
    store.start_clock(Reading("kernel", 0.0, 100.0))
    store.correct(Correction().heard(5000.0, True))
    store.audit_from_outside(SWAPPED, NOW)
    store.audit(SWAPPED, NOW - 5000.0)
    with open_reader(state) as reader:
        assert [each.time for each in reader.history()] == [NOW, NOW]
    assert [each.time for each in store.outbox.pending()] == [NOW, NOW]


def test_only_the_newest_stay(store: Store, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.setattr(audit, "MOST", 5)
    for number in range(9):
        store.audit(HELD, NOW + number)
    with open_reader(state) as reader:
        assert [each.time - NOW for each in reader.history(limit=99)] == [8, 7, 6, 5, 4]
