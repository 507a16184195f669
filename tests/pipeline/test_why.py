"""Decisions in words: numbers with units, in 80 columns, for every stage."""

from dataclasses import replace
from datetime import UTC
from unicodedata import east_asian_width

import numpy as np
import pytest

from edge_agent.pipeline.gate import Gate, GateSpec, Look
from edge_agent.pipeline.rules import Rules, RuleSpec, RulesSpec, Sight
from edge_agent.pipeline.schedule import Calendar, Schedule
from edge_agent.pipeline.why import clip, explain
from edge_agent.pipeline.zones import Line, Zone
from edge_agent.types import Decision, Detection, OperatingPoint, Track


def width(text):
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


@pytest.mark.parametrize(
    ("stage", "verdict", "numbers", "line"),
    [
        (
            "label",
            "pass",
            {"label": "person", "wanted": "person or dog"},
            "pass   label person: wanted person or dog",
        ),
        (
            "label",
            "stop",
            {"wanted": "person", "tracks": 2},
            "stop   label: none seen, wanted person, tracks of any label 2",
        ),
        ("score", "stop", {"score": 0.2437, "min": 0.25}, "stop   score 0.2437: needs 0.25"),
        (
            "score",
            "pass",
            {"score": 0.8, "above": 0.7, "label": "leak"},
            "pass   score of leak 0.8: needs more than 0.7",
        ),
        (
            "area",
            "stop",
            {"area": 0.0123, "min": 0.05, "max": None},
            "stop   area 0.0123 of the frame: needs at least 0.05",
        ),
        ("mask", "stop", {"x": 0.5, "y": 0.25}, "stop   object mask: anchor 0.50,0.25"),
        (
            "zone",
            "pass",
            {"zone": "gate", "x": 0.42, "y": 0.88, "distance": 0.0},
            "pass   zone gate: anchor 0.42,0.88 inside",
        ),
        (
            "zone",
            "stop",
            {"zone": "gate", "x": 0.42, "y": 0.88, "distance": 0.0312},
            "stop   zone gate: anchor 0.42,0.88 0.0312 of the frame away",
        ),
        (
            "line",
            "stop",
            {
                "line": "door",
                "x": 0.4,
                "y": 0.5,
                "distance": 0.1,
                "crossed": None,
                "wanted": "both",
            },
            "stop   line door: not crossed, anchor 0.40,0.50 0.1 of the frame away",
        ),
        (
            "line",
            "stop",
            {
                "line": "door",
                "x": 0.4,
                "y": 0.5,
                "distance": 0.1,
                "crossed": "out",
                "wanted": "in",
            },
            "stop   line door: crossed out, wanted in",
        ),
        (
            "confirm",
            "stop",
            {"hits": 2, "need": 3, "of": 5},
            "stop   confirm 2 of 3: needs 3 of 5 inferred frames",
        ),
        ("dwell", "stop", {"s": 1.25, "need_s": 2.0}, "stop   dwell 1.2 s: needs 2.0 s"),
        (
            "count",
            "stop",
            {"count": 3, "need": 5, "label": "any", "zone": "gate"},
            "stop   count 3 in zone gate: needs 5 of label any",
        ),
        (
            "absence",
            "stop",
            {"s": 0.0, "need_s": 600.0, "present": 1, "label": "person", "zone": None},
            "stop   absence 0.0 s: needs 600.0 s, now 1 of label person in the picture",
        ),
        (
            "schedule",
            "stop",
            {"local": "tue 03:00", "window": "mon 10:00-11:00", "clock": "synced"},
            "stop   schedule mon 10:00-11:00: local time tue 03:00",
        ),
        (
            "cooldown",
            "stop",
            {"since_s": 12.0, "need_s": 60.0, "scope": "track"},
            "stop   cooldown of the track: 12.0 s since the last, needs 60.0 s",
        ),
        (
            "cooldown",
            "pass",
            {"since_s": None, "need_s": 60.0, "scope": "rule"},
            "pass   cooldown of the rule: no opening yet, needs 60.0 s",
        ),
        (
            "max_per_hour",
            "stop",
            {"opened": 6, "max": 6},
            "stop   max_per_hour: 6 opened in the last hour, allowed 6",
        ),
        (
            "gate",
            "motion",
            {"changed": 0.00012345, "keepalive": False, "since_s": None},
            "motion gate: changed 0.0001234, keepalive no, since_s none",
        ),
        ("gate", "infer", {}, "infer  gate"),
        (
            "infer",
            "found",
            {"detections": 1, "best_score": 0.87654},
            "found  model: 1 detection, best score 0.8765",
        ),
        ("infer", "found", {"detections": 0, "best_score": 0.0}, "found  model: 0 detections"),
        ("weather", "pass", {"rain": True}, "pass   weather: rain yes"),
        ("dwell", "stop", {"seconds": 1.5}, "stop   dwell: seconds 1.5"),  # of another version
    ],
)
def test_a_stage_is_one_line_with_its_numbers(stage, verdict, numbers, line):
    assert explain([Decision(stage, verdict, numbers)])[0] == line


MOVED = {"since_inferred_s": 0.2, "change": "local", "area": 0.1671, "threshold": 0.001}


@pytest.mark.parametrize(
    ("verdict", "numbers", "told"),
    [
        ("pass", {"reason": "motion", **MOVED}, "motion, area 0.1671 changed, needs 0.001"),
        (
            "pass",
            {"reason": "motion", **MOVED, "change": "global", "gain": 0.921},
            "motion, area 0.1671 changed, needs 0.001; light gain 0.921",
        ),
        ("pass", {"reason": "motion", **MOVED, "change": "scene"}, "motion, another picture than "),
        (
            "pass",
            {"reason": "settle", **MOVED, "area": 0.0},
            "settling what was found, area 0 changed, needs 0.001",
        ),
        ("pass", {"reason": "keepalive", "since_inferred_s": None}, "the first frame"),
        (
            "pass",
            {"reason": "keepalive", "since_inferred_s": 30.25, "keepalive_s": 30.0},
            "keepalive, 30.25 s since the last inferred, needs 30.0 s",
        ),
        (
            "pass",
            {"reason": "every", "since_inferred_s": 0.1},
            "every frame (motion: false), 0.1 s since the last inferred",
        ),
        ("skip", {"reason": "paused"}, "paused (edge-agent resume)"),
        (
            "skip",
            {"reason": "schedule", "local": "tue 03:00", "window": "mon 10:00-11:00"},
            "outside the schedule mon 10:00-11:00, local time tue 03:00",
        ),
        (
            "skip",
            {"reason": "stale", "age_s": 3.14, "max_age_s": 2.0},
            "stale, the frame was 3.1 s old when its turn came, allowed 2.0 s",
        ),
        (
            "skip",
            {"reason": "rate", "max_fps": 5.0, "since_inferred_s": 0.05},
            "sooner than max_fps 5, 0.05 s since the last inferred",
        ),
        (
            "skip",
            {
                "reason": "thermal",
                "max_fps": 1.0,
                "since_inferred_s": 0.5,
                "level": 2,
                "heat": "80 C",
            },
            "heat level 2 (80 C), 0.5 s since the last inferred, max_fps 1",
        ),
        (
            "skip",
            {"reason": "motion", **MOVED, "area": 0.0002},
            "no motion, area 0.0002 changed, needs 0.001",
        ),
        (
            "skip",
            {"reason": "stationary", **MOVED},
            "in standing objects only, area 0.1671 changed, needs 0.001",
        ),
    ],
)
def test_the_gate_says_in_words_why_a_frame_passed_or_not(verdict, numbers, told):
    (line,) = explain([Decision("gate", verdict, numbers)])
    assert line.startswith(f"{verdict:<6} gate: {told}")
    assert width(line) <= 80


def test_every_verdict_of_the_gate_has_its_words():
    """What a gate really says is told by a phrase, not by the names of its numbers."""
    rng = np.random.default_rng(1)
    still = rng.integers(60, 90, (90, 160, 3), dtype=np.uint8)
    moved = still.copy()
    moved[20:70, 40:90] = 250
    person = Track(1, "person", (0.2, 0.2, 0.6, 0.8), 0.9, 0, 0, 9, stationary=True)
    closed = Schedule.parse("mon 10:00-11:00")
    open_ = Look(0.0, still, (), OperatingPoint(), Calendar(UTC))
    stories = {
        "every": (GateSpec(motion=None), [open_]),
        "keepalive": (GateSpec(), [open_]),
        "rate": (GateSpec(), [open_, replace(open_, time=0.01)]),
        "motion": (GateSpec(), [open_, replace(open_, time=1.0, image=moved)]),
        "no motion": (GateSpec(), [open_, replace(open_, time=1.0)]),
        "settle": (
            GateSpec(),
            [open_, replace(open_, time=1.0, tracks=(replace(person, hits=1, stationary=False),))],
        ),
        "stationary": (
            GateSpec(),
            [open_, replace(open_, time=1.0, image=moved, tracks=(person,))],
        ),
        "thermal": (
            GateSpec(),
            [
                replace(open_, point=OperatingPoint(2, 0.5, None, "80 C")),
                replace(open_, time=1.0, point=OperatingPoint(2, 0.5, None, "80 C")),
            ],
        ),
        "paused": (GateSpec(), [replace(open_, paused=True)]),
        "stale": (GateSpec(), [replace(open_, age_s=3.0, max_age_s=2.0)]),
        "schedule": (GateSpec(schedule=closed), [open_]),
    }
    for name, (spec, looks) in stories.items():
        gate = Gate(spec)
        decision = [gate.decide(look) for look in looks][-1].decision
        assert decision.numbers["reason"] == name.removeprefix("no "), name
        (line,) = explain([decision])
        assert "gate: reason" not in line, name
        assert width(line) <= 80, name


def test_a_long_name_never_hides_the_numbers_after_it():
    long = "侵入検知エリア" * 6
    zone = {"zone": long, "x": 0.42, "y": 0.88, "distance": 0.0312}
    assert explain([Decision("zone", "stop", zone)])[0].endswith("0.0312 of the frame away")
    count = {"count": 3, "need": 5, "label": long, "zone": long}
    assert "needs 5" in explain([Decision("count", "stop", count)])[0]


def test_a_path_that_stopped_ends_with_where():
    path = [
        Decision("score", "pass", {"score": 0.5, "min": 0.25}),
        Decision("dwell", "stop", {"s": 1.0, "need_s": 2.0}),
    ]
    assert explain(path)[-1] == "nothing was raised: it stopped at dwell"
    assert len(explain(path[:1])) == 1
    assert explain([]) == ()


def test_wide_characters_take_two_columns():
    assert clip("人" * 40) == "人" * 40
    assert clip("人" * 41) == "人" * 39 + "…"
    assert clip("e\N{COMBINING ACUTE ACCENT}" * 80) == "e\N{COMBINING ACUTE ACCENT}" * 80


def test_everything_that_rules_decide_can_be_told_in_80_columns():
    long = "侵入検知エリア" * 6
    zone = Zone(long, ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)))
    line = Line("line " * 20, (0.1, 0.5), (0.9, 0.5))
    schedule = Schedule.parse("mon,tue,wed,thu,fri,sat,sun 00:00-24:00; " * 4 + "00:00-24:00")
    rules = (
        RuleSpec("a", label=long, zone=long, min_area=0.001, confirm=(2, 3), dwell_s=0.1),
        RuleSpec("b", schedule=schedule, cooldown_s=5.0, max_per_hour=1),
        RuleSpec("c", line=line.name),
        RuleSpec("d", label=long, zone=long, count=3),
        RuleSpec("e", label=long, zone=long, absent_s=0.1),
        RuleSpec("f", label=long, score_above=0.5, for_s=0.1),
    )
    mask = ((0.9, 0.9), (1.0, 0.9), (1.0, 1.0))
    judged = Rules(RulesSpec("p", "s", rules, (zone,), (line,), object_masks=(mask,)))
    lines, stages = [], set()
    for frame in range(40):
        y = 0.3 + 0.01 * frame
        tracks = tuple(Track(n, long, (0.4, 0.1, 0.6, y), 0.9, 0, 0, 1) for n in range(frame // 10))
        found = (Detection(long, frame / 40, (0, 0, 1, 1)),)
        sight = Sight(frame, frame * 0.1, None, tracks, found, True, False, Calendar(UTC))
        changes = judged.step(sight)
        for event in changes.opened:
            lines += explain(event.decisions)
            stages |= {decision.stage for decision in event.decisions}
        for miss in changes.misses:
            lines += explain(miss.decisions)
    assert max(map(width, lines)) <= 80
    order = "label score area mask zone line confirm count dwell absence schedule cooldown"
    assert stages == {*order.split(), "max_per_hour"}
