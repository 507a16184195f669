"""Laws of the way from a frame to the model's tensor, and of the way back for boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_agent.errors import Refused
from edge_agent.pipeline.preprocess import Geometry, Preprocessor, place
from edge_agent.pipeline.quantize import quantize
from edge_agent.types import InputSpec, TensorSpec

RESIZES = ("stretch", "letterbox", "crop")


def tensor(spec, dtype="uint8", scale=None, zero=0):
    channels = 1 if spec.color == "gray" else 3
    size = (spec.height, spec.width)
    shape = (1, channels, *size) if spec.layout == "nchw" else (1, *size, channels)
    scales, zeros = ((), ()) if scale is None else ((scale,), (zero,))
    return TensorSpec(0, "picture", shape, dtype, scales, zeros)


def prepare(image, spec, *numbers):
    return Preprocessor(spec, tensor(spec, *numbers))(image)


def noise(height=48, width=64, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- geometry ----------------------------------------------------------------------------------

sizes = st.integers(1, 4000)
fractions = st.floats(0, 1)


def geometry(resize, model, frame):
    return place(InputSpec(*model, resize=resize), *frame).geometry(frame, model)


@settings(deadline=None)
@given(
    st.sampled_from(RESIZES),
    st.tuples(st.integers(1, 1024), st.integers(1, 1024)),
    st.tuples(sizes, sizes),
    st.lists(st.tuples(fractions, fractions, fractions, fractions), max_size=5),
)
def test_a_box_in_the_frame_is_the_same_after_there_and_back(resize, model, frame, boxes):
    way = geometry(resize, model, frame)
    array = np.array(boxes).reshape(-1, 4)
    assert np.abs(way.to_frame(way.to_model(array)) - array).max(initial=0) < 1e-6
    assert np.abs(way.to_model(way.to_frame(array)) - array).max(initial=0) < 1e-6


@settings(deadline=None)
@given(
    st.sampled_from(RESIZES),
    st.tuples(st.integers(1, 1024), st.integers(1, 1024)),
    st.tuples(sizes, sizes),
)
def test_what_is_shown_fills_what_is_filled(resize, model, frame):
    placement = place(InputSpec(*model, resize=resize), *frame)
    shown = np.array([placement.shown]) / (frame * 2)
    filled = np.array([placement.filled]) / (model * 2)
    way = placement.geometry(frame, model)
    assert way.to_model(shown) == pytest.approx(filled, abs=1e-9)
    for inner, outer in ((placement.shown, frame), (placement.filled, model)):
        assert 0 <= inner[0] < inner[2] <= outer[0]
        assert 0 <= inner[1] < inner[3] <= outer[1]


def test_a_stretched_picture_has_the_frames_own_coordinates():
    boxes = np.array([[0.1, 0.2, 0.3, 0.4]])
    assert geometry("stretch", (192, 192), (768, 576)) == Geometry()
    assert np.array_equal(Geometry().to_frame(boxes), boxes)


def test_a_letterbox_reaches_beyond_the_frame_and_a_crop_stays_inside():
    assert geometry("letterbox", (192, 192), (768, 576)).view == pytest.approx(
        (0, -1 / 6, 1, 7 / 6)
    )
    assert geometry("crop", (192, 192), (768, 576)).view == pytest.approx((1 / 8, 0, 7 / 8, 1))


@settings(max_examples=40, deadline=None)
@given(
    resize=st.sampled_from(RESIZES),
    model=st.sampled_from([(96, 96), (160, 96), (64, 128)]),
    frame=st.tuples(st.integers(120, 500), st.integers(120, 500)),
    centre=st.tuples(st.floats(0.3, 0.7), st.floats(0.3, 0.7)),
    layout=st.sampled_from(["nhwc", "nchw"]),
)
def test_a_bright_rectangle_lands_where_the_geometry_says(resize, model, frame, centre, layout):
    spec = InputSpec(*model, resize=resize, layout=layout, pad=0)
    width, height = frame
    x0, y0 = int((centre[0] - 0.1) * width), int((centre[1] - 0.1) * height)
    x1, y1 = int((centre[0] + 0.1) * width), int((centre[1] + 0.1) * height)
    image = np.zeros((height, width, 3), np.uint8)
    image[y0:y1, x0:x1] = 255

    prepared = prepare(image, spec)
    left, top, right, bottom = prepared.geometry.view
    assume(left < x0 / width and x1 / width < right)  # a crop may leave it out
    assume(top < y0 / height and y1 / height < bottom)
    picture = prepared.tensor[0] if layout == "nhwc" else prepared.tensor[0].transpose(1, 2, 0)
    rows, columns = np.nonzero(picture[:, :, 0] > 127)
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])

    box = np.array([[x0 / width, y0 / height, x1 / width, y1 / height]])
    expected = prepared.geometry.to_model(box)[0] * (model * 2)
    assert np.abs(seen - expected.clip(0, model * 2)).max() <= 1.0


# --- the picture -------------------------------------------------------------------------------


def test_shrinking_averages_areas_and_enlarging_interpolates():
    image = noise()
    small = prepare(image, InputSpec(32, 24, color="bgr")).tensor[0]
    assert np.array_equal(small, cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA))
    large = prepare(image, InputSpec(96, 96, color="bgr")).tensor[0]
    assert np.array_equal(large, cv2.resize(image, (96, 96), interpolation=cv2.INTER_LINEAR))
    mixed = prepare(image, InputSpec(96, 24, color="bgr")).tensor[0]
    assert np.array_equal(mixed, cv2.resize(image, (96, 24), interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("name", ["area", "linear", "nearest"])
def test_the_interpolation_can_be_chosen(name):
    how = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}[name]
    small = prepare(noise(), InputSpec(20, 20, color="bgr", interpolation=name)).tensor[0]
    assert np.array_equal(small, cv2.resize(noise(), (20, 20), interpolation=how))


def test_a_letterbox_is_linear_and_has_a_border_of_the_pad():
    image = noise()
    picture = prepare(image, InputSpec(24, 24, color="bgr", resize="letterbox", pad=99)).tensor[0]
    assert (picture[:3] == 99).all()
    assert (picture[21:] == 99).all()
    inner = cv2.resize(image, (24, 18), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(picture[3:21], inner)


def test_a_crop_shows_the_middle_of_the_frame():
    image = noise(height=48, width=64)
    picture = prepare(image, InputSpec(48, 48, color="bgr", resize="crop")).tensor[0]
    assert np.array_equal(picture, image[:, 8:56])


def test_colours_are_those_of_the_model():
    image = noise()
    bgr = prepare(image, InputSpec(64, 48, color="bgr")).tensor
    rgb = prepare(image, InputSpec(64, 48, color="rgb")).tensor
    gray = prepare(image, InputSpec(64, 48, color="gray")).tensor
    assert np.array_equal(rgb, bgr[..., ::-1])
    assert np.array_equal(gray[0, :, :, 0], cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    assert gray.shape == (1, 48, 64, 1)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float16", "float32"])
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_planes_are_the_same_picture(color, dtype):
    rows = prepare(noise(), InputSpec(32, 32, color=color), dtype).tensor
    planes = prepare(noise(), InputSpec(32, 32, color=color, layout="nchw"), dtype).tensor
    assert np.array_equal(planes, rows.transpose(0, 3, 1, 2))
    assert planes.flags.c_contiguous
    assert planes.dtype == dtype


def test_a_tensor_stays_as_it_is_when_the_next_frame_is_prepared():
    for spec in (InputSpec(64, 48, color="bgr"), InputSpec(32, 32, resize="letterbox")):
        once = Preprocessor(spec, tensor(spec))
        image = noise(seed=1)
        first = once(image).tensor
        copy = first.copy()
        once(noise(seed=2))
        image[:] = 0
        assert np.array_equal(first, copy)


# --- the numbers -------------------------------------------------------------------------------

every_pixel = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)


def test_without_normalization_the_pixel_itself_is_the_number():
    spec = InputSpec(16, 16)
    assert np.array_equal(prepare(every_pixel, spec, "uint8").tensor[0], every_pixel)
    shifted = every_pixel.astype(int) - 128
    assert np.array_equal(prepare(every_pixel, spec, "int8", 1 / 255, -128).tensor[0], shifted)
    for dtype in ("int16", "float16", "float32"):
        numbers = prepare(every_pixel, spec, dtype).tensor
        assert np.array_equal(numbers[0], every_pixel)
        assert numbers.dtype == dtype


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["uint8", "int8", "int16", "float16", "float32"]),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32 - 1),
)
def test_normalized_pixels_are_quantized_by_the_tensors_own_parameters(dtype, channels, seed):
    random = np.random.default_rng(seed)
    mean, std = random.uniform(0, 255, channels), random.uniform(1, 255, channels)
    spec = InputSpec(16, 16, mean=tuple(mean), std=tuple(std))
    target = tensor(spec, dtype, float(random.uniform(1e-3, 0.1)), int(random.integers(0, 100)))
    numbers = Preprocessor(spec, target)(every_pixel).tensor
    assert np.array_equal(numbers[0], quantize((every_pixel - mean) / std, target))
    assert numbers.dtype == dtype


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_each_channel_may_have_quantization_of_its_own(layout):
    spec = InputSpec(16, 16, mean=(0.0,), std=(1.0,), layout=layout)
    one = tensor(spec, "uint8")
    steps, zeros, axis = (1.0, 2.0, 4.0), (0, 10, 20), one.shape.index(3)
    own = TensorSpec(0, "picture", one.shape, "uint8", steps, zeros, axis)
    planes = np.moveaxis(Preprocessor(spec, own)(every_pixel).tensor, axis, 0)
    for plane, step, zero in zip(planes, steps, zeros, strict=True):
        assert np.array_equal(plane[0], np.rint(every_pixel[:, :, 0] / step) + zero)


def test_a_mean_alone_or_a_std_alone_will_do():
    assert prepare(every_pixel, InputSpec(16, 16, std=(255.0,)), "float32").tensor.max() == 1.0
    assert prepare(every_pixel, InputSpec(16, 16, mean=(255.0,)), "float32").tensor.max() == 0.0


def test_gray_pictures_are_normalized_too():
    numbers = prepare(
        every_pixel, InputSpec(16, 16, color="gray", mean=(127.5,), std=(127.5,)), "float32"
    ).tensor
    assert numbers.shape == (1, 16, 16, 1)
    assert (numbers.min(), numbers.max()) == (-1.0, 1.0)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, 48, 64, 1), (1, 64, 48, 3), (2, 48, 64, 3), (48, 64, 3), (1, 3, 48, 64)]
)
def test_a_tensor_that_is_no_such_picture_is_refused_by_name(shape):
    with pytest.raises(Refused, match="'picture' uint8"):
        Preprocessor(InputSpec(64, 48), TensorSpec(0, "picture", shape, "uint8"))


def test_a_type_that_pictures_do_not_come_in_is_refused():
    with pytest.raises(Refused, match=r"'picture' int64\[1,48,64,3\]"):
        Preprocessor(InputSpec(64, 48), TensorSpec(0, "picture", (1, 48, 64, 3), "int64"))


@pytest.mark.parametrize(
    ("mean", "std"), [((1.0, 2.0), (1.0,)), ((0.0,), (0.0,)), ((0.0,) * 4, (1.0,) * 3)]
)
def test_a_normalization_that_does_not_fit_the_channels_is_refused(mean, std):
    spec = InputSpec(64, 48, mean=mean, std=std)
    with pytest.raises(Refused, match="one mean and one std"):
        Preprocessor(spec, tensor(spec, "float32"))
