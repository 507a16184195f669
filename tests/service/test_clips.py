"""Clips: what is kept before and after an event, and that a replay of it sees what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.errors import NoRoom
from edge_agent.pipeline.rulespec import Clip, RuleSpec
from edge_agent.service import clips as clips_module
from edge_agent.service.clips import MOST, Clips
from edge_agent.store.evidence import jpeg
from edge_agent.types import Decision, Event, Frame, Outcome, Priority, Skip

GATE = Decision("gate", "pass", {})
START = 1_000_000.0


def rule(**clip: float) -> RuleSpec:
    return RuleSpec("person", evidence=("snapshot", Clip(**clip)))


def outcome(n: int, *events: Event, skip: Skip | None = None, data: Any = None) -> Outcome:
    """Frame n of five a second; each picture is of a brightness of its own."""
    picture = np.full((48, 64, 3), n * 2 % 256, np.uint8) if data is None else data
    return Outcome(Frame("yard", n, START + n * 0.2, picture), skip, GATE, opened=events)


def event(n: int) -> Event:
    at = START + n * 0.2
    return Event(
        id=f"{n:016x}",
        pipeline="people",
        source="yard",
        rule="person",
        priority=Priority.ALERT,
        label="person",
        zone=None,
        text="person",
        opened=at,
        seen=at,
        closed=None,
        close_reason=None,
        score_max=0.9,
        score_median=0.9,
        track=1,
        count=1,
        box=None,
        frame=n,
    )


class Kept(list[tuple[str, Mapping[str, Any]]]):
    def attach(self, id_: str, entry: Mapping[str, Any]) -> None:
        self.append((id_, entry))


def shots(path: Path) -> list[tuple[float, int]]:
    """Milliseconds and brightness of every picture of a film."""
    film = cv2.VideoCapture(str(path))
    found = []
    while True:
        good, picture = film.read()
        if not good:
            return found
        found.append((round(film.get(cv2.CAP_PROP_POS_MSEC)), round(float(picture.mean()))))


def test_a_clip_begins_before_its_event_and_ends_after_it(tmp_path: Path) -> None:
    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=1, post_s=2)], kept.attach)
    for n in range(40):
        clips.show(outcome(n, *([event(20)] if n == 20 else [])))
    (id_, entry) = kept[0]
    assert id_ == event(20).id
    assert (entry["kind"], entry["frames"]) == ("clip", 16)  # 15 to 30
    assert shots(tmp_path / entry["path"]) == [(200 * k, (15 + k) * 2) for k in range(16)]
    assert len(kept) == 1


def test_a_clip_that_a_stop_ends_has_what_there_is(tmp_path: Path) -> None:
    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=1, post_s=60)], kept.attach)
    clips.show(outcome(0, event(0)))
    clips.show(outcome(1))
    assert kept == []
    clips.close()
    assert kept[0][1]["frames"] == 2


def test_what_the_rate_left_out_is_not_in_it_but_what_stood_still_is(tmp_path: Path) -> None:
    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=5, post_s=0)], kept.attach)
    for n, skip in enumerate([None, Skip.RATE, Skip.MOTION, Skip.PAUSED, Skip.STATIONARY]):
        clips.show(outcome(n, skip=skip))
    clips.show(outcome(5, event(5)))
    assert [time for time, _ in shots(tmp_path / kept[0][1]["path"])] == [0, 400, 800, 1000]


def test_no_more_bytes_than_the_rule_says(tmp_path: Path) -> None:
    noise = np.random.default_rng(1)
    pictures = [noise.integers(0, 255, (96, 128, 3), np.uint8) for _ in range(60)]
    size = max(len(jpeg(picture)) for picture in pictures)
    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=60, post_s=60, max_mb=10.5 * size / 1e6)], kept.attach)
    for n, picture in enumerate(pictures):
        clips.show(outcome(n, *([event(30)] if n == 30 else []), data=picture))
    assert 9 <= kept[0][1]["frames"] <= 11
    assert kept[0][1]["bytes"] < 12 * size


def test_windows_of_a_signal_are_kept_as_they_are(tmp_path: Path) -> None:
    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=1, post_s=1)], kept.attach)
    windows = [np.full((16, 1), n, np.float32) for n in range(12)]
    for n, window in enumerate(windows):
        clips.show(outcome(n, *([event(5)] if n == 5 else []), data=window))
    entry = kept[0][1]
    assert (entry["samples"], entry["channels"], entry["frames"]) == (16, 1, 11)
    with np.load(tmp_path / entry["path"]) as file:
        assert np.array_equal(file["windows"], np.stack(windows[:11]))
        assert file["times"] == pytest.approx([START + n * 0.2 for n in range(11)])


def test_nothing_is_kept_where_no_rule_asks(tmp_path: Path) -> None:
    kept = Kept()
    clips = Clips(tmp_path, [RuleSpec("person", evidence=("snapshot",))], kept.attach)
    for n in range(5):
        clips.show(outcome(n, event(n)))
    clips.close()
    assert kept == []
    assert not list(tmp_path.iterdir())


def test_events_that_come_too_thick_have_none_rather_than_eat_the_memory(tmp_path: Path) -> None:
    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=0, post_s=5)], kept.attach)
    for n in range(MOST + 3):
        clips.show(outcome(n, event(n)))
    clips.close()
    assert len(kept) == MOST


def test_a_full_disk_costs_the_clip_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise NoRoom("no space is left", "free some")

    kept = Kept()
    clips = Clips(tmp_path, [rule(pre_s=0, post_s=0.2)], kept.attach)
    monkeypatch.setattr(clips_module, "save_clip", full)
    clips.show(outcome(0, event(0)))
    clips.show(outcome(1))
    assert kept == []
    assert "no clip kept" in caplog.text
