"""A camera that is degraded on purpose, in each of the five ways, and one that is well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.health import CLEAR_S, HOLD_S, Health, Report, Spell, Trouble
from edge_agent.pipeline.motion import thumbnail
from edge_agent.pipeline.view import block_means
from edge_agent.sources.scene import Scene, SceneSpec

Timed = tuple[Any, float]
Harm = Callable[[Any], Any]

#: The real video is harmed from here to there, in seconds.
BEGIN, END = 15.0, 35.0


def video(path: Path, until: float, every: int = 4) -> Iterator[Timed]:
    """Every so many frames of a video of 10 frames a second."""
    capture = cv2.VideoCapture(str(path))
    for index in range(int(until * 10)):
        if not capture.grab():
            return
        if index % every == 0:
            yield capture.retrieve()[1], index / 10


def scene(uri: str) -> Iterator[Timed]:
    spec = SceneSpec.parse(uri)
    made = Scene("yard", spec)
    for index in range(spec.frames or 0):
        yield made.picture(index), index / spec.fps


def looks(frames: Iterable[Timed]) -> list[tuple[float, Report]]:
    health = Health()
    return [(time, health.look(thumbnail(image), time)) for image, time in frames]


def harmed(frames: Iterable[Timed], harm: Harm) -> Iterator[Timed]:
    for image, time in frames:
        yield (harm(image) if BEGIN <= time < END else image), time


def spans(seen: list[tuple[float, Report]]) -> dict[str, list[tuple[float, float]]]:
    """Of each trouble when it was there: from the first look to the last one."""
    found: dict[str, list[tuple[float, float]]] = {}
    before: set[Trouble] = set()
    for time, report in seen:
        for trouble in report.troubles:
            if trouble in before:
                began, _ = found[trouble].pop()
                found[trouble].append((began, time))
            else:
                found.setdefault(trouble, []).append((time, time))
        before = set(report.troubles)
    return found


def turned(degrees: float) -> Harm:
    def harm(image: Any) -> Any:
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)

    return harm


def shifted(x: int, y: int) -> Harm:
    def harm(image: Any) -> Any:
        by = np.float32([[1, 0, x], [0, 1, y]])
        size = image.shape[1::-1]
        return cv2.warpAffine(image, by, size, borderMode=cv2.BORDER_REFLECT)

    return harm


def blurred(image: Any) -> Any:
    return cv2.GaussianBlur(image, (0, 0), 5)


def behind_a_hand(image: Any) -> Any:
    """Dark, with some light from the side and the rough shape of the scene shining through."""
    small = cv2.resize(image, (8, 6), interpolation=cv2.INTER_AREA)
    return (cv2.resize(small, image.shape[1::-1]) * 0.3 + 20).astype(np.uint8)


def noise(level: float, strength: float) -> Harm:
    random = np.random.default_rng(7)

    def harm(image: Any) -> Any:
        grain = random.normal(level, strength, image.shape[:2])
        return np.repeat(np.clip(grain, 0, 255).astype(np.uint8)[..., None], 3, axis=2)

    return harm


class Stuck:
    """The first picture that it is given, again and again."""

    def __init__(self) -> None:
        self._first: Any = None

    def __call__(self, image: Any) -> Any:
        if self._first is None:
            self._first = image
        return self._first


HARMS: dict[str, tuple[Trouble, Callable[[], Harm]]] = {
    "a black picture": (Trouble.BLACK, lambda: np.zeros_like),
    "a cap in the dark, with noise": (Trouble.BLACK, lambda: noise(6, 6)),
    "a grey sheet, with noise": (Trouble.COVERED, lambda: noise(90, 12)),
    "a hand": (Trouble.COVERED, lambda: behind_a_hand),
    "the same picture": (Trouble.FROZEN, Stuck),
    "a lens out of focus": (Trouble.BLURRED, lambda: blurred),
    "pushed aside": (Trouble.MOVED, lambda: shifted(40, 12)),
    "turned": (Trouble.MOVED, lambda: turned(6)),
    "turned on its side": (Trouble.MOVED, lambda: lambda image: image[::-1, ::-1].copy()),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_done_to_a_camera_is_found_in_time_and_is_over_when_it_is(
    realdata: Callable[[str], Path], harm: str
) -> None:
    trouble, make = HARMS[harm]
    frames = harmed(video(realdata("video/vtest.avi"), END + 8), make())
    found = spans(looks(frames))
    assert list(found) == [trouble]
    ((began, ended),) = found[trouble]
    assert BEGIN + HOLD_S[trouble] <= began <= BEGIN + HOLD_S[trouble] + 2.5
    assert END <= ended <= END + CLEAR_S + 2.5


def test_a_real_camera_that_is_well_is_never_said_to_be_unwell(
    realdata: Callable[[str], Path],
) -> None:
    seen = looks(video(realdata("video/vtest.avi"), 100, every=1))
    assert len(seen) == 795
    assert spans(seen) == {}
    assert all(report.blind is None for _, report in seen)


def test_nor_is_the_built_in_yard_through_two_nights() -> None:
    seen = looks(scene("built-in:?seed=7&fps=3&size=320x180&frames=480"))
    assert spans(seen) == {}
    assert all(report.blind is None for _, report in seen)


@pytest.mark.parametrize("change", ["dark", "bright", "slowly dark"])
def test_light_that_changes_is_no_trouble(realdata: Callable[[str], Path], change: str) -> None:
    def light(frames: Iterable[Timed]) -> Iterator[Timed]:
        for image, time in frames:
            gain, offset = {
                "dark": (0.2 if time > BEGIN else 1.0, 0),
                "bright": (1.6 if time > BEGIN else 1.0, 20 if time > BEGIN else 0),
                "slowly dark": (1.0 - 0.85 * time / END, 0),
            }[change]
            yield cv2.convertScaleAbs(image, alpha=gain, beta=offset), time

    assert spans(looks(light(video(realdata("video/vtest.avi"), END)))) == {}


def test_a_large_thing_that_stops_in_front_is_no_trouble(realdata: Callable[[str], Path]) -> None:
    def van(image: Any) -> Any:
        height, width = image.shape[:2]
        return cv2.rectangle(image.copy(), (0, 0), (width * 6 // 10, height), (90, 120, 100), -1)

    assert spans(looks(harmed(video(realdata("video/vtest.avi"), END), van))) == {}


def test_a_room_in_which_the_light_goes_off_is_black_and_what_was_moved_stays_moved(
    realdata: Callable[[str], Path],
) -> None:
    def room(frames: Iterable[Timed]) -> Iterator[Timed]:
        push = shifted(60, 0)
        for image, time in frames:
            image = push(image) if time > 10 else image
            yield (np.zeros_like(image) if time > 25 else image), time

    found = spans(looks(room(video(realdata("video/vtest.avi"), 35))))
    assert list(found) == ["moved", "black"]
    assert found["moved"][0][1] == found["black"][0][1]  # it cannot be seen to be over


def test_pictures_without_noise_are_not_frozen_when_nothing_moves() -> None:
    still = thumbnail(next(scene("built-in:?seed=7&frames=1"))[0])
    health = Health()
    for index in range(300):
        picture = still.copy()
        if index < 150:  # something small moves, then all is still
            cv2.circle(picture, (20 + index, 60), 8, 255, -1)
        assert not health.look(picture, index / 5).troubles


def test_a_codec_that_repeats_pictures_is_given_patience() -> None:
    random = np.random.default_rng(1)
    still = thumbnail(next(scene("built-in:?seed=7&frames=1"))[0]).astype(np.int16)
    health = Health()
    shown, time = still, 0.0
    for group in range(24):  # a new picture every 5 s, the same one in between
        shown = np.clip(still + random.normal(0, 3, still.shape), 0, 255).astype(np.uint8)
        for _ in range(1 if group < 12 else 25):
            time += 0.6 if group < 12 else 0.2
            assert not health.look(shown, time).troubles
    for _ in range(45):  # 14 s in all: more than 8, less than three times 5
        time += 0.2
        assert not health.look(shown, time).troubles
    for _ in range(30):
        time += 0.2
        found = health.look(shown, time)
    assert list(found.troubles) == [Trouble.FROZEN]
    assert found.blind is Trouble.FROZEN


def test_what_is_masked_neither_hides_a_covered_lens_nor_is_one() -> None:
    mask = ((0.0, 0.0), (0.6, 0.0), (0.6, 1.0), (0.0, 1.0))
    health = Health((mask,))
    covered = np.full((120, 212), 130, np.uint8)
    covered[:, :128] = 0
    assert health.look(covered, 0.0).blind is Trouble.COVERED
    assert Health().look(covered, 0.0).blind is None
    everything = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    assert Health((everything,)).look(np.zeros((120, 212), np.uint8), 0.0).blind is None


def test_a_black_picture_is_not_worth_a_models_time_from_the_first_on() -> None:
    black = np.zeros((120, 212), np.uint8)
    health = Health()
    first = health.look(black, 0.0)
    assert (first.blind, first.troubles) == (Trouble.BLACK, {})
    lamp = black.copy()
    lamp[40:60, 100:120] = 250  # a lamp in the night is no black picture
    lamp[80:, :] = 40
    assert health.look(lamp, 0.2).blind is None


def test_time_in_which_nobody_looked_does_not_count() -> None:
    black = np.zeros((120, 212), np.uint8)
    health = Health()
    for time in (0.0, 0.5, 1.0):
        assert not health.look(black, time).troubles
    health.stand_still(60.0)
    for time in (61.5, 62.0):
        assert not health.look(black, time).troubles
    for time in (62.5, 63.0):
        seen = health.look(black, time)
    assert seen.troubles[Trouble.BLACK].held_s == pytest.approx(3.0)


def test_another_size_of_picture_begins_anew() -> None:
    health = Health()
    for index in range(40):
        health.look(thumbnail(np.full((360, 640, 3), index % 7, np.uint8)), index / 5)
    assert health.look(np.full((48, 64), 200, np.uint8), 9.0).blind is Trouble.COVERED


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from([0.0, 1.0, None])), max_size=40))
def test_a_trouble_is_there_only_after_it_was_seen_for_so_long(
    notes: list[tuple[float, float | None]],
) -> None:
    spell = Spell(4.0)
    seen_s, since = 0.0, 0.0
    for passed, sign in notes:
        there = spell.there
        spell.note(sign, passed)
        if sign:
            seen_s, since = seen_s + passed, 0.0
        elif sign is not None:
            since += passed
        if spell.there and not there:
            assert seen_s >= 4.0  # never sooner than all looks together
        if there and not spell.there:
            assert since >= CLEAR_S
            seen_s = 0.0


@given(
    st.tuples(st.integers(1, 41), st.integers(1, 41)), st.sampled_from([8, 16]), st.integers(0, 99)
)
def test_a_block_s_mean_is_that_of_its_pixels(size: tuple[int, int], side: int, seed: int) -> None:
    """What is left over at the lower and right edge belongs to no block."""
    pixels = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)
    found = block_means(pixels.astype(np.float32), side)
    assert found.shape == tuple(max(1, length // side) for length in size)
    for row, column in np.ndindex(found.shape):
        block = pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert found[row, column] == pytest.approx(block.mean(), abs=0.01)
    assert np.abs(block_means(pixels, side) - found).max() <= 2  # grey levels, rounded each time
