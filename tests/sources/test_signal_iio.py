"""An industrial I/O sensor, as a folder of files like the kernel's."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np
import pytest

from edge_agent.errors import SourceLost, UsageError
from edge_agent.sources.signal_iio import Iio, IioSpec


@pytest.fixture
def device(tmp_path):
    folder = tmp_path / "iio:device0"
    folder.mkdir()
    for name, text in {
        "name": "adxl345",
        "in_accel_x_raw": "100\n",
        "in_accel_y_raw": "-50\n",
        "in_accel_scale": "0.5\n",
        "in_temp_raw": "20\n",
        "in_temp_offset": "5\n",
        "in_temp_scale": "2\n",
        "in_voltage0_raw": "3\n",
        "in_voltage0_offset": "1\n",
    }.items():
        (folder / name).write_text(text)
    return folder


def iio(folder, channels=(), rate_hz=1000.0, stall_s=20.0):
    return Iio("motor", IioSpec(folder, channels, rate_hz, stall_s))


def test_a_sample_is_raw_plus_offset_times_scale(device):
    samples = iio(device)
    assert samples.open().channels == 4
    assert samples.read().values[0].tolist() == [50, -25, 50, 4], "accel_x accel_y temp voltage0"


def test_channels_are_chosen_by_name_in_the_order_of_the_choice(device):
    samples = iio(device, ("accel_y", "accel_x"))
    samples.open()
    assert samples.read().values[0].tolist() == [-25, 50]


def test_the_rate_does_not_drift(device):
    samples = iio(device, ("accel_x",), rate_hz=200.0)
    samples.open()
    began, count = time.monotonic(), 0
    while count < 100:
        count += len(samples.read().values)
    # Sample k is due at k / rate: 100 samples take 99 periods, whatever each of them cost.
    assert time.monotonic() - began >= 98 / 200
    assert count - samples.notes["missed"] <= (time.monotonic() - began) * 200 + 2


def test_a_moment_that_was_missed_is_a_missing_sample(device):
    samples = iio(device, ("accel_x",), rate_hz=1000.0)
    samples.open()
    samples.read()
    time.sleep(0.1)
    values = samples.read().values
    assert np.isnan(values).any()
    assert samples.notes["missed"] >= 50


def test_a_reading_that_makes_no_sense_is_a_missing_sample(device):
    samples = iio(device, ("accel_x",))
    samples.open()
    (device / "in_accel_x_raw").write_text("")
    assert np.isnan(samples.read().values).all()
    assert samples.notes["failed_readings"]


def test_nothing_but_failed_readings_is_a_stall(device):
    samples = iio(device, ("accel_x",), stall_s=0.2)
    samples.open()
    (device / "in_accel_x_raw").write_text("")
    with pytest.raises(SourceLost, match=r"gave no sample for 0\.2 s"):
        list(iter(samples.read, None))  # it never ends by itself


def test_a_device_that_vanishes_is_lost(device):
    samples = iio(device, ("accel_x",))
    samples.open()
    (device / "in_accel_x_raw").unlink()
    with pytest.raises(SourceLost, match="is gone: No such file"):
        samples.read()


def test_a_device_that_is_not_there_is_lost(tmp_path):
    with pytest.raises(SourceLost, match="has no channel that can be read"):
        iio(tmp_path / "none").open()


def test_a_channel_that_the_device_lacks_is_named_with_those_it_has(device):
    with pytest.raises(UsageError, match="has no channel 'gyro_x'") as fault:
        iio(device, ("gyro_x",)).open()
    assert "accel_x, accel_y" in fault.value.next


def test_closing_from_another_thread_ends_a_read(device):
    samples = iio(device, ("accel_x",), rate_hz=0.01)
    samples.open()
    samples.read()
    threading.Timer(0.1, samples.close).start()
    with pytest.raises(SourceLost, match="was closed"):
        samples.read()


@pytest.mark.parametrize("what", ["in_accel_scale", "in_temp_offset"])
@pytest.mark.parametrize("how", ["no number", "no file"])
def test_a_scale_or_an_offset_that_cannot_be_read_loses_it_with_the_name(device, what, how):
    (device / what).unlink()
    if how == "no number":
        (device / what).write_text("?")
    else:
        (device / what).symlink_to("/proc/self/mem")  # whose first byte the kernel answers with EIO
    with pytest.raises(SourceLost, match=f"{what} cannot be read"):
        iio(device).open()


def test_an_input_error_is_a_missing_sample_until_it_lasts(device):
    samples = iio(device, ("accel_x",), stall_s=0.3)
    samples.open()
    (device / "in_accel_x_raw").unlink()
    (device / "in_accel_x_raw").symlink_to("/proc/self/mem")
    assert np.isnan(samples.read().values).all()
    with pytest.raises(SourceLost, match="gave no sample for"):
        deque(iter(samples.read, None), maxlen=0)  # for ever
    assert samples.notes["failed_readings"] > 0
