"""The tracker: ids that stay, and everything a track says of itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.associate import overlaps
from edge_agent.pipeline.track import Tracked, Tracker, TrackSpec
from edge_agent.sources.scene_world import cast, truths
from edge_agent.types import Box, Detection, Track

FPS = 10.0


def at(x: float, y: float = 0.5, size: tuple[float, float] = (0.06, 0.2)) -> Box:
    """A box around (x, y)."""
    return x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2


def person(box: Box, score: float = 0.8, label: str = "person") -> Detection:
    return Detection(label, score, box)


def follow(
    frames: list[list[Detection]], spec: TrackSpec | None = None, fps: float = FPS
) -> list[Tracked]:
    tracker = Tracker(spec or TrackSpec())
    return [tracker.update(tuple(frame), i / fps) for i, frame in enumerate(frames)]


def walk(x: float, speed: float, count: int, fps: float = FPS, y: float = 0.5) -> list[Box]:
    """Boxes of one who walks at `speed` frame widths a second."""
    return [at(x + speed * i / fps, y) for i in range(count)]


def ids(seen: list[Tracked]) -> list[tuple[int | None, ...]]:
    return [tracked.ids for tracked in seen]


# --- ids stay ----------------------------------------------------------------------------------


def test_ids_count_from_one_in_the_order_of_the_detections():
    (first,) = follow([[person(at(0.7)), person(at(0.2)), person(at(0.5))]])
    assert first.ids == (1, 2, 3)
    assert [track.id for track in first.tracks] == [1, 2, 3]


def test_a_track_says_what_was_seen():
    boxes = walk(0.2, 0.1, 5)
    *_, last = follow([[person(box, 0.6 + i / 100)] for i, box in enumerate(boxes)])
    (track,) = last.tracks
    assert (track.box, track.score, track.label) == (boxes[-1], 0.64, "person")
    assert (track.born, track.seen, track.hits, track.visible) == (0.0, 0.4, 5, True)


@pytest.mark.parametrize("fps", [1.0, 2.0, 5.0, 10.0, 30.0])
def test_speed_is_in_frame_widths_and_heights_a_second(fps):
    count = int(3 * fps) + 1
    boxes = [at(0.2 + 0.1 * i / fps, 0.3 + 0.05 * i / fps, (0.2, 0.3)) for i in range(count)]
    *_, last = follow([[person(box)] for box in boxes], fps=fps)
    assert last.tracks[0].speed == pytest.approx((0.1, 0.05), rel=0.1)


def test_two_who_cross_keep_their_ids():
    right, left = walk(0.1, 0.15, 50, y=0.50), walk(0.85, -0.15, 50, y=0.56)
    seen = follow([[person(a), person(b)] for a, b in zip(right, left, strict=True)])
    assert set(ids(seen)) == {(1, 2)}


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_one_who_is_hidden_for_a_second_comes_back_as_the_same(fps):
    boxes = walk(0.1, 0.12, int(5 * fps), fps)
    hidden = range(int(2 * fps), int(3 * fps))
    frames = [[] if i in hidden else [person(box)] for i, box in enumerate(boxes)]
    seen = follow(frames, fps=fps)
    assert {i for tracked in seen for i in tracked.ids} == {1}
    gone = seen[hidden[-1]].tracks[0]
    assert not gone.visible
    assert gone.box[0] == pytest.approx(boxes[hidden[-1]][0], abs=0.03)  # where it must be by now


def test_one_who_passes_behind_another_comes_out_on_the_far_side():
    walker, stands = walk(0.2, 0.12, 60), at(0.5, 0.52, (0.1, 0.26))
    frames = []
    for box in walker:
        covered = stands[0] < box[0] + 0.02 and box[2] - 0.02 < stands[2]
        frames.append([person(stands)] if covered else [person(stands), person(box)])
    seen = follow(frames)
    assert {tracked.ids for tracked in seen} == {(1, 2), (1,)}


@pytest.mark.parametrize("fps", [1.0, 2.0, 5.0])
def test_at_a_low_rate_one_who_leaves_its_own_box_between_frames_keeps_the_id(fps):
    boxes = walk(0.05, 0.07, int(12 * fps), fps)
    assert set(ids(follow([[person(box)] for box in boxes], fps=fps))) == {(1,)}


def test_the_truth_of_the_scene_with_a_real_detectors_jitter_switches_hardly_an_id():
    switches = objects = 0
    for seed in (31, 32, 33):
        rng, tracker, last = np.random.default_rng(seed), Tracker(), {}
        for index in range(600):
            seen = [t for t in truths(cast(seed, index / FPS)) if t.visible > 0.3]
            seen = [t for t in seen if rng.random() > 0.05]
            found = tuple(person(jittered(t.box, rng), 0.75, t.label) for t in seen)
            for truth, id_ in zip(seen, tracker.update(found, index / FPS).ids, strict=True):
                switches += last.get(truth.id, id_) != id_
                last[truth.id] = id_
        objects += len(last)
    assert objects > 15
    assert switches <= 0.2 * objects


def jittered(box: Box, rng: np.random.Generator) -> Box:
    """The box with the errors that yolov8n at 192 pixels makes on real video."""
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    dx, dy, dw, dh = rng.normal(0, 1, 4) * (0.07 * w, 0.03 * h, 0.1 * w, 0.05 * h)
    return x0 + dx - dw / 2, y0 + dy - dh / 2, x1 + dx + dw / 2, y1 + dy + dh / 2


# --- beginning and ending -----------------------------------------------------------------------


def test_a_weak_detection_goes_on_with_a_track_but_starts_none():
    weak = [person(at(0.5), 0.3)]
    assert ids(follow([weak] * 3)) == [(None,)] * 3
    assert ids(follow([[person(at(0.5), 0.7)], *[weak] * 50])) == [(1,)] * 51


def test_a_confident_detection_goes_before_a_weak_one():
    both = [person(at(0.5), 0.2), person(at(0.51), 0.8)]
    assert follow([[person(at(0.5))], both])[1].ids == (None, 1)


def test_below_low_nothing_counts():
    frames = [[person(at(0.5))], [person(at(0.5), 0.05)]]
    assert ids(follow(frames)) == [(1,), (None,)]


@pytest.mark.parametrize(("fps", "last_frame"), [(10.0, 31), (2.0, 7), (0.5, 3), (0.1, 3)])
def test_a_track_is_lost_after_three_seconds_and_three_inferred_frames(fps, last_frame):
    spec = TrackSpec(gap_s=1000)
    seen = follow([[person(at(0.5))]] * 5 + [[]] * 40, spec, fps)
    alive = [bool(tracked.tracks) for tracked in seen[5:]]
    assert alive.index(False) == last_frame - 1
    assert not any(alive[last_frame:])


def test_one_who_was_seen_only_once_is_soon_forgotten():
    seen = follow([[person(at(0.5))], [], []])
    assert [len(tracked.tracks) for tracked in seen] == [1, 1, 0]


def test_one_who_walks_out_of_the_picture_is_not_waited_for():
    boxes = [box for box in walk(0.7, 0.2, 16) if box[2] < 1.0]
    seen = follow([[person(box)] for box in boxes] + [[]] * 15)
    assert seen[-1].tracks == ()
    assert all(0 <= e <= 1 for tracked in seen for track in tracked.tracks for e in track.box)


def test_an_id_never_comes_again():
    seen = follow([[person(at(0.2))], *[[]] * 40, [person(at(0.2))]])
    assert seen[-1].ids == (2,)


def test_after_a_long_gap_nothing_is_taken_for_the_same():
    tracker = Tracker()
    for i in range(10):
        tracker.update((person(at(0.5)),), i / FPS)
    assert tracker.update((person(at(0.5)),), 20.0).ids == (1,)
    assert tracker.update((person(at(0.5)),), 3600.0).ids == (2,)


def test_one_look_a_minute_still_follows_a_parked_car():
    seen = ids(follow([[person(at(0.5), label="car")]] * 10, fps=1 / 60))
    assert len(set(seen[1:])) == 1  # the second look cannot know yet that this is the usual pace


def test_who_left_unseen_is_found_out_by_a_few_keepalive_looks():
    tracker = Tracker()
    for i in range(10):
        tracker.update((person(at(0.5)),), i / FPS)
    time, looks = 1.0, 0
    while tracker.update((), time).tracks:
        looks += 1
        for second in range(1, 30):
            tracker.hold(time + second)
        time += 30.0
    assert 2 <= looks <= 4


# --- labels ----------------------------------------------------------------------------------


def test_objects_of_different_labels_in_one_place_are_followed_apart():
    dog, rider = at(0.5, 0.6, (0.1, 0.1)), at(0.5, 0.5, (0.08, 0.3))
    frames = [[person(rider), person(dog, label="dog")]] * 5
    assert set(ids(follow(frames))) == {(1, 2)}


def test_a_label_that_flickers_for_one_frame_starts_no_twin():
    labels = ["person"] * 5 + ["dog"] + ["person"] * 5
    seen = follow([[person(at(0.5), label=label)] for label in labels])
    assert set(ids(seen)) == {(1,)}
    assert {track.label for tracked in seen for track in tracked.tracks} == {"person"}


def test_a_label_that_stays_is_taken_over_under_the_same_id():
    labels = ["dog"] * 3 + ["person"] * 5
    seen = follow([[person(at(0.5), label=label)] for label in labels])
    assert set(ids(seen)) == {(1,)}
    assert [tracked.tracks[0].label for tracked in seen] == ["dog"] * 5 + ["person"] * 3


def test_two_labels_for_one_thing_are_one_track():
    """A van that the model also calls a truck."""
    twice = [person(at(0.5), 0.7, "truck"), person(at(0.502), 0.8, "van")]
    seen = follow([twice] * 5)
    assert [len(tracked.tracks) for tracked in seen] == [1] * 5
    assert {tracked.tracks[0].label for tracked in seen} == {"van"}


# --- standing still, and frames in which nothing changed ----------------------------------------


def stationary(seen: list[Tracked]) -> list[bool]:
    return [tracked.tracks[0].stationary for tracked in seen]


@pytest.mark.parametrize("fps", [2.0, 10.0])
def test_one_who_stands_becomes_stationary_after_three_seconds(fps):
    rng = np.random.default_rng(4)
    frames = [[person(jittered(at(0.5, size=(0.1, 0.3)), rng))] for _ in range(int(10 * fps))]
    flags = stationary(follow(frames, TrackSpec(still=0.4), fps))
    assert not any(flags[: int(3 * fps)])
    assert all(flags[int(3 * fps) + 1 :])


def test_one_who_walks_is_not_stationary_and_stops_being_so_when_it_starts():
    stands, walks = [at(0.3)] * 60, walk(0.3, 0.1, 40)
    flags = stationary(follow([[person(box)] for box in [*stands, *walks]]))
    assert flags[59]
    assert not any(flags[65:])


def test_one_who_creeps_is_not_stationary():
    creeps = walk(0.3, 0.01, 100)  # half its width in three seconds
    assert not any(stationary(follow([[person(box)] for box in creeps])))


def test_held_frames_age_nobody_and_who_is_seen_stands_still():
    tracker = Tracker()
    for i, box in enumerate(walk(0.3, 0.1, 10)):
        tracker.update((person(box), person(at(0.8))), i / FPS)
    tracker.update((person(at(0.8)),), 1.0)  # the walker is hidden
    held = [tracker.hold(1.0 + i / FPS) for i in range(1, 300)][-1]
    hidden, stands = held
    assert (hidden.id, hidden.visible, hidden.stationary) == (1, False, False)
    assert (stands.id, stands.visible, stands.stationary) == (2, True, True)
    assert stands.speed == (0.0, 0.0)
    assert stands.seen == 1.0  # nobody looked since
    after = tracker.update((person(at(0.39)), person(at(0.8))), 31.0)
    assert after.ids == (1, 2)


def test_one_who_stopped_in_a_held_frame_is_not_predicted_onwards():
    tracker = Tracker()
    boxes = walk(0.3, 0.2, 10)
    for i, box in enumerate(boxes):
        tracker.update((person(box),), i / FPS)
    for i in range(10, 20):
        (track,) = tracker.hold(i / FPS)
    assert track.box == boxes[-1]
    (unseen,) = tracker.update((), 2.0).tracks
    assert unseen.box[0] == pytest.approx(boxes[-1][0], abs=0.02)


def test_without_anything_to_follow_everything_is_empty():
    tracker = Tracker()
    assert tracker.hold(0.0) == ()
    assert tracker.update((), 1.0) == Tracked((), ())


def test_the_same_time_twice_does_not_break_the_speed():
    tracker = Tracker()
    tracker.update((person(at(0.5)),), 1.0)
    tracked = tracker.update((person(at(0.51)),), 1.0)
    assert tracked.ids == (1,)
    assert tracked.tracks[0].speed == (0.0, 0.0)


# --- laws --------------------------------------------------------------------------------------

edges = st.floats(0.0, 1.0)
sizes = st.floats(0.01, 0.5)
detections = st.builds(
    lambda label, score, x, y, w, h: Detection(label, score, (x, y, min(x + w, 1), min(y + h, 1))),
    st.sampled_from(["person", "dog"]),
    st.floats(0.0, 1.0),
    edges,
    edges,
    sizes,
    sizes,
)
histories = st.lists(
    st.tuples(
        st.one_of(st.floats(0.0, 0.5), st.floats(0.0, 60.0)),
        st.one_of(st.none(), st.lists(detections, max_size=6)),
    ),
    max_size=25,
)
History = list[tuple[float, list[Detection] | None]]


def play(history: History) -> list[tuple[tuple[Track, ...], tuple[int | None, ...] | None]]:
    """The tracks after each step, with the ids of an update (None for a held frame)."""
    tracker, time, seen = Tracker(), 1.7e9, []
    for wait, found in history:
        time += wait
        if found is None:
            seen.append((tracker.hold(time), None))
        else:
            tracked = tracker.update(tuple(found), time)
            seen.append((tracked.tracks, tracked.ids))
    return seen


@settings(max_examples=60)
@given(histories)
def test_law_ids_ascend_and_are_never_used_again(history: History):
    alive: set[int] = set()
    newest = 0
    for tracks, _ in play(history):
        now = [track.id for track in tracks]
        assert all(a < b for a, b in pairwise(now))
        new = [id_ for id_ in now if id_ not in alive]
        assert new == list(range(newest + 1, newest + 1 + len(new)))
        newest += len(new)
        alive = set(now)


@settings(max_examples=60)
@given(histories)
def test_law_a_detection_is_in_one_track_at_most_and_says_what_the_track_says(history: History):
    for (tracks, found_ids), (_, found) in zip(play(history), history, strict=True):
        if found_ids is None or found is None:
            continue
        given_ids = [id_ for id_ in found_ids if id_ is not None]
        assert len(found_ids) == len(found)
        assert len(set(given_ids)) == len(given_ids)
        by_id = {track.id: track for track in tracks}
        assert {track.id for track in tracks if track.visible} == set(given_ids)
        for detection, id_ in zip(found, found_ids, strict=True):
            if id_ is not None:
                assert by_id[id_].box == detection.box
                assert by_id[id_].score == detection.score


@settings(max_examples=40)
@given(histories)
def test_law_the_same_input_gives_the_same_tracks_all_in_the_picture(history: History):
    seen = play(history)
    assert seen == play(history)
    for tracks, _ in seen:
        for track in tracks:
            assert all(0.0 <= edge <= 1.0 for edge in track.box)
            assert track.born <= track.seen


@given(st.lists(st.tuples(edges, edges, sizes, sizes), min_size=1, max_size=5))
def test_law_overlap_is_symmetric_and_one_with_itself(raw):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in raw]
    for grow in (0.0, 0.8):
        iou = overlaps(boxes, boxes, grow)
        assert np.allclose(iou, iou.T)
        assert np.allclose(np.diag(iou), 1.0)
        assert ((iou >= 0) & (iou <= 1 + 1e-9)).all()


# --- real video ------------------------------------------------------------------------------


def test_on_real_video_a_few_people_are_a_few_tracks(realdata: Callable[[str], Path]) -> None:
    """The detections of yolov8n on the first 20 s of vtest.avi: about eight people walk there."""
    found = detected(realdata("models/yolov8n_192.tflite"), realdata("video/vtest.avi"), 200)
    seen = follow(found)
    tracked = [id_ for tracked in seen for id_ in tracked.ids if id_ is not None]
    confident = sum(d.score >= 0.5 for frame in found for d in frame)
    assert len(tracked) >= confident
    assert len(set(tracked)) <= 16
    assert all(type(value) is float for value in plain_values(seen[-1].tracks[0]))


def plain_values(track: Track) -> list[object]:
    """What travels into JSON and SQLite, where numpy's numbers would not go."""
    return [track.score, track.born, track.seen, *track.box, *track.speed]


def detected(model: Path, video: Path, count: int) -> list[list[Detection]]:
    """People in the first frames, by the plainest code: stretched input, cv2's NMS."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(model))
    interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    capture = cv2.VideoCapture(str(video))
    frames = []
    for _ in range(count):
        picture = cv2.cvtColor(cv2.resize(capture.read()[1], (192, 192)), cv2.COLOR_BGR2RGB)
        interpreter.set_tensor(tensor, picture[None])
        interpreter.invoke()
        x, y, w, h, scores = interpreter.get_tensor(output)[0].astype(float)
        boxes = np.stack((x - w / 2, y - h / 2, w, h), axis=1)
        kept = cv2.dnn.NMSBoxes((boxes * 1000).tolist(), scores.tolist(), 0.15, 0.45)
        frames.append([person(tuple(_corners(boxes[k])), float(scores[k])) for k in kept])
    capture.release()
    return frames


def _corners(box: np.ndarray) -> list[float]:
    x, y, w, h = box.tolist()
    return [x, y, x + w, y + h]
