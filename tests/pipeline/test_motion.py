"""Motion: what counts as such and, above all, what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.pipeline.light import fit
from edge_agent.pipeline.motion import Motion, MotionSpec, Movement, thumbnail
from edge_agent.types import Box, Polygon

WIDTH, HEIGHT = 512, 384
FPS = 5.0
DEFAULT = MotionSpec()
WHOLE: Polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def a_yard() -> np.ndarray:
    """A still picture with edges, texture, and grey levels from 20 to 180."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(20, 180, (6, 8)).astype(np.float32)
    yard = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    yard[240:, :] *= 0.7
    yard += cv2.GaussianBlur(rng.normal(0, 40, yard.shape).astype(np.float32), (0, 0), 2)
    return np.clip(yard, 20, 180)


YARD = a_yard()


def filmed(
    pictures: Iterable[np.ndarray], noise: float = 2.0, seed: int = 1
) -> Iterator[np.ndarray]:
    """What a camera with so much sensor noise makes of pictures in grey levels."""
    rng = np.random.default_rng(seed)
    for picture in pictures:
        grain = rng.standard_normal(picture.shape, np.float32) * noise
        yield cv2.cvtColor(np.clip(picture + grain, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def shot(picture: np.ndarray) -> np.ndarray:
    """One picture without noise."""
    return next(filmed([picture], noise=0.0))


def watch(
    pictures: Iterable[np.ndarray],
    spec: MotionSpec = DEFAULT,
    masks: tuple[Polygon, ...] = (),
    fps: float = FPS,
) -> list[Movement]:
    motion = Motion(spec, masks)
    return [motion.observe(thumbnail(p), index / fps) for index, p in enumerate(pictures)]


def moved(seen: list[Movement]) -> list[int]:
    return [index for index, movement in enumerate(seen) if movement.moved]


def with_block(x: float, y: float, size: tuple[int, int], contrast: float) -> np.ndarray:
    """The yard with a plain rectangle whose left upper corner is at pixel (x, y)."""
    picture = YARD.copy()
    part = np.s_[int(y) : int(y) + size[1], int(x) : int(x) + size[0]]
    picture[part] = np.clip(YARD[part].mean() + contrast, 0, 255)
    return picture


def walker(speed: float, contrast: float, count: int, fps: float = FPS) -> Iterator[np.ndarray]:
    """Someone 24 x 48 pixels large who walks to the right at `speed` pixels a second."""
    return (with_block(40 + speed * i / fps, 180, (24, 48), contrast) for i in range(count))


# --- what is no motion -------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0, 2, 5, 10, 20])
@pytest.mark.parametrize("sensitivity", [0.0, 0.5, 1.0])
def test_sensor_noise_is_no_motion_by_day_or_night(noise, sensitivity):
    seen = watch(filmed([YARD] * 60, noise), MotionSpec(sensitivity=sensitivity))
    assert moved(seen) == [0]  # the first picture is news, whatever it shows


def test_the_noise_of_a_dark_corner_is_no_motion_when_the_rest_is_clean():
    rng = np.random.default_rng(5)
    share = np.linspace(0.2, 1.0, WIDTH)
    noisy = (YARD + share * rng.normal(0, 8, YARD.shape) for _ in range(60))
    assert moved(watch(filmed(noisy, 0.0))) == [0]


def test_noise_that_sets_in_at_once_is_learned_in_seconds():
    by_day, by_night = filmed([YARD] * 20, 2.0), filmed([YARD] * 100, 12.0)
    assert not [index for index in moved(watch([*by_day, *by_night])) if index > 60]


@pytest.mark.parametrize("per_second", [1.0, 3.0, -1.0])
def test_slow_light_is_no_motion(per_second):
    ramp = [YARD + np.clip(per_second * i / FPS, -20, 60) for i in range(120)]
    assert moved(watch(filmed(ramp))) == [0]


def test_light_that_fades_on_one_side_only_is_no_motion():
    side = np.linspace(1.0, 0.0, WIDTH)
    assert moved(watch(filmed(YARD - side * min(i / FPS, 15) for i in range(100)))) == [0]


def test_a_cloud_is_no_motion():
    dim = np.interp(np.arange(120), [30, 40, 70, 80], [1.0, 0.7, 0.7, 1.0])
    seen = watch(filmed(YARD * d for d in dim))
    assert moved(seen) == [0]
    assert "global" in {movement.numbers["change"] for movement in seen}


@pytest.mark.parametrize(
    ("gain", "offset"), [(1.5, 0), (0.6, 0), (1, 40), (1, -15), (1.3, -10), (0.45, 5), (2.2, 0)]
)
def test_a_light_switch_is_taken_for_what_it_is(gain, offset):
    seen = watch(filmed([YARD] * 20 + [YARD * gain + offset] * 40))
    assert moved(seen) == [0]
    numbers = seen[20].numbers
    assert numbers["change"] == "global"
    assert numbers["gain"] == pytest.approx(gain, abs=0.1)
    assert numbers["offset"] == pytest.approx(offset, abs=8)


def test_auto_exposure_that_pumps_is_no_motion():
    assert moved(watch(filmed(YARD * (1 + 0.15 * np.sin(i / 3)) for i in range(100)))) == [0]


@settings(max_examples=10)
@given(
    st.lists(
        # Nothing is cut off: the yard's levels, 20 to 180, stay within 6 and 225.
        st.tuples(st.floats(0.7, 1.15), st.floats(-8, 18), st.integers(1, 12)),
        min_size=1,
        max_size=4,
    )
)
def test_law_of_any_sequence_of_gains_and_offsets_less_than_a_fiftieth_is_motion(lights):
    pictures = [YARD] * 3 + [YARD * g + o for g, o, frames in lights for _ in range(frames)]
    assert max(movement.area for movement in watch(filmed(pictures))[1:]) < 0.02


# --- what is motion ----------------------------------------------------------------------------


def test_the_first_picture_counts_as_motion_all_over():
    (first,) = watch([shot(YARD)])
    assert first.moved
    assert first.regions == ((0.0, 0.0, 1.0, 1.0),)
    assert first.numbers["change"] == "first"


@pytest.mark.parametrize("contrast", [-40, 40])
@pytest.mark.parametrize("noise", [2, 8])
def test_someone_who_walks_is_motion_from_the_first_step(contrast, noise):
    still, gait = [YARD] * 10, walker(60, contrast, 30)
    seen = watch(filmed([*still, *gait], noise))
    assert moved(seen) == [0, *range(10, 40)]


@pytest.mark.parametrize("fps", [0.5, 2.0, 5.0, 15.0])
def test_one_who_creeps_one_thumbnail_pixel_a_second_is_noticed(fps):
    pixel = WIDTH / thumbnail(shot(YARD)).shape[1]
    seconds = 20
    seen = watch(filmed(walker(pixel, 60, int(seconds * fps), fps)), fps=fps)
    second_half = seen[len(seen) // 2 :]
    assert len(moved(second_half)) >= 0.9 * len(second_half)


def test_the_regions_enclose_what_moved_and_little_else():
    seen = watch(filmed([YARD] * 15 + [with_block(200, 120, (48, 96), 60)] * 2))
    x0, y0, x1, y1 = seen[15].regions[0]
    assert len(seen[15].regions) == 1
    window = 32 / WIDTH, 32 / HEIGHT  # two windows of slack
    for got, edge, slack in (
        (x0, 200 / WIDTH, window[0]),
        (y0, 120 / HEIGHT, window[1]),
        (x1, 248 / WIDTH, window[0]),
        (y1, 216 / HEIGHT, window[1]),
    ):
        assert got == pytest.approx(edge, abs=slack)
    assert 0.0 < seen[15].area < 0.1


def test_two_that_move_apart_are_two_regions():
    both = np.minimum(with_block(60, 60, (40, 60), -60), with_block(400, 260, (40, 60), -60))
    seen = watch(filmed([YARD] * 5 + [both]))
    assert len(seen[5].regions) == 2


def test_when_all_is_still_again_motion_ends_within_four_seconds():
    """Whatever came, stayed, went: neither a shadow of it nor the thing itself goes on moving."""
    pictures = [YARD] * 10 + [with_block(200, 120, (60, 90), 60)] * 40 + [YARD] * 40
    seen = moved(watch(filmed(pictures)))
    assert seen[0] == 0
    assert set(seen[1:]) <= set(range(10, 30)) | set(range(50, 70))
    assert {10, 50} <= set(seen)


def test_someone_who_walks_while_the_light_is_switched_is_seen():
    steps = list(walker(60, 60, 40))
    lit = [picture if i < 20 else np.clip(picture * 1.4, 0, 255) for i, picture in enumerate(steps)]
    seen = watch(filmed(lit))
    assert seen[20].numbers["change"] == "global"
    assert moved(seen)[-20:] == list(range(20, 40))


@pytest.mark.parametrize("scene", ["upside down", "covered", "lights out"])
def test_a_new_scene_is_motion_once_and_then_the_new_background(scene):
    after = {"upside down": YARD[::-1], "covered": YARD * 0 + 12, "lights out": YARD * 0.2}[scene]
    seen = watch(filmed([YARD] * 20 + [after] * 40))
    assert moved(seen) == [0, 20]
    assert seen[20].numbers["change"] == "scene"


def test_a_gap_in_time_is_compared_over():
    motion = Motion(DEFAULT)
    for index in range(10):
        motion.observe(thumbnail(shot(YARD)), index / FPS)
    parked = shot(with_block(200, 120, (60, 90), 60))
    assert motion.observe(thumbnail(parked), 3600.0).moved


def test_a_camera_that_changes_its_size_starts_anew():
    motion = Motion(DEFAULT)
    motion.observe(thumbnail(shot(YARD)), 0.0)
    seen = motion.observe(thumbnail(shot(YARD[:, :256])), 0.2)
    assert seen.numbers["change"] == "first"


# --- masks and sensitivity -----------------------------------------------------------------------


def test_a_mask_hides_what_moves_inside_it_and_nothing_else():
    road: Polygon = ((0.0, 0.4), (1.0, 0.4), (1.0, 0.7), (0.0, 0.7))
    sky: Polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3), (0.0, 0.3))
    assert moved(watch(filmed(walker(60, 60, 30)), masks=(road,))) == [0]
    assert len(moved(watch(filmed(walker(60, 60, 30)), masks=(sky,)))) >= 29


def test_light_is_still_recognised_beside_a_mask():
    sky: Polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.3), (0.0, 0.3))
    assert moved(watch(filmed([YARD] * 10 + [YARD * 1.4] * 20), masks=(sky,))) == [0]


def test_behind_a_mask_over_everything_nothing_ever_moves():
    seen = watch(filmed(walker(60, 60, 20)), masks=(WHOLE,))
    assert moved(seen) == []
    assert {movement.area for movement in seen} == {0.0}


def test_more_sensitivity_sees_fainter_and_smaller_things():
    def noticed(sensitivity: float, contrast: float, size: int) -> bool:
        picture = YARD.copy()
        picture[120 : 120 + size, 200 : 200 + size] += contrast
        pictures = [YARD] * 5 + [picture]
        return watch(filmed(pictures, 1.0), MotionSpec(sensitivity=sensitivity))[5].moved

    assert [noticed(s, 15, 90) for s in (0.0, 0.5, 1.0)] == [False, True, True]
    assert [noticed(s, 60, 30) for s in (0.0, 0.5, 1.0)] == [False, True, True]
    assert [noticed(s, 40, 6) for s in (0.0, 0.5, 1.0)] == [False, False, True]


def test_the_thresholds_are_those_of_the_documentation():
    table = [(s, MotionSpec(sensitivity=s)) for s in (0.0, 0.5, 1.0)]
    assert [round(spec.contrast, 1) for _, spec in table] == [20.0, 7.1, 2.5]
    assert [round(spec.least_area, 6) for _, spec in table] == [0.01, 0.001, 0.0001]


# --- laws and shapes ---------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.01, 3.0), min_size=2, max_size=8))
def test_law_the_same_pictures_give_the_same_movements_all_inside_the_frame(seed, waits):
    def run() -> list[Movement]:
        rng = np.random.default_rng(seed)
        motion = Motion(DEFAULT, (((0.1, 0.1), (0.4, 0.1), (0.4, 0.5)),))
        times = np.cumsum(waits)
        thumbs = [np.kron(rng.integers(0, 255, (6, 8)), np.ones((8, 8))) for _ in times]
        return [
            motion.observe(t.astype(np.uint8), float(at))
            for t, at in zip(thumbs, times, strict=True)
        ]

    first = run()
    assert first == run()
    boxes: list[Box] = [box for movement in first for box in movement.regions]
    assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in boxes)
    assert all(m.moved == bool(m.regions) and 0.0 <= m.area <= 1.0 for m in first)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((768, 576), (192, 256)),
        ((1920, 1080), (152, 272)),
        ((1080, 1920), (480, 268)),
        ((640, 480), (160, 212)),
        ((200, 150), (148, 200)),
        ((3, 2), (4, 4)),
        ((2000, 5), (4, 284)),
    ],
)
def test_a_thumbnail_keeps_the_aspect_and_is_not_enlarged(size, shape):
    width, height = size
    thumb = thumbnail(np.full((height, width, 3), 77, np.uint8))
    assert thumb.shape == shape
    assert thumb.dtype == np.uint8
    assert (thumb == 77).all()


@settings(max_examples=30)
@given(st.floats(0.5, 2.0), st.floats(-30, 30), st.integers(0, 1000))
def test_law_the_fit_finds_the_light_though_a_quarter_of_the_picture_moved(gain, offset, seed):
    rng = np.random.default_rng(seed)
    before = rng.uniform(20, 180, 600).astype(np.float32)
    after = (gain * before + offset + rng.normal(0, 1, 600)).astype(np.float32)
    after[:150] = rng.uniform(0, 255, 150)
    light = fit(before, after)
    assert light.gain == pytest.approx(gain, abs=0.05)
    assert light.offset == pytest.approx(offset, abs=5)


# --- real video ------------------------------------------------------------------------------


def test_on_real_video_people_move_and_a_frozen_picture_does_not(
    realdata: Callable[[str], Path],
) -> None:
    video = cv2.VideoCapture(str(realdata("video/vtest.avi")))
    frames = [video.read()[1] for _ in range(120)]
    video.release()
    walking = watch(frames, fps=10)
    assert all(movement.moved for movement in walking)
    assert max(movement.area for movement in walking[1:]) < 0.3  # people, not the yard

    frozen = watch([*frames[:30], *[frames[30]] * 60], fps=10)
    assert not any(movement.moved for movement in frozen[70:])
    dusk = watch([cv2.convertScaleAbs(f, alpha=1 - i / 200) for i, f in enumerate(frames)], fps=10)
    assert max(movement.area for movement in dusk[1:]) < 0.3
