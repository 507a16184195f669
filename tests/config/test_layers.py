"""Policies and what was set by hand over a configuration: what counts, and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import Site

from edge_agent.config.effective import NOTHING, Overlay, local_file, read_effective
from edge_agent.config.explain import config_sha256
from edge_agent.config.layers import Layer, Overridden, lay
from edge_agent.config.load import load
from edge_agent.config.schema import Config
from edge_agent.config.yaml_text import Marks, Tree, parse

BY_HAND = """\
pipelines:
  yard:
    gate: {max_fps: 2}
    zones: {door: [[0, 0], [1, 0], [1, 1]]}
    rules:
      - {name: seen, min_score: 0.6, label: person}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def effective(site: Site, *policies: Path, by_hand: str | None = None) -> Config:
    """What counts; there must be no mistake."""
    if by_hand is not None:
        site.local.write_text(by_hand)
    found = read_effective(site.config, Overlay(policies, site.local if by_hand else None))
    assert found.loaded.mistakes == ()
    assert found.loaded.config is not None
    return found.loaded.config


def mistakes(site: Site, over: Overlay) -> list[str]:
    found = read_effective(site.config, over).loaded
    assert found.config is None
    return [str(each).replace(f"{site.folder}/", "") for each in found.mistakes]


def test_nothing_over_it_is_the_file_itself(site: Site) -> None:
    assert read_effective(site.config, NOTHING).loaded.config == load(site.config)


def test_a_policy_takes_the_place_of_what_it_states(site: Site) -> None:
    yard = effective(site, site.offered()).pipelines["yard"]
    assert yard.gate.max_fps == 5
    assert yard.gate.motion is None  # that stays
    assert [rule.name for rule in yard.rules] == ["seen"]  # a list is one thing
    assert (yard.rules[0].zone, yard.rules[0].min_score) == ("gate", 0.4)
    assert yard.masks.privacy == load(site.config).pipelines["yard"].masks.privacy


def test_what_was_set_by_hand_wins_and_is_named_with_both_values(site: Site) -> None:
    policy = site.offered()
    yard = effective(site, policy, by_hand=BY_HAND).pipelines["yard"]
    assert yard.gate.max_fps == 2
    assert (yard.rules[0].min_score, yard.rules[0].zone) == (0.6, "gate")
    assert set(yard.zones) == {"gate", "door"}
    found = read_effective(site.config, Overlay((policy,), site.local)).overridden
    assert found == (
        Overridden("pipelines.yard.gate.max_fps", "2", f"{site.local}:3", "5", f"{policy}:5"),
        Overridden("pipelines.yard.zones.door", "[[0, 0], [1, 0], [1, 1]]", f"{site.local}:4"),
        Overridden(
            "pipelines.yard.rules[0].min_score", "0.6", f"{site.local}:6", "0.4", f"{policy}:7"
        ),
    )  # the label is the same, and so nothing was overridden


def test_the_hash_is_that_of_what_counts(site: Site) -> None:
    def sha256(config: Config) -> str:
        return config_sha256(config, "yard", "0" * 64)

    alone, with_policy = effective(site), effective(site, site.offered())
    by_hand = effective(site, site.offered(), by_hand=BY_HAND)
    assert len({sha256(alone), sha256(with_policy), sha256(by_hand)}) == 3
    same = site.config.read_text().replace("max_fps: 0", "max_fps: 5")
    start = same.index("    rules:")
    site.config.write_text(same[:start] + "\n".join(site.offered().read_text().splitlines()[5:]))
    assert sha256(effective(site)) == sha256(with_policy)


def test_each_mistake_is_told_in_the_file_that_it_is_in(site: Site) -> None:
    policy = site.offered("1", ("zone: gate", "zone: gat"), ("  yard:", "  dock: {}\n  yard:"))
    site.local.write_text("pipelines:\n  yard:\n    rules:\n      - {name: sen, min_score: 2}\n")
    assert mistakes(site, Overlay((policy,), None)) == [
        '1.yaml:4:3: pipelines.dock: there is no pipeline "dock", allowed: yard',
        '1.yaml:8:43: pipelines.yard.rules[0].zone: there is no zone "gat", allowed: gate'
        " (did you mean gate?)",
    ]
    assert mistakes(site, Overlay((), site.local)) == [
        "config.local.yaml:4:32: pipelines.yard.rules[0].min_score: 2 stands here, allowed: "
        "model | a number from 0 to 1",
    ]
    site.local.write_text("pipelines:\n  yard:\n    rules:\n      - {name: sen, min_score: 1}\n")
    assert mistakes(site, Overlay((), site.local)) == [
        'config.local.yaml:4:9: pipelines.yard.rules[0]: there is no rule "sen" to change, '
        "allowed: seen, any (did you mean seen?)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "mqtt: {host: elsewhere}\n",
        "pipelines: {yard: {model: other}}\n",
        "pipelines: {yard: {masks: {privacy: []}}}\n",
    ],
)
def test_by_hand_only_gates_zones_and_rules_are_set(site: Site, text: str) -> None:
    site.local.write_text(text)
    (mistake,) = mistakes(site, Overlay((), site.local))
    assert mistake.startswith("config.local.yaml:1:")
    assert " policy " in mistake


def test_two_policies_never_state_the_same(site: Site) -> None:
    first = site.offered()
    second = site.offered("2", ("    rules:\n", "    camera_health: true\n    rules:\n"))
    assert mistakes(site, Overlay((first, second), None)) == [
        "2.yaml:5:21: pipelines.yard.gate.max_fps: another policy states it, too: 1.yaml:5",
        "2.yaml:8:7: pipelines.yard.rules: another policy states it, too: 1.yaml:7",
    ]


def test_where_a_technician_writes() -> None:
    assert local_file(Path("/etc/edge-agent/config.yaml")) == Path(
        "/etc/edge-agent/config.local.yaml"
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
STATED = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def tree(stated: object) -> Tree:
    import yaml

    return parse(yaml.safe_dump({"pipelines": {"p": stated}}))


@given(STATED, STATED, STATED)
def test_law_what_lies_on_top_is_what_counts(base: object, middle: object, top: object) -> None:
    before = tree(base)
    untouched = (repr(before.data), dict(before.marks.values))
    layers = (Layer("m", tree(middle)), Layer("t", tree(top), by_hand=True))
    laid = lay("b", before, layers)
    data = laid.tree.data["pipelines"]["p"]
    assert _covers(data, top)
    assert _known(data) <= {path[2:] for path in laid.tree.marks.values if len(path) > 1}
    assert (repr(before.data), dict(before.marks.values)) == untouched
    for key, value in (top if isinstance(top, dict) else {}).items():
        if not isinstance(value, dict):
            assert laid.tree.marks.file(("pipelines", "p", key)) == "t"
    assert lay("b", before, ()).tree == Tree(before.data, Marks(*_marks(before)), ())


def _marks(found: Tree) -> tuple[dict, dict]:  # type: ignore[type-arg]
    return dict(found.marks.values), dict(found.marks.keys)


def _covers(data: object, stated: object) -> bool:
    """Whether every value of `stated` stands in `data`."""
    if isinstance(stated, dict):
        return isinstance(data, dict) and all(_covers(data.get(k), v) for k, v in stated.items())
    return data == stated


def _known(data: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """The paths of every value."""
    found = {path}
    if isinstance(data, dict):
        for key, value in data.items():
            found |= _known(value, (*path, key))
    if isinstance(data, list):
        for index, value in enumerate(data):
            found |= _known(value, (*path, index))
    return found
