"""Files of samples for `infer`: which windows they hold, and what is wrong with the others."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from edge_agent.errors import UsageError
from edge_agent.sources.recordings import open_windows
from edge_agent.types import Broken, Frame, SignalSpec

WANTED = SignalSpec(window=4, hop=2, channels=2)
EIGHT = np.arange(8, dtype=np.float32)


@pytest.fixture
def windows(tmp_path, items):
    """`windows(array)`: the items of an .npy file with that array; of a text, of a .csv."""

    def read(content, wanted=WANTED, name="x.npy"):
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(path, content)
        else:
            path.write_bytes(content)
        return items(open_windows(path, wanted))

    return read


@pytest.mark.parametrize("shape", [(8,), (4, 2), (1, 8), (1, 4, 2), (2, 4), (1, 1, 8, 1)])
def test_an_array_of_as_many_numbers_is_one_window(windows, shape):
    (window,) = windows(EIGHT.reshape(shape))
    assert window.data.tolist() == EIGHT.reshape(4, 2).tolist()
    assert window.data.dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 8), (3, 2, 2, 2)])
def test_rows_of_as_many_numbers_are_windows(windows, shape):
    found = windows(np.arange(24.0).reshape(shape))
    assert [each.data[0, 0] for each in found] == [0, 8, 16]
    assert [each.index for each in found] == [0, 1, 2]


def test_samples_are_cut_with_the_models_hop(windows):
    found = windows(np.arange(18).reshape(9, 2))
    assert [each.data[:, 0].tolist() for each in found] == [
        [0, 2, 4, 6],
        [4, 6, 8, 10],
        [8, 10, 12, 14],
    ]


def test_samples_of_one_channel_need_no_second_axis(windows):
    found = windows(np.arange(9), SignalSpec(4, 4))
    assert [each.data[:, 0].tolist() for each in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float16", "float64", "bool", ">i4"])
def test_numbers_of_every_type_are_read(windows, dtype):
    (window,) = windows(np.ones(8, dtype))
    assert window.data.tolist() == [[1, 1]] * 4


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((5, 7)), "its shape 5 x 7 holds no window of 4 x 2"),
        (np.zeros(7), "its shape 7 holds no window of 4 x 2"),
        (np.zeros((3, 2)), "its shape 3 x 2 holds no window of 4 x 2"),
        (np.float32(1.0), "its shape one number holds no window of 4 x 2"),
        (np.zeros((0, 2)), "its shape 0 x 2 holds no window of 4 x 2"),
        (np.zeros(8, complex), "it holds complex128, not numbers"),
        (np.array(["a"] * 8), "it holds <U1, not numbers"),
        (np.zeros(8, "datetime64[s]"), r"it holds datetime64\[s\], not numbers"),
    ],
)
def test_a_wrong_array_is_one_failure_with_a_sentence(windows, array, reason):
    (only,) = windows(np.asarray(array))
    assert isinstance(only, Broken)
    assert only.reason == reason.replace("\\", "")


class Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return (open, (str(self._path), "w"))


def test_an_object_is_never_loaded(windows, tmp_path):
    trap = tmp_path / "sprung"
    array = np.empty(8, object)
    array[:] = Trap(trap)
    (only,) = windows(array)
    assert "objects" in only.reason
    (only,) = windows(pickle.dumps(Trap(trap)))
    assert "objects" in only.reason
    assert not trap.exists()


@pytest.mark.parametrize("cut", [0, 5, 60, 130])
def test_a_file_that_is_cut_short_is_one_failure(windows, tmp_path, cut):
    np.save(tmp_path / "whole.npy", EIGHT)
    (only,) = windows((tmp_path / "whole.npy").read_bytes()[:cut])
    assert isinstance(only, Broken)
    assert "damaged, cut short" in only.reason


def test_a_header_that_lies_about_its_size_is_one_failure(windows, tmp_path):
    np.save(tmp_path / "whole.npy", EIGHT)
    content = (tmp_path / "whole.npy").read_bytes().replace(b"(8,)", b"(9999999999999,)", 1)
    (only,) = windows(content)
    assert isinstance(only, Broken)


def test_a_window_of_which_too_much_is_missing_is_broken_and_the_others_are_done(windows):
    array = np.ones((3, 8))
    array[1, 2] = np.nan
    first, second, third = windows(array)
    assert isinstance(first, Frame)
    assert isinstance(third, Frame)
    assert second.reason == "window 1: 1 of 4 samples is missing"


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("count", [2, 3])
def test_what_is_no_number_is_missing_in_every_kind_of_file(windows, missing, count):
    """A twentieth of a window is filled in, more is not: of .npy and of CSV alike."""
    wanted, array = SignalSpec(window=40, hop=40), np.arange(40.0)
    array[10 : 10 + count] = missing
    text = "\n".join(map(str, array)).encode()
    (one,), (other,) = windows(array, wanted), windows(text, wanted, "x.csv")
    if count == 2:
        assert one.data.tolist() == other.data.tolist() == [[float(i)] for i in range(40)]
    else:
        assert other.reason == "3 of 40 samples are missing"
        assert one.reason == f"window 0: {other.reason}"


def test_a_csv_without_a_rate_is_read_for_a_model_without_one(windows):
    found = windows(b"1,2\n3,4\n5,6\n7,8\n", name="x.csv")
    assert [each.data.tolist() for each in found] == [[[1, 2], [3, 4], [5, 6], [7, 8]]]


def test_a_csv_of_another_rate_is_refused(windows):
    text = "time,x\n" + "".join(f"{i / 100},{i}\n" for i in range(20))
    with pytest.raises(UsageError, match=r"has 100 samples a second, .* says 1000"):
        windows(text.encode(), SignalSpec(4, 4, 1000.0), "x.csv")


def test_a_wav_is_read_by_its_suffix(wav, items):
    found = items(open_windows(wav([0, 16384, 0, 0]), SignalSpec(4, 4)))
    assert [each.data[1, 0] for each in found] == [0.5]


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        open_windows(tmp_path / "none.npy", WANTED).open()
