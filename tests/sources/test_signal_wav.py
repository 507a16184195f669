"""WAV files in every format that is promised, whole, cut short and damaged."""

from __future__ import annotations

import struct
import wave

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.errors import UsageError
from edge_agent.sources.signal_wav import WavFile
from edge_agent.types import Broken


def read(path, windows, window=4, **framing):
    return windows(WavFile("motor", path), window=window, **framing)


@pytest.mark.parametrize(
    ("tag", "bits", "stored"),
    [
        (1, 8, [0, 64, 128, 255]),
        (1, 16, [-32768, -16384, 0, 32767]),
        (1, 24, [-(2**23), -(2**22), 0, 2**23 - 1]),
        (1, 32, [-(2**31), -(2**30), 0, 2**31 - 1]),
        (3, 32, [-1.0, -0.5, 0.0, 0.99]),
        (3, 64, [-1.0, -0.5, 0.0, 0.99]),
    ],
)
def test_every_format_becomes_numbers_from_minus_1_to_1(wav, windows, tag, bits, stored):
    (window,) = read(wav(stored, tag=tag, bits=bits), windows)
    assert window.data[:, 0] == pytest.approx([-1, -0.5, 0, 1], abs=0.011)
    assert window.data.dtype == np.float32
    assert window.name == "motor.wav"


def test_the_extensible_format_is_read_by_its_sub_format(wav, windows):
    tail = struct.pack("<HHI", 22, 16, 0) + struct.pack("<H", 1) + bytes(14)
    form = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 16000, 2, 16) + tail
    (window,) = read(wav([0, 16384, 0, 0], form=form), windows)
    assert window.data[1, 0] == 0.5


def test_pythons_own_writer_is_understood(tmp_path, windows):
    with wave.open(str(tmp_path / "own.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(np.array([[1, 2], [3, 4]], "<i2").tobytes())
    (window,) = read(tmp_path / "own.wav", windows, window=2)
    assert (window.data * 32768).tolist() == [[1, 2], [3, 4]]


def test_the_rate_and_the_times_are_the_headers(wav, windows):
    found = read(wav(np.zeros(16000), rate=8000), windows, window=8000, origin=100.0)
    assert [each.time for each in found] == pytest.approx([100 + 7999 / 8000, 100 + 15999 / 8000])


def test_a_rate_that_disagrees_with_the_header_is_refused(wav, windows):
    with pytest.raises(UsageError, match=r"has 8000 samples a second, .* says 16000"):
        read(wav(np.zeros(8)), windows, rate_hz=16000)


def test_channels_are_chosen_by_number(wav, windows):
    path = wav(np.array([[1, 2, 3]] * 4) * 8192)
    (window,) = windows(WavFile("motor", path, (3, 1)), window=4)
    assert window.data[0].tolist() == [0.75, 0.25]
    with pytest.raises(UsageError, match=r"motor\.wav has no channel 4"):
        WavFile("motor", path, (4,)).open()


def test_the_count_of_windows_is_known_from_the_header(wav):
    info = WavFile("motor", wav(np.zeros(100))).open()
    assert (info.samples, info.channels, info.rate_hz) == (100, 1, 8000)


# --- what is wrong -------------------------------------------------------------------------------


def test_a_truncated_file_is_read_to_its_end_and_is_one_failure(wav, windows):
    first, second, broken = read(wav(np.arange(9), stated=100), windows)
    assert (first.data[0, 0] * 32768, second.data[0, 0] * 32768) == (0, 4)
    assert broken.reason == "truncated: it ended after 9 of 50 samples"


@pytest.mark.parametrize("stated", [0, 0xFFFFFFFF])
def test_a_length_that_nobody_wrote_back_is_no_failure(wav, windows, stated):
    assert [type(each).__name__ for each in read(wav(np.arange(8), stated=stated), windows)] == [
        "Frame",
        "Frame",
    ]


@pytest.mark.parametrize(
    ("tag", "bits", "reason"),
    [(1, 12, "format 1 of 12 bits"), (6, 8, "format 6 of 8 bits"), (3, 16, "format 3 of 16")],
)
def test_a_format_that_is_not_decoded_is_named(wav, windows, tag, bits, reason):
    form = struct.pack("<HHIIHH", tag, 1, 8000, 8000, 1, bits)
    (only,) = read(wav(np.zeros(8), form=form), windows)
    assert reason in only.reason


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0AVI ", b"hello" * 40])
def test_what_is_no_wav_file_is_one_failure(tmp_path, windows, content):
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    (only,) = read(path, windows)
    assert isinstance(only, Broken)
    assert "not a WAV file" in only.reason


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        WavFile("motor", tmp_path / "none.wav").open()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_failures_or_windows_and_never_an_accident(wav, windows, data):
    path = wav(np.arange(40).reshape(20, 2))
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert all(each.data.shape[0] == 4 for each in read(path, windows) if hasattr(each, "data"))
