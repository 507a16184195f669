"""`edge-agent why`: the way to an event, and why nothing happened, on one screen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.policy.documents import About
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, FramesRow, Judged, Opened
from edge_agent.types import Decision, Event, Priority

Ask = Callable[..., Any]
#: Lines of a small terminal.
SCREEN = 24

ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
GATE = Decision(
    "gate",
    "pass",
    {
        "reason": "motion",
        "since_inferred_s": 0.2,
        "change": "local",
        "area": 0.0412,
        "threshold": 0.001,
        "noise": 1.2,
    },
)
MODEL = Decision("infer", "found", {"detections": 3, "best_score": 0.93})
WAY = (
    GATE,
    MODEL,
    Decision("label", "pass", {"label": "人", "wanted": "人"}),
    Decision("score", "pass", {"score": 0.93, "min": 0.5}),
    Decision("zone", "pass", {"zone": "門", "x": 0.42, "y": 0.88, "distance": 0.0}),
    Decision("confirm", "pass", {"hits": 3, "need": 3, "of": 5}),
    Decision("dwell", "pass", {"s": 2.1, "need_s": 2.0}),
    Decision("cooldown", "pass", {"since_s": None, "need_s": 60.0, "scope": "track"}),
)
NOON = 1_769_860_800.0  # 2026-01-31T12:00:00Z, 21:00 in Tokyo
EVENT = Event(
    id="601a8101a3fae6e5", pipeline="庭", source="庭カメラ", rule="侵入", priority=Priority.ALERT,
    label="人", zone="門", text="人 in 門 for 2.1 s", opened=NOON, seen=NOON, closed=None,
    close_reason=None, score_max=0.93, score_median=0.8, track=4, count=1, box=None, frame=1200,
    evidence=({"kind": "snapshot", "path": "evidence/2026/01/601a8101a3fae6e5.jpg"},),
    decisions=WAY, advice="close the gate",
)  # fmt: skip


def miss(rule: str, at: float, *decisions: Decision, track: int | None = None) -> Judged:
    label = None if track is None else "人"
    return Judged("miss", "庭", at, round(at - NOON), (GATE, MODEL, *decisions), rule, track, label)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An alert at noon; misses and skips ten minutes later; nothing inferred after twenty."""
    closed_window = Decision(
        "schedule", "stop", {"local": "sat 21:10", "window": "22:00-06:00", "clock": "synced"}
    )
    count = Decision("count", "stop", {"count": 2, "need": 9, "label": "any", "zone": None})
    label = Decision("label", "stop", {"wanted": "犬", "tracks": 2})
    later, last = NOON + 600, NOON + 1200
    paused = Decision("gate", "skip", {"reason": "paused"})
    rate = Decision("gate", "skip", {"reason": "rate", "max_fps": 5.0, "since_inferred_s": 0.05})
    batch = Batch(
        opened=(Opened(EVENT, ABOUT),),
        frames=(
            FramesRow("庭", later - 30, later + 30, 300, {"rate": 900, "busy": 3}),
            FramesRow("庭", last - 30, last + 30, 0, {"paused": 900}),
        ),
        judged=(
            miss("侵入", later + 3, *WAY[2:7], closed_window, track=12),
            miss("crowd", later + 2, count),
            miss("dog", later + 1, label),
            Judged("skip", "庭", later, 60, (rate,)),
            Judged("skip", "庭", last, 120, (paused,)),
        ),
    )
    with open_store(tmp_path / "state") as store:
        store.record(batch)
        closing = {"closed": NOON + 2.2, "close_reason": "cleared"}
        store.record(Batch(closed=(Event(**_fields(EVENT) | closing),)))
    return tmp_path


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__}


def test_an_event_is_told_stage_by_stage_with_its_numbers(ask: Ask, site: Path) -> None:
    told = ask("why", "601a")
    assert told.code == 0
    assert told.out.splitlines() == [
        "人 in 門 for 2.1 s",
        "  alert 601a8101a3fae6e5, frame 1200",
        "  rule 侵入 of pipeline 庭",
        "  opened 2026-01-31 21:00:00.000 (Asia/Tokyo, this host's zone)",
        "  closed after 2.2 s (cleared)",
        "",
        "pass   gate: motion, area 0.0412 changed, needs 0.001",
        "found  model: 3 detections, best score 0.93",
        "pass   label 人: wanted 人",
        "pass   score 0.93: needs 0.5",
        "pass   zone 門: anchor 0.42,0.88 inside",
        "pass   confirm 3 of 3: needs 3 of 5 inferred frames",
        "pass   dwell 2.1 s: needs 2.0 s",
        "pass   cooldown of the track: no opening yet, needs 60.0 s",
        "",
        "advice: close the gate",
        f"picture: {site}/state/evidence/2026/01/601a8101a3fae6e5.jpg",
    ]


def test_why_nothing_happened_is_told_rule_by_rule(ask: Ask, site: Path) -> None:
    told = ask("why", "--pipeline", "庭", "--at", "2026-01-31 21:10")
    assert told.code == 0
    assert told.out.splitlines() == [
        "pipeline 庭 at 2026-01-31 21:10:00 (Asia/Tokyo, this host's zone)",
        "No event: every rule stopped somewhere.",
        "",
        "frames  21:09:30 to 21:10:30: 1203 captured = 300 inferred",
        "        + 903 skipped (rate 900, busy 3) + 0 failed + 0 pending",
        "skip    21:10:00 sooner than max_fps 5, 0.05 s since the last inferred",
        "rule    21:10:01 dog stopped: label: none seen, wanted 犬, tracks of any label 2",
        "rule    21:10:02 crowd stopped: count 2 in the picture: needs 9 of label any",
        "",
        "rule    21:10:03 侵入: track 12 (人) stopped at schedule",
        "pass   gate: motion, area 0.0412 changed, needs 0.001",
        "found  model: 3 detections, best score 0.93",
        "pass   label 人: wanted 人",
        "pass   score 0.93: needs 0.5",
        "pass   zone 門: anchor 0.42,0.88 inside",
        "pass   confirm 3 of 3: needs 3 of 5 inferred frames",
        "pass   dwell 2.1 s: needs 2.0 s",
        "stop   schedule 22:00-06:00: local time sat 21:10",
        "",
        "the whole way of another: --rule RULE",
    ]
    assert len(told.out.splitlines()) <= SCREEN
    assert told.widest <= 80


def test_one_rule_in_full(ask: Ask, site: Path) -> None:
    told = ask("why", "--at", "2026-01-31 21:10", "--rule", "crowd")
    assert "dog" not in told.out
    assert told.out.splitlines()[-4:] == [
        "rule    21:10:02 crowd: it stopped at count",
        "pass   gate: motion, area 0.0412 changed, needs 0.001",
        "found  model: 3 detections, best score 0.93",
        "stop   count 2 in the picture: needs 9 of label any",
    ]


def test_frames_that_nobody_looked_at_are_said_first(ask: Ask, site: Path) -> None:
    told = ask("why", "--pipeline", "庭", "--at", "2026-01-31T12:20:00Z")
    lines = told.out.splitlines()
    assert lines[0] == "pipeline 庭 at 2026-01-31 12:20:00 (UTC, as asked)"
    assert lines[1] == "No event: not one frame was inferred, 900 of them: paused."
    assert "skip    12:20:00 paused (edge-agent resume)" in lines


def test_the_event_of_that_moment_is_named(ask: Ask, site: Path) -> None:
    told = ask("why", "--at", "2026-01-31 21:00:01")
    assert told.out.splitlines()[1] == "An event was open at that moment."
    assert "event   21:00:00 人 in 門 for 2.1 s (edge-agent why 601a8101)" in told.out


def test_where_nothing_was_kept_it_says_why(ask: Ask, site: Path) -> None:
    told = ask("why", "--at", "2026-01-30 08:15")
    assert told.code == 0
    assert "No event, and nothing was kept that says why." in told.out
    assert "the agent was off then" in told.out
    assert "kept only since 2026-01-31 21:10:00" in told.out
    at = time.time() + 86_400
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    assert "that moment is yet to come" in ask("why", "--at", tomorrow).out


def test_documents_follow_their_schemas(ask: Ask, site: Path) -> None:
    def schema(name: str) -> Any:
        file = resources.files("edge_agent") / "schemas" / f"{name}.json"
        return json.loads(file.read_text("utf-8"))

    moment = json.loads(ask("why", "--at", "2026-01-31 21:10", "--json").out)
    jsonschema.validate(moment, schema("why"))
    assert [each["rule"] for each in moment["misses"]] == ["侵入", "dog", "crowd"]
    event = json.loads(ask("why", "601a", "--json").out)
    assert event["schema"] == "event/1"
    assert [each["stage"] for each in event["decisions"]][:3] == ["gate", "infer", "label"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say EVENT, or --pipeline P --at WHEN"),
        (("601a", "--at", "08:15"), "say EVENT, or --pipeline P --at WHEN"),
        (("601a", "--pipeline", "庭"), "say EVENT, or --pipeline P --at WHEN"),
        (("--pipeline", "庭"), "say EVENT, or --pipeline P --at WHEN"),
        (("--pipeline", "底", "--at", "08:15"), "there is no pipeline '底'"),
        (("--at", "half past"), "'half past' is no moment"),
        (("601b",), "begins with 601b (nearest: 601a8101a3fae6e5)"),
        (("xyz",), "'xyz' is no event id"),
        (
            ("--at", "2026-01-31 21:10", "--rule", "crwod"),
            "nothing of a rule 'crwod' was kept then (did you mean crowd?)",
        ),
    ],
)
def test_a_mistake_is_one_sentence(
    ask: Ask, site: Path, arguments: tuple[str, ...], said: str
) -> None:
    wrong = ask("why", *arguments)
    assert (wrong.code, wrong.out) == (2, "")
    first, *rest = wrong.err.splitlines()
    assert said in first
    assert len(rest) == 1
    assert rest[0].startswith("next: ")


def test_an_ambiguous_id_names_its_candidates(ask: Ask, site: Path) -> None:
    with open_store(site / "state") as store:
        twin = Event(**_fields(EVENT) | {"id": "601a8101ffffffff"})
        store.record(Batch(opened=(Opened(twin, ABOUT),)))
    wrong = ask("why", "601A")
    assert wrong.err.splitlines() == [
        "edge-agent: several events begin with 601A: 601a8101a3fae6e5, 601a8101ffffffff",
        "next: write more digits",
    ]


def test_of_a_replay_it_can_be_asked_too(ask: Ask, replayed: Path) -> None:
    told = ask("why", "--at", "2026-01-31T08:00:03Z", "--state", replayed)
    assert told.code == 0
    assert "120 captured" in told.out
    assert "rule    08:00:0" in told.out
    assert told.widest <= 80
    listed = ask("events", "list", "--rule", "侵入", "--json", "--state", replayed)
    first = json.loads(listed.out.splitlines()[0])
    way = ask("why", first["id"], "--state", replayed).out
    for stage in ("gate: ", "model: ", "score ", "confirm "):
        assert stage in way
    assert len(way.splitlines()) <= SCREEN
