"""Replay: the same input gives the same bytes; batches come in input order; faults are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCENE = "built-in:?seed=11&frames=120"


def schema(name: str) -> Any:
    return json.loads((resources.files("edge_agent") / "schemas" / f"{name}.json").read_text())


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_events_detections_and_the_report_follow_their_schemas(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    detections, report = tmp_path / "d.jsonl", tmp_path / "r.json"
    done = edge("replay", SCENE, "-c", config, "--detections", detections, "--report", report)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    events = documents(done.stdout)
    assert events
    for event in events:
        jsonschema.validate(event, schema("event"))
    lines = documents(detections.read_text("utf-8"))
    for line in lines:
        jsonschema.validate(line, schema("detections"))
    told = json.loads(report.read_text())
    jsonschema.validate(told, schema("run-report"))
    assert told["frames"]["inferred"] == len(lines)
    assert told["events"] == {"opened": len(events), "closed": len(events)}


def test_the_report_balances_and_stands_on_stderr(edge: Run, config: Path) -> None:
    done = edge("replay", SCENE, "-c", config)
    frames = json.loads(done.stderr)["frames"]
    decided = frames["inferred"] + sum(frames["skipped"].values()) + frames["failed"]
    assert frames["captured"] == 120 == decided + frames["pending"]
    assert frames["pending"] == 0


def test_events_are_ordered_by_closing_opening_and_id(edge: Run, config: Path) -> None:
    events = documents(edge("replay", SCENE, "-c", config).stdout)
    keys = [(event["closed"], event["opened"], event["id"]) for event in events]
    assert keys == sorted(keys)
    assert len({event["id"] for event in events}) == len(events)


def test_the_same_bytes_twice_at_any_speed_on_one_core_and_two(edge: Run, config: Path) -> None:
    short = "built-in:?seed=11&frames=40"
    first = edge("replay", short, "-c", config)
    assert first.stdout
    assert edge("replay", short, "-c", config, "--speed", "real").stdout == first.stdout
    one_core = subprocess.run(
        [sys.executable, "-m", "edge_agent", "replay", short, "-c", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )
    assert one_core.stdout == first.stdout


def test_start_moves_every_time_and_no_id(edge: Run, config: Path) -> None:
    plain = documents(edge("replay", SCENE, "-c", config).stdout)
    moved = documents(edge("replay", SCENE, "-c", config, "--start", "2026-03-01T00:00:00Z").stdout)
    assert [event["id"] for event in moved] == [event["id"] for event in plain]
    assert all(event["opened"].startswith("2026-03-01T00:") for event in moved)
    assert all(event["opened"].startswith("1970-01-01T00:") for event in plain)


def test_against_an_earlier_run(edge: Run, config: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.jsonl"
    before.write_text(edge("replay", SCENE, "-c", config).stdout, "utf-8")
    same = edge("replay", SCENE, "-c", config, "--against", before)
    assert (same.returncode, same.stdout) == (0, "")
    lines = before.read_text("utf-8").splitlines(keepends=True)
    before.write_text("".join(lines[1:]), "utf-8")
    other = edge("replay", SCENE, "-c", config, "--against", before)
    assert other.returncode == 1
    new = [json.loads(line[1:]) for line in other.stdout.splitlines() if line.startswith("+{")]
    wanted = json.loads(lines[0])
    del wanted["config_sha256"], wanted["evidence"]
    assert new == [wanted]


def test_against_leaves_evidence_out_which_lies_elsewhere_in_each_run(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before.jsonl"
    kept = edge("replay", SCENE, "-c", config, "--store", tmp_path / "kept")
    before.write_text(kept.stdout, "utf-8")
    events = [json.loads(line) for line in kept.stdout.splitlines()]
    assert any(event["evidence"] for event in events)
    same = edge("replay", SCENE, "-c", config, "--against", before)
    assert (same.returncode, same.stdout) == (0, "")
    events[0]["evidence"] = [{"kind": "snapshot", "path": "evidence/elsewhere.jpg"}]
    before.write_text("".join(f"{json.dumps(event)}\n" for event in events), "utf-8")
    same = edge("replay", SCENE, "-c", config, "--against", before)
    assert (same.returncode, same.stdout) == (0, "")


def test_against_shows_what_a_changed_configuration_would_change(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before.jsonl"
    before.write_text(edge("replay", SCENE, "-c", config).stdout, "utf-8")
    text = config.read_text("utf-8")
    config.write_text(text.replace("name: any, confirm: [1, 1]", "name: any, dwell_s: 3"), "utf-8")
    changed = edge("replay", SCENE, "-c", config, "--against", before)
    assert changed.returncode == 1
    touched = {json.loads(line[1:])["rule"] for line in changed.stdout.splitlines()[2:]}
    assert touched == {"any"}  # the other rule's events are the same, whatever the hash


def test_a_tolerance_lets_events_move_a_little(edge: Run, config: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.jsonl"
    text = edge("replay", SCENE, "-c", config).stdout
    before.write_text(text.replace('"score":{"max":0.', '"score":{"max":0.0'), "utf-8")
    strict = edge("replay", SCENE, "-c", config, "--against", before)
    loose = edge("replay", SCENE, "-c", config, "--against", before, "--tolerance", "0.5")
    assert strict.returncode == 1
    assert (loose.returncode, loose.stdout) == (0, "")


def test_a_batch_comes_in_the_order_of_its_inputs(edge: Run, config: Path) -> None:
    seeds = [f"built-in:?seed={seed}&frames=60" for seed in (5, 3, 4)]
    single = [edge("replay", seed, "-c", config).stdout for seed in seeds]
    batch = edge("replay", *seeds, "-c", config)
    assert batch.returncode == 0, batch.stderr
    assert batch.stdout == "".join(single)
    assert json.loads(batch.stderr)["frames"]["captured"] == 180


def test_a_broken_picture_is_named_counted_and_the_rest_is_read(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    for index in range(3):
        cv2.imwrite(str(shots / f"{index}.png"), np.full((36, 64, 3), 90, np.uint8))
    (shots / "1.png").write_bytes(b"broken")
    done = edge("replay", shots, "-c", config)
    assert done.returncode == 0
    complaint, report = done.stderr.splitlines()
    assert complaint == "edge-agent: 1.png, item 1: not a picture, or damaged"
    assert json.loads(report)["frames"]["failed"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing.avi"], 2, "there is no file nothing.avi"),
        ([SCENE, "--pipeline", "none"], 2, "no pipeline 'none'"),
        ([SCENE, "--start", "yesterday"], 2, "no date and time with a zone"),
        ([SCENE, "--against", "none.jsonl"], 2, "none.jsonl cannot be read"),
        (["built-in:?seed=x"], 2, "'x' is no value for seed"),
        ([SCENE, "--speed", "slow"], 2, "slow"),
        ([SCENE, "--report", "no/such/dir/r.json"], 1, "cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence(
    edge: Run, config: Path, arguments: list[str], code: int, sentence: str
) -> None:
    done = edge("replay", *arguments, "-c", config)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_video_is_a_failure_with_its_name(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    done = edge("replay", "notes.mp4", "-c", config)
    assert done.returncode == 1
    assert done.stderr.startswith("edge-agent: notes.mp4, item 0: FFmpeg cannot read it")


def test_a_store_keeps_events_and_evidence(edge: Run, config: Path, tmp_path: Path) -> None:
    done = edge("replay", SCENE, "-c", config, "--store", tmp_path / "kept")
    events = documents(done.stdout)
    listed = edge("events", "list", "--state", tmp_path / "kept", "--json", "-n", "1000")
    assert sorted(documents(listed.stdout), key=lambda e: e["id"]) == sorted(
        events, key=lambda e: e["id"]
    )
    pictures = [item["path"] for event in events for item in event["evidence"]]
    assert pictures
    assert all((tmp_path / "kept" / path).is_file() for path in pictures)


def test_nothing_printed_names_this_machine(edge: Run, config: Path, tmp_path: Path) -> None:
    done = edge("replay", SCENE, "-c", config, "--store", tmp_path / "kept")
    assert str(tmp_path) not in done.stdout


def test_the_clip_of_an_event_shows_the_pipeline_the_same_event_again(
    edge: Run, config: Path, tmp_path: Path
) -> None:
    clip = "evidence: [snapshot, {clip: {pre_s: 3, post_s: 2}}]"
    config.write_text(config.read_text().replace("evidence: [snapshot]", clip))
    assert clip in config.read_text()
    store = tmp_path / "kept"
    first = edge("replay", SCENE, "-c", config, "--store", store)
    event = next(each for each in documents(first.stdout) if each["evidence"])
    shown = edge("events", "show", event["id"], "--state", store, "--json").stdout
    (kept,) = (each for each in json.loads(shown)["evidence"] if each["kind"] == "clip")
    again = edge("replay", store / kept["path"], "-c", config, "--start", kept["from"])
    assert event["rule"] in {each["rule"] for each in documents(again.stdout)}
    words = edge("events", "show", event["id"], "--state", store).stdout
    assert f"clip    {store / kept['path']}" in words


def test_a_replay_is_the_same_whether_pictures_are_made_of_all_frames_or_of_those_wanted(
    edge: Run, tmp_path: Path, realdata: Callable[[str], Path]
) -> None:
    """A schedule that is always open makes the source decode all of them, and changes no verdict;
    evidence is a second reason, without one."""
    video = realdata("video/vtest.avi")
    gate = "gate: {max_fps: 3, motion: false}"
    both = []
    for name, wanted in (("few", gate), ("all", gate.replace("}", ", schedule: '00:00-24:00'}"))):
        config = tmp_path / f"{name}.yaml"
        config.write_text(
            "sources: {cam: {kind: video, uri: cam.avi}}\n"
            f"pipelines: {{p: {{source: cam, model: scene-detector, {wanted}, "
            "rules: [{name: any, min_score: 0.3, priority: alert}]}}\n",
            "utf-8",
        )
        detections = tmp_path / f"{name}.jsonl"
        done = edge("replay", video, "-c", config, "--detections", detections)
        assert done.returncode == 0, done.stderr
        both.append((json.loads(done.stderr)["frames"], detections.read_text("utf-8")))
    assert both[0] == both[1]
    assert both[0][0]["skipped"]["rate"] > 100
    assert both[0][1]
