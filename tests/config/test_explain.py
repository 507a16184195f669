"""What the pipeline makes of a configuration, and what its hash depends on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config.explain import (
    canonical,
    config_sha256,
    model_name,
    pipeline_spec,
    resolve_id,
    worst_time_to_alert,
)
from edge_agent.config.known import part_of
from edge_agent.config.load import Loaded, load
from edge_agent.config.part import keys_of
from edge_agent.config.rules import FORMS, rule_spec
from edge_agent.config.schema import Config, Rule, RuleKeys
from edge_agent.errors import UsageError
from edge_agent.pipeline.gate import GateSpec
from edge_agent.pipeline.motion import MotionSpec
from edge_agent.pipeline.rules import Rules
from edge_agent.pipeline.rulespec import RuleSpec, RulesSpec, Sight, rule_fault
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.pipeline.zones import Line, Zone
from edge_agent.types import Box, Detection, Priority, Track

HASH = "0" * 64
GATE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))


def _rule(name: str = "a", **stated: object) -> Rule:
    return part_of(Rule, {"name": name, **stated})


def _defaults(**stated: object) -> RuleKeys:
    return part_of(RuleKeys, stated)


def _config(loaded: Loaded) -> Config:
    assert loaded.mistakes == ()
    assert loaded.config is not None
    return loaded.config


def test_a_pipeline_is_told_in_the_words_of_the_core(pipeline: Callable[[str], Loaded]) -> None:
    config = _config(
        pipeline("""
            threads: 2
            gate: {max_fps: 3, motion: {sensitivity: 1}, schedule: "22:00-06:00"}
            masks: {privacy: [[[0, 0], [1, 0], [1, 1]]], motion: [[[0, 0], [1, 0], [1, 1]]]}
            zones: {gate: [[0, 0], [1, 0], [1, 1]]}
            lines: {door: {from: [0, 0.5], to: [1, 0.5]}}
            rules:
              - name: in-gate
                label: person
                zone: gate
                schedule: mon 00:00-24:00
                priority: alert
                min_score: 0.5
              - {name: crossed, line: door}
        """)
    )
    spec = pipeline_spec(config, "people")
    assert (spec.source, spec.model, spec.engine, spec.threads) == (
        "yard",
        "scene-detector",
        "auto",
        2,
    )
    assert spec.gate == GateSpec(
        max_fps=3.0,
        motion=MotionSpec(keepalive_s=30.0, sensitivity=1.0),
        stationary=True,
        schedule=Schedule.parse("22:00-06:00"),
        motion_masks=(GATE,),
        settle=3,
        privacy=(GATE,),
    )
    assert spec.privacy == (GATE,)
    assert spec.zones == (Zone("gate", GATE),)
    assert spec.lines == (Line("door", (0.0, 0.5), (1.0, 0.5)),)
    assert spec.rules == (
        RuleSpec(
            "in-gate",
            label="person",
            zone="gate",
            schedule=Schedule.parse("mon 00:00-24:00"),
            priority=Priority.ALERT,
            min_score=0.5,
        ),
        RuleSpec("crossed", line="door"),
    )


@pytest.mark.parametrize(
    ("gate", "motion", "stationary"),
    [
        ("{}", True, True),
        ("{motion: false}", False, False),
        ("{motion: false, stationary: false}", False, False),
        ("{stationary: false}", True, False),
    ],
)
def test_stationary_follows_motion(
    pipeline: Callable[[str], Loaded], gate: str, motion: bool, stationary: bool
) -> None:
    spec = pipeline_spec(_config(pipeline(f"gate: {gate}")), "people").gate
    assert (spec.motion is not None, spec.stationary) == (motion, stationary)


def test_the_gate_lets_a_new_object_through_until_the_rules_can_confirm_it(
    pipeline: Callable[[str], Loaded],
) -> None:
    rules = "rules: [{name: a, confirm: [3, 8]}, {name: b, confirm: [1, 20]}, {name: c}]"
    assert pipeline_spec(_config(pipeline(rules)), "people").gate.settle == 8


def test_for_a_switch_the_gate_settles_whatever_moved(pipeline: Callable[[str], Loaded]) -> None:
    plain = pipeline_spec(_config(pipeline("rules: [{name: a, confirm: [3, 8]}]")), "people")
    switch = "rules: [{name: a, switched: true, confirm: [3, 8]}]"
    switched = pipeline_spec(_config(pipeline(switch)), "people")
    assert (plain.gate.settle_all, switched.gate.settle_all) == (False, True)
    assert switched.gate.settle == 8


# --- rules and their defaults --------------------------------------------------------------------


def test_the_schema_has_the_keys_and_the_defaults_of_the_core() -> None:
    plain = rule_spec(_rule(), RuleKeys())
    assert plain == RuleSpec("a")
    assert set(keys_of(Rule)) == {field.name for field in fields(RuleSpec)}
    for name in keys_of(RuleKeys):
        spelled = rule_spec(_rule(**{name: getattr(RuleKeys(), name)}), RuleKeys())
        assert spelled == RuleSpec("a"), name


def test_a_rule_takes_the_defaults_and_its_own_keys_win() -> None:
    defaults = _defaults(label="person", cooldown_s=60, priority="alert", zone="gate")
    rule = _rule(cooldown_s=5, zone=None)
    assert rule_spec(rule, defaults) == RuleSpec(
        "a", label="person", cooldown_s=5.0, priority=Priority.ALERT
    )


def test_a_default_that_means_nothing_to_a_kind_of_rule_is_not_taken_by_it() -> None:
    defaults = _defaults(zone="gate", dwell_s=2, confirm=(3, 5), cooldown_scope="track")
    crossing = rule_spec(_rule(line="door"), defaults)
    assert crossing == RuleSpec("a", line="door", confirm=(3, 5), cooldown_scope="track")
    level = rule_spec(_rule("b", score_above=0.5), defaults)
    assert level == RuleSpec("b", score_above=0.5)


def test_a_switch_takes_what_means_something_to_it() -> None:
    defaults = _defaults(zone="gate", dwell_s=2, confirm=(3, 5), cooldown_s=60, count=4)
    switch = rule_spec(_rule(switched=True), defaults)
    assert switch == RuleSpec("a", switched=True, confirm=(3, 5), cooldown_s=60.0)
    off = rule_spec(_rule(switched=False), _defaults(switched=True, count=4))
    assert off == RuleSpec("a", count=4)


def test_a_rule_that_says_its_kind_does_not_take_another_from_the_defaults() -> None:
    defaults = _defaults(count=5, dwell_s=2)
    assert rule_spec(_rule(), defaults) == RuleSpec("a", count=5, dwell_s=2.0)
    assert rule_spec(_rule("b", absent_s=60), defaults) == RuleSpec("b", absent_s=60.0)


_VALUES: dict[str, st.SearchStrategy[object]] = {
    "zone": st.just("gate"),
    "line": st.just("door"),
    "direction": st.sampled_from(["in", "out", "both"]),
    "anchor": st.sampled_from(["bottom", "center"]),
    "confirm": st.just((3, 5)),
    "min_score": st.sampled_from(["model", 0.5]),
    "min_area": st.just(0.1),
    "dwell_s": st.sampled_from([0.0, 2.0]),
    "count": st.integers(1, 3),
    "absent_s": st.just(60.0),
    "score_above": st.just(0.5),
    "for_s": st.just(1.0),
    "clear_below": st.just(0.4),
    "switched": st.booleans(),
    "cooldown_scope": st.sampled_from(["rule", "zone", "track"]),
}


@settings(max_examples=100)
@given(
    st.fixed_dictionaries({}, optional=_VALUES),
    st.sampled_from(["line", "count", "switched", None]),
)
def test_defaults_alone_never_make_a_rule_wrong(
    defaults: dict[str, object], form: str | None
) -> None:
    own = {} if form is None else {form: {"line": "door", "count": 2, "switched": True}[form]}
    forms = [key for key in FORMS if defaults.get(key, False) is not False]
    if form is None and len(forms) > 1:
        return  # the defaults contradict one another: that is told
    spec = rule_spec(_rule(**own), part_of(RuleKeys, defaults))
    assert rule_fault(spec) is None


# --- the hash ------------------------------------------------------------------------------------


def _hash(loaded: Loaded) -> str:
    return config_sha256(_config(loaded), "people", HASH)


def test_canonical_is_sorted_json_without_spaces(pipeline: Callable[[str], Loaded]) -> None:
    text = canonical(_config(pipeline("rules: [{name: 侵入, label: 人}]")), "people", HASH)
    assert text == json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert "侵入" in text
    assert json.loads(text)["model"] == {"name": "scene-detector", "sha256": HASH}
    assert json.loads(text)["gate"] == {
        "max_fps": 5.0,
        "motion": {"keepalive_s": 30.0, "sensitivity": 0.5},
        "schedule": None,
        "stationary": True,
    }


def test_a_camera_is_hashed_without_its_place_and_its_credentials(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    camera = (
        "sources: {cam: {kind: camera, uri: 'rtsp://place/s', username: joe, "
        "password: '${credential:camera}', fps: 7}}\n"
        "pipelines: {people: {source: cam, model: m}}\n"
    )
    path.write_text(camera)
    text = canonical(load(path), "people", HASH)
    assert json.loads(text)["source"] == {
        "name": "cam", "kind": "camera", "transport": "tcp", "fps": 7.0, "size": None,
        "stall_s": 8.0, "max_age_s": 2.0, "open_timeout_s": 20.0,
    }  # fmt: skip
    path.write_text(camera.replace("place", "elsewhere").replace("joe", "ann"))
    assert canonical(load(path), "people", HASH) == text


def test_a_signal_is_hashed_with_the_options_of_its_uri_and_without_its_place(
    tmp_path: Path,
) -> None:
    def hashed(uri: str) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(
            f'sources: {{motor: {{kind: signal, uri: "{uri}"}}}}\n'
            "pipelines: {people: {source: motor, model: m}}\n"
        )
        return config_sha256(load(path), "people", HASH)

    assert hashed("csv:a.csv") == hashed("csv:/elsewhere/b.csv")
    assert hashed("csv:a.csv?columns=x,y") == hashed("csv:/elsewhere/b.csv?columns=x,y")
    assert hashed("csv:a.csv?columns=x&time=t") == hashed("csv:a.csv?time=t&columns=x")
    seen = ["", "?columns=x,y", "?columns=y,x", "?columns=x,y&time=t"]
    assert len({hashed(f"csv:a.csv{options}") for options in seen}) == len(seen)


def test_the_hash_of_a_signal_without_options_is_what_it_always_was(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        'sources: {motor: {kind: signal, uri: "csv:a.csv"}}\n'
        "pipelines: {people: {source: motor, model: m}}\n"
    )
    assert config_sha256(load(path), "people", HASH) == (
        "18a33092605ee67d66cfb9038b1f4a7ff6625a7863a318fb8868683e0a5215b6"
    )


def test_the_hash_of_the_shortest_pipeline_is_what_it_always_was(
    pipeline: Callable[[str], Loaded],
) -> None:
    """Events keep it for years: a change here needs a reason and a line in the changelog."""
    assert _hash(pipeline("")) == (
        "ba25c692588989d92cf6b958a726950eb099f94c228791e8206e63b0ebcca586"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "gate: {max_fps: 5}"),
        ("gate: {max_fps: 5}", "gate: {max_fps: 5.0, stationary: true}"),
        ("rules: [{name: a, label: b}]", "defaults: {label: b}\nrules: [{name: a}]"),
        ("rules: [{name: a, label: b}]", "rules: [{label: b, min_score: model, name: a}]"),
        ("delegate: /opt/libedgetpu.so.1", "delegate: libedgetpu.so.1"),
    ],
)
def test_what_means_the_same_has_the_same_hash(
    pipeline: Callable[[str], Loaded], one: str, other: str
) -> None:
    assert _hash(pipeline(one)) == _hash(pipeline(other))


@pytest.mark.parametrize(
    "changed",
    [
        "gate: {max_fps: 6}",
        "gate: {motion: false}",
        "camera_health: true",
        "engine: litert",
        "zones: {z: [[0, 0], [1, 0], [1, 1]]}",
        "masks: {privacy: [[[0, 0], [1, 0], [1, 1]]]}",
        "rules: [{name: a}]",
    ],
)
def test_what_changes_the_pipeline_changes_the_hash(
    pipeline: Callable[[str], Loaded], changed: str
) -> None:
    plain = _hash(pipeline(""))
    assert _hash(pipeline(changed)) != plain


def test_the_hash_does_not_depend_on_paths_store_or_broker(tmp_path: Path) -> None:
    text = (
        "sources: {{s: {{kind: video, uri: {uri}}}}}\n"
        "pipelines: {{people: {{source: s, model: {model}}}}}\n{rest}"
    )
    hashes = set()
    for number, (uri, model, rest) in enumerate(
        [
            ("a.mp4", "person", ""),
            ("/b/c.mp4", "models/person.tflite", "store: {path: x}"),
            ("d.mp4", "../person.tar", 'mqtt: {host: h, username: u, password: "${credential:c}"}'),
        ]
    ):
        path = tmp_path / str(number) / "site.yaml"
        path.parent.mkdir()
        path.write_text(text.format(uri=uri, model=model, rest=rest))
        hashes.add(config_sha256(load(path), "people", HASH))
        assert str(tmp_path) not in canonical(load(path), "people", HASH)
    assert len(hashes) == 1


def test_another_model_is_another_hash(pipeline: Callable[[str], Loaded]) -> None:
    config = _config(pipeline(""))
    assert config_sha256(config, "people", "1" * 64) != config_sha256(config, "people", HASH)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("person", "person"),
        ("person-v1.5", "person-v1.5"),
        ("/opt/models/person", "person"),
        ("models/person.tar", "person"),
        ("./person.tflite", "person"),
    ],
)
def test_a_model_goes_by_its_name(reference: str, name: str) -> None:
    assert model_name(reference) == name


# --- ids and times -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("dock-07", "dock-07"),
        ("${hostname}", "pi-yard-3"),
        ("${serial}", "10000000abcdef01"),
    ],
)
def test_the_device_id_is_what_the_board_says(text: str, device: str) -> None:
    assert resolve_id(text, hostname="pi.yard.3", serial="10000000abcdef01") == device


def test_a_board_without_a_serial_number_needs_an_id() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_id("${serial}", hostname="pi", serial="")
    assert caught.value.message == "device.id ${serial} is empty on this board"


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [
        (RuleSpec("a"), 0.2),
        (RuleSpec("a", confirm=(1, 5)), 1.0),
        (RuleSpec("a", confirm=(3, 5)), 1.0),
        (RuleSpec("a", dwell_s=2.0), 2.2),
        (RuleSpec("a", dwell_s=2.0, confirm=(3, 5)), 3.0),
        (RuleSpec("a", dwell_s=0.5), 0.8),
        (RuleSpec("a", line="door", confirm=(3, 5)), 0.6),
        (RuleSpec("a", count=3, confirm=(3, 5), dwell_s=10.0), 11.0),
        (RuleSpec("a", absent_s=600.0), 600.0),
        (RuleSpec("a", score_above=0.5, for_s=2.0), 2.2),
        (RuleSpec("a", switched=True), 0.2),
        (RuleSpec("a", switched=True, confirm=(3, 5)), 1.0),
    ],
)
def test_the_worst_time_to_alert_at_five_frames_a_second(rule: RuleSpec, seconds: float) -> None:
    assert worst_time_to_alert(rule, 5.0) == pytest.approx(seconds)


# --- the worst time is a bound of what the rules do ----------------------------------------------

PLACE = (0.2, 0.2, 0.6, 0.6)
CALENDAR = Calendar(UTC)
LINE = Line("door", (0.0, 0.5), (1.0, 0.5))


def _first_opening(rule: RuleSpec, frames: Iterable[tuple[float, Box | None, bool]]) -> float:
    """When the rule opens its event; a frame is its time, where the object is, whether found."""
    rules = Rules(RulesSpec("p", "s", (rule,), lines=(LINE,)))
    track: Track | None = None
    for index, (time, box, found) in enumerate(frames):
        if box is None:
            track = None
        elif found:
            track = Track(1, "person", box, 0.9, 0.0, time, 1)
        elif track is not None:
            track = replace(track, visible=False)
        tracks = () if track is None else (track,)
        detections = (Detection("person", 0.9, box),) if box and found else ()
        sight = Sight(index, time, None, tracks, detections, True, False, CALENDAR)
        if rules.step(sight).opened:
            return time
    return math.inf


@st.composite
def _found(draw: st.DrawFn) -> tuple[tuple[int, int], list[bool]]:
    """`confirm: [n, m]`, and frames of which any m in a row hold n that found the object."""
    m = draw(st.integers(1, 5))
    n = draw(st.integers(1, m))
    found: list[bool] = []
    for _ in range(60):
        recent = found[-(m - 1) :] if m > 1 else []
        enough_missed = recent.count(False) >= m - n
        found.append(enough_missed or draw(st.booleans()))
    return (n, m), found


@settings(max_examples=60, deadline=None)
@given(
    pattern=_found(),
    fps=st.sampled_from([1.0, 2.5, 5.0, 10.0]),
    phase=st.floats(0.01, 0.99),
    dwell_s=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    count=st.sampled_from([None, 1]),
)
def test_a_rule_about_what_is_there_opens_within_its_worst_time(
    pattern: tuple[tuple[int, int], list[bool]],
    fps: float,
    phase: float,
    dwell_s: float,
    count: int | None,
) -> None:
    confirm, found = pattern
    rule = RuleSpec("a", confirm=confirm, dwell_s=dwell_s, count=count)
    frames = (((phase + i) / fps, PLACE, hit) for i, hit in enumerate(found))
    assert _first_opening(rule, frames) <= worst_time_to_alert(rule, fps) + 1e-6


@settings(max_examples=40, deadline=None)
@given(
    fps=st.sampled_from([1.0, 2.5, 5.0, 10.0]),
    phase=st.floats(0.01, 0.99),
    span=st.sampled_from([0.5, 1.0, 2.2]),
)
def test_a_rule_about_absence_or_a_score_opens_within_its_worst_time(
    fps: float, phase: float, span: float
) -> None:
    times = [(phase + i) / fps for i in range(-10, 60)]
    absence = RuleSpec("a", absent_s=span)
    leaving = [(time, PLACE if time < 0 else None, True) for time in times]
    assert _first_opening(absence, leaving) <= worst_time_to_alert(absence, fps) + 1e-6
    level = RuleSpec("b", score_above=0.5, for_s=span)
    coming = [(time, None if time < 0 else PLACE, True) for time in times]
    assert _first_opening(level, coming) <= worst_time_to_alert(level, fps) + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    pattern=_found(),
    others=st.lists(st.sampled_from(["before", "other", None]), min_size=60, max_size=60),
    phase=st.floats(0.01, 0.99),
)
def test_a_rule_about_a_switch_opens_within_its_worst_time(
    pattern: tuple[tuple[int, int], list[bool]], others: list[str | None], phase: float
) -> None:
    """Whatever the frames say that do not show the new class, and whatever was before."""
    confirm, found = pattern
    rule = RuleSpec("a", label="new", switched=True, confirm=confirm)
    rules = Rules(RulesSpec("p", "s", (rule,)))
    worst = worst_time_to_alert(rule, 1.0)
    shown = ["before"] * 10 + [
        "new" if hit else other for hit, other in zip(found, others, strict=True)
    ]
    for index, label in enumerate(shown):
        seen = () if label is None else (Detection(label, 0.9, PLACE),)
        sight = Sight(index, phase - 10 + index, None, (), seen, True, False, CALENDAR)
        opened = rules.step(sight).opened
        if opened:
            assert opened[0].opened <= worst + 1e-6
            return
    raise AssertionError("it never opened")


@settings(max_examples=40, deadline=None)
@given(pattern=_found(), fps=st.sampled_from([1.0, 5.0]), phase=st.floats(0.01, 0.99))
def test_a_rule_about_a_line_opens_within_its_worst_time(
    pattern: tuple[tuple[int, int], list[bool]], fps: float, phase: float
) -> None:
    confirm, found = pattern
    rule = RuleSpec("a", confirm=confirm, line="door")
    times = [(phase + i) / fps for i in range(-20, 40)]
    frames = (
        (time, (0.4, 0.2, 0.6, 0.4) if time < 0 else PLACE, hit)
        for time, hit in zip(times, found, strict=True)
    )
    assert _first_opening(rule, frames) <= worst_time_to_alert(rule, fps) + 1e-6
