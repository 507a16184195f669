"""Prometheus' own parser reads what we write, and docs/metrics.md lists it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.policy.exposition import METRICS, PREFIX, Sample, exposition

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
VALUES = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
LABEL = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)


@given(st.lists(st.tuples(LABEL, LABEL, VALUES), min_size=1, max_size=5))
def test_the_parser_gives_back_what_was_written(rows: list[tuple[str, str, float]]) -> None:
    samples = [Sample("stage_seconds", value, (one, two), "_sum") for one, two, value in rows]
    # A file is read with its line ends as they are; the parser splits at \n alone.
    (family,) = text_string_to_metric_families(exposition(samples))
    assert family.type == "summary"
    assert [
        (each.labels["pipeline"], each.labels["stage"], each.value) for each in family.samples
    ] == [(one, two, float(value)) for one, two, value in rows]


def test_a_rule_may_have_any_name() -> None:
    name = '侵入 "A"\\\n'
    text = exposition([Sample("events_total", 3, ("人", name, "alert"))])
    assert text.count("\n") == 3
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"pipeline": "人", "rule": name, "priority": "alert"}
    assert family.samples[0].name == "edge_agent_events_total"


def test_a_number_that_is_no_metric_is_a_fault() -> None:
    with pytest.raises(ValueError, match="no metrics: frams_total"):
        exposition([Sample("frams_total", 1)])
    with pytest.raises(ValueError, match="zip"):
        exposition([Sample("frames_pending", 1, ("too", "many"))])


def test_names_follow_the_conventions() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch("[a-z][a-z_]+[a-z]", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert not re.search("_(ms|mb|kb|minutes|percent)(_|$)", metric.name)
        assert metric.help.endswith(".")


def test_the_guide_lists_every_metric() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert listed == [
        (
            PREFIX + metric.name,
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels) or "none",
            metric.help,
        )
        for metric in METRICS
    ]
