"""What was found right is known another time: the very same, and only as long as it is right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundles.manifest_file import read_manifest
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.config import judging, known
from edge_agent.config.known import MOST, Known
from edge_agent.config.part import Invalid, Part
from edge_agent.config.schema import Config, Device, Mqtt, Rule, RuleKeys
from edge_agent.config.yaml_text import parse

REFERENCE = Path(__file__).parents[2] / "configs" / "reference.yaml"
RULES = st.fixed_dictionaries(
    {"name": st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)},
    optional={
        "label": st.one_of(st.integers(), st.lists(st.text(min_size=1), min_size=1)),
        "confirm": st.tuples(st.integers(1, 9), st.integers(1, 9)).map(list),
        "min_area": st.one_of(st.floats(0, 1), st.integers(0, 1)),
        "clear_below": st.floats(allow_nan=False, allow_infinity=False),
        "dwell_s": st.floats(0, 1e9),
        "score_above": st.one_of(st.just("model"), st.floats(allow_nan=False)),
        "evidence": st.lists(st.sampled_from(["snapshot", {"clip": {"pre_s": 2.5}}]), max_size=2),
        "schedule": st.sampled_from([None, "mon-fri 22:00-06:00"]),
    },
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known yet of what other tests asked for."""
    monkeypatch.setattr(known, "KNOWN", Known())


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[type[Part]]:
    """Whatever pydantic was asked for."""
    kinds: list[type[Part]] = []
    judge = judging.judge

    def noted(kind: type[Part], written: object, context: dict[str, Any]) -> Any:
        kinds.append(kind)
        return judge(kind, written, context)

    monkeypatch.setattr(judging, "judge", noted)
    return kinds


def another_start(before: Known) -> Known:
    """What is known in the next process."""
    after = Known()
    after.recall(before.news() or "")
    return after


def all_of(value: object) -> object:
    """Everything in it, what is not compared too, and of what type it is."""
    if is_dataclass(value):
        own = {each.name: all_of(getattr(value, each.name)) for each in fields(value)}
        return type(value), own
    if isinstance(value, dict):
        return [(name, all_of(each)) for name, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [all_of(each) for each in value]
    return type(value), value


def test_a_configuration_with_every_key_is_the_same_at_the_next_start(
    judged: list[type[Part]],
) -> None:
    written, beside = parse(REFERENCE.read_text("utf-8")).data, REFERENCE.parent
    first = Known()
    config = first.part(Config, written, beside)
    assert judged == [Config]
    second = another_start(first)
    assert all_of(second.part(Config, written, beside)) == all_of(config)
    assert judged == [Config]
    assert second.news() is None


@pytest.mark.parametrize("name", sorted(shipped_folders()))
def test_so_is_a_manifest(name: str, judged: list[type[Part]]) -> None:
    file = shipped_folders()[name] / "manifest.yaml"
    manifest = read_manifest(file)
    assert len(judged) == 1
    known.KNOWN = another_start(known.KNOWN)
    assert all_of(read_manifest(file)) == all_of(manifest)
    assert len(judged) == 1


@given(RULES)
def test_so_is_any_rule(written: dict[str, object]) -> None:
    first = Known()
    try:
        rule = first.part(Rule, written, Path())
    except Invalid:
        assert first.news() is None  # what is wrong is not known
        return
    second = another_start(first)
    assert all_of(second.part(Rule, written, Path())) == all_of(rule)
    assert second.news() is None  # nobody judged it again


def test_pydantic_is_not_loaded_for_what_is_known() -> None:
    first = Known()
    written = parse(REFERENCE.read_text("utf-8")).data
    first.part(Config, written, Path("/etc"))
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from edge_agent.config.known import Known\n"
        "from edge_agent.config.schema import Config\n"
        "text, written = json.load(sys.stdin)\n"
        "known = Known()\n"
        "known.recall(text)\n"
        "known.part(Config, written, Path('/etc'))\n"
        "sys.exit(', '.join({'pydantic', 'pydantic_core'} & set(sys.modules)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([first.news(), written]),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("kind", "written", "beside"),
    [
        (Device, {"id": "b"}, Path("/etc")),
        (Device, {"id": "a", "site": None}, Path("/etc")),
        (Device, {"id": "a"}, Path("/srv")),
        (RuleKeys, {}, Path("/etc")),
    ],
)
def test_what_is_another_is_judged(
    kind: type[Part], written: object, beside: Path, judged: list[type[Part]]
) -> None:
    first = Known()
    first.part(Device, {"id": "a"}, Path("/etc"))
    another_start(first).part(kind, written, beside)
    assert judged == [Device, kind]


def test_where_the_home_is_another_a_file_may_be_another(
    monkeypatch: pytest.MonkeyPatch, judged: list[type[Part]]
) -> None:
    first = Known()
    first.part(Device, {}, Path())
    monkeypatch.setenv("HOME", "/somewhere/else")
    another_start(first).part(Device, {}, Path())
    assert judged == [Device, Device]


@pytest.mark.parametrize("key", ["password", "ca"])
def test_a_file_that_must_be_there_is_asked_for_each_time(key: str, tmp_path: Path) -> None:
    file = tmp_path / "named"
    file.touch()
    part = {"password": {"password": "${file:named}"}, "ca": {"tls": {"ca": "named"}}}[key]
    written = {"host": "h", **part}
    first = Known()
    first.part(Mqtt, written, tmp_path)
    second = another_start(first)
    second.part(Mqtt, written, tmp_path)
    file.unlink()
    for each in (second, another_start(first), first):
        with pytest.raises(Invalid, match="there is no file"):
            each.part(Mqtt, written, tmp_path)


def test_so_is_a_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"timezone": "Asia/Tokyo"}
    first = Known()
    first.part(Device, written, Path())
    monkeypatch.setattr("edge_agent.config.asking.zoneinfo.ZoneInfo", _gone)
    with pytest.raises(Invalid, match="no time zone"):
        another_start(first).part(Device, written, Path())


def _gone(name: str) -> None:
    raise ValueError(name)


def test_another_program_knows_nothing(
    monkeypatch: pytest.MonkeyPatch, judged: list[type[Part]]
) -> None:
    first = Known()
    first.part(Device, {}, Path())
    text = first.news() or ""
    monkeypatch.setattr(known, "__version__", "0.0.7")
    second = Known()
    second.recall(text)
    second.part(Device, {}, Path())
    assert judged == [Device, Device]


def test_what_is_damaged_is_judged_anew(judged: list[type[Part]]) -> None:
    first = Known()
    first.part(Device, {"id": "a"}, Path())
    text = first.news() or ""
    damaged = [
        "",
        "[]",
        "null",
        "{}",
        '{"known": 1, "by": 2, "sha256": 3}',
        text[:-2],
        "[" * 100_000,
    ]
    at = text.index('\\"id\\": \\"a') + len('\\"id\\": \\"')
    damaged.append(f"{text[:at]}b{text[at + 1 :]}")
    for each in damaged:
        after = Known()
        after.recall(each)
        assert after.part(Device, {"id": "a"}, Path()).id == "a"
    assert len(judged) == 1 + len(damaged)


@pytest.mark.parametrize(
    "entry",
    [
        '[{"": "os:system", "command": "true"}, []]',
        '[{"": "edge_agent.config.known:Known"}, []]',
        '[{"": "edge_agent.config.known:Path"}, []]',
        '[{"": "edge_agent.nowhere:Device"}, []]',
        '[{"": "edge_agent.config.schema:Device", "nothing": 1}, []]',
        '[{"": "edge_agent.config.schema:Gate"}, []]',
        '[{"": "edge_agent.config.schema:Device"}, [["whatever", "x"]]]',
        '[{"": "edge_agent.config.schema:Device"}, 5]',
        '{"": 5}',
        "nonsense",
        "[" * 100_000,
    ],
)
def test_nothing_but_parts_is_made_of_what_was_kept(entry: str, judged: list[type[Part]]) -> None:
    first = Known()
    first.part(Device, {}, Path())
    document = json.loads(first.news() or "")
    ((mark, _),) = document["known"].items()
    document["known"] = {mark: entry}
    document["sha256"] = known._digest(document["known"])
    after = Known()
    after.recall(json.dumps(document))
    assert after.part(Device, {}, Path()) == Device()
    assert judged == [Device, Device]


def test_what_was_not_asked_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 3)
    assert MOST > 3
    few = Known()
    for name in ("a", "b", "c", "a", "d"):
        few.part(Device, {"id": name}, Path())
    kept = json.loads(few.news() or "")["known"].values()
    assert [name for name in "abcd" if any(f'"id": "{name}"' in each for each in kept)] == [
        "a",
        "c",
        "d",
    ]
