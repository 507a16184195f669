"""The built-in scene keeps its promises: pure in (spec, index), calm in time, rich in content."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import UsageError
from edge_agent.ports import Source
from edge_agent.sources.scene import GATE, LABELS, Scene, SceneSpec, Truth
from edge_agent.types import Frame

SEEDS = st.integers(0, 2**31)
SMALL = SceneSpec(width=160, height=90)


def moments(seed: int, seconds: int, fps: float = 10.0) -> Iterator[dict[int, Truth]]:
    scene = Scene("yard", SceneSpec(seed=seed, fps=fps))
    for index in range(int(seconds * fps)):
        yield {truth.id: truth for truth in scene.truth(index)}


# --- the source --------------------------------------------------------------------------------


def test_it_is_a_source_that_ends_after_its_frames_and_can_be_opened_again() -> None:
    scene: Source = Scene("yard", SceneSpec(width=160, height=90, fps=5, frames=3, origin=100.0))
    for _ in range(2):
        info = scene.open()
        assert (info.width, info.height, info.fps, info.frames) == (160, 90, 5, 3)
        frames = [scene.read() for _ in range(4)]
        assert frames.pop() is None
        assert [(f.source, f.index, f.time) for f in frames if isinstance(f, Frame)] == [
            ("yard", 0, 100.0),
            ("yard", 1, 100.2),
            ("yard", 2, 100.4),
        ]
        scene.close()
        scene.close()
    assert not scene.live


def test_frames_are_bgr_bytes_that_the_caller_may_keep_and_change() -> None:
    scene = Scene("yard", SMALL)
    first = scene.picture(0)
    assert first.shape == (90, 160, 3)
    assert first.dtype == np.uint8
    before = first.copy()
    second = scene.picture(1)
    assert np.array_equal(first, before)
    second[:] = 0
    assert np.array_equal(scene.picture(0), before)
    sky = first[:10, 120:].mean(axis=(0, 1))
    assert sky[0] > sky[2]  # blue comes first


@settings(max_examples=15, deadline=None)
@given(order=st.permutations([0, 3, 55, 210, 331, 480]))
def test_a_frame_never_depends_on_what_was_read_before(order: list[int]) -> None:
    shuffled = Scene("yard", SMALL)
    pictures = {index: shuffled.picture(index) for index in order}
    for index, picture in pictures.items():
        assert np.array_equal(picture, Scene("yard", SMALL).picture(index))


def test_another_process_draws_the_same_bytes() -> None:
    program = (
        "import hashlib; from edge_agent.sources.scene import Scene, SceneSpec;"
        "s = Scene('x', SceneSpec(seed=5, width=320, height=180));"
        "print(hashlib.sha256(b''.join(s.picture(i).tobytes() for i in (9, 200, 7))).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_the_frame_rate_samples_the_same_story() -> None:
    slow, fast = (Scene("yard", SceneSpec(fps=fps)) for fps in (5.0, 20.0))
    assert [slow.truth(i) for i in range(100)] == [fast.truth(4 * i) for i in range(100)]


def test_the_size_of_the_frame_changes_the_picture_but_not_the_truth() -> None:
    small, large = Scene("yard", SMALL), Scene("yard", SceneSpec(width=1280, height=720))
    assert small.truth(80) == large.truth(80)
    assert large.picture(80).shape == (720, 1280, 3)


# --- the story ---------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_nothing_teleports_and_never_more_than_six_are_there(seed: int) -> None:
    before: dict[int, Truth] = {}
    for now in moments(seed, 65):
        assert len(now) <= 6
        for id_, truth in now.items():
            x0, y0, x1, y1 = truth.box
            assert 0.0 <= x0 < x1 <= 1.0
            assert 0.0 <= y0 < y1 <= 1.0
            assert truth.label in LABELS
            assert 0.0 < truth.visible <= 1.0
            if id_ in before:
                moved = np.subtract(truth.box, before[id_].box)
                assert np.abs(moved).max() < 0.1  # in a tenth of a second
        before = now


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_objects_come_and_go_only_over_the_edges_of_the_frame(seed: int) -> None:
    """Or behind another object, which two that meet may do within one frame's time."""
    seen: dict[int, Truth] = {}
    scene = Scene("yard", SceneSpec(seed=seed))
    for index in range(650):
        for truth in scene.truth(index):
            if truth.id not in seen:
                assert truth.box[0] == 0.0 or truth.box[2] == 1.0 or truth.visible < 0.8
            seen[truth.id] = truth
    gone = [truth for id_, truth in seen.items() if id_ not in {t.id for t in scene.truth(649)}]
    assert all(t.box[0] == 0.0 or t.box[2] == 1.0 or t.visible < 0.8 for t in gone)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_every_half_minute_ends_with_seconds_in_which_nothing_moves(seed: int) -> None:
    scene = Scene("yard", SceneSpec(seed=seed))
    for episode in range(4):
        for index in range(episode * 300 + 251, episode * 300 + 300, 4):
            assert not any(truth.moving for truth in scene.truth(index))


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_the_first_ten_seconds_already_show_something(seed: int) -> None:
    busy = [now for now in moments(seed, 10) if any(t.moving for t in now.values())]
    assert len(busy) >= 30
    assert {t.label for now in busy for t in now.values()} >= {"person"}


def test_a_standing_object_keeps_its_box_to_the_last_digit() -> None:
    before: dict[int, Truth] = {}
    stood = 0
    for now in moments(7, 120):
        for id_, truth in now.items():
            if not truth.moving and id_ in before and not before[id_].moving:
                assert truth.box == before[id_].box
                stood += 1
        before = now
    assert stood > 100


def test_every_class_appears_hides_another_stops_and_passes_the_gate() -> None:
    left, right = min(x for x, _ in GATE), max(x for x, _ in GATE)
    labels, hidden, stopped, at_gate = set(), 0, set(), 0
    for now in moments(7, 300):
        for truth in now.values():
            inside = truth.box[0] > 0.0 and truth.box[2] < 1.0
            labels.add(truth.label)
            hidden += inside and truth.visible < 0.5
            at_gate += left < (truth.box[0] + truth.box[2]) / 2 < right
            if not truth.moving:
                stopped.add(truth.id)
    assert labels == set(LABELS)
    assert hidden > 20
    assert len(stopped) >= 5
    assert at_gate > 100


def test_visible_is_what_nearer_objects_and_the_edge_leave_of_a_box() -> None:
    for now in moments(11, 90):
        truths = list(now.values())  # farthest first
        assert truths == sorted(truths, key=lambda t: t.box[3])
        nearest = truths[-1:]
        assert all(t.visible == 1.0 for t in nearest if t.box[0] > 0.0 and t.box[2] < 1.0)


def test_a_minute_and_a_half_shows_day_and_night_and_no_jump_of_light() -> None:
    scene = Scene("yard", SceneSpec(width=160, height=90))
    light = [scene.light(index) for index in range(900)]
    assert max(light) == 1.0
    assert min(light) == 0.0
    assert np.abs(np.diff(light)).max() < 0.02
    noon, night = scene.picture(light.index(1.0)), scene.picture(light.index(0.0))
    assert noon.mean() > 1.5 * night.mean()


def test_the_sensor_is_noisier_at_night_and_never_twice_the_same() -> None:
    scene = Scene("yard", SceneSpec(width=320, height=180))
    empty = [i for i in range(2400) if not scene.truth(i) and not scene.truth(i + 1)]
    day = next(i for i in empty if scene.light(i) == 1.0)
    night = next(i for i in empty if scene.light(i) == 0.0)
    noise = [
        np.abs(scene.picture(i).astype(int) - scene.picture(i + 1)).mean() for i in (day, night)
    ]
    assert 0.3 < noise[0] < noise[1] < 6.0


# --- the URI -----------------------------------------------------------------------------------


def test_the_uri_says_it_all_and_may_say_nothing() -> None:
    assert SceneSpec.parse("built-in:") == SceneSpec()
    assert SceneSpec.parse("built-in:?") == SceneSpec()
    uri = "built-in:?seed=9&fps=12.5&size=320x180&frames=900&day_s=600"
    assert SceneSpec.parse(uri) == SceneSpec(9, 320, 180, 12.5, 900, 0.0, 600.0)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("built-in", "no built-in scene"),
        ("rtsp://cam/stream", "no built-in scene"),
        ("built-in:seed=7", "no built-in scene"),
        ("built-in:?sed=7", "no setting 'sed'"),
        ("built-in:?seed=seven", "'seven' is no value for seed"),
        ("built-in:?seed=-1", "'-1' is no value for seed"),
        ("built-in:?seed=", "'' is no value for seed"),
        ("built-in:?fps=0", "'0' is no value for fps"),
        ("built-in:?fps=nan", "'nan' is no value for fps"),
        ("built-in:?size=640", "'640' is no value for size"),
        ("built-in:?size=640x360x3", "is no value for size"),
        ("built-in:?size=8x8", "'8x8' is no value for size"),
        ("built-in:?frames=0", "'0' is no value for frames"),
        ("built-in:?frames=1.5", "'1.5' is no value for frames"),
    ],
)
def test_a_wrong_uri_is_one_sentence_and_what_to_write_instead(uri: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        SceneSpec.parse(uri)
    assert told in caught.value.message
    assert "size=640x360" in caught.value.next
