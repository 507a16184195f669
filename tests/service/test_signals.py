"""Signals and models together: what `check` finds, what a replay makes of a recording."""

from __future__ import annotations

import json
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import signal_models

from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.guess import NO_WISH
from edge_agent.config.load import load
from edge_agent.errors import Refused, UsageError
from edge_agent.service.assemble import Site
from edge_agent.service.check import Report, check
from edge_agent.service.models import Demand, open_named
from edge_agent.service.replay import Replayed, Wishes, replay
from edge_agent.types import SignalSpec

RULE = "rules: [{name: loud, score_above: 2, for_s: 0.2, clear_below: 1}]"


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """`site(uri=..., source=", hop: 3", keys=..., window=64)`: a configuration beside its model."""
    return lambda keys=RULE, **more: signal_models.site(tmp_path, keys, **more)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """5 s of a hum at 1 kHz, three times as loud from 3 s to 4 s; one line is damaged."""
    time = np.arange(5000) / 1000
    hum = np.sin(2 * np.pi * 50 * time)
    hum[3000:4000] *= 3
    rows = [f"{t:.3f},{x:.5f}" for t, x in zip(time, hum, strict=True)]
    rows[1000] = "1.000;oops"
    path = tmp_path / "motor.csv"
    path.write_text("time,x\n" + "\n".join(rows) + "\n", "utf-8")
    return path


def said(report: Report) -> list[str]:
    return [str(each).split("site.yaml:", 1)[1] for each in report.mistakes]


# --- check ---------------------------------------------------------------------------------------


def test_a_signal_with_its_model_is_right(site: Callable[..., Path], recording: Path) -> None:
    report = check(site(), None)
    assert report.mistakes == ()
    assert report.warnings == ()


def test_a_file_that_is_not_there_yet_is_a_warning(site: Callable[..., Path]) -> None:
    report = check(site(), None)
    assert report.config is not None
    assert [each.message.split("/")[-1] for each in report.warnings] == ["motor.csv yet"]


@pytest.mark.parametrize(
    ("source", "mistake"),
    [
        (", window: 128", "3:55: sources.motor.window: 128 stands here, model loudness wants 64, "
                          "allowed: 64 | null"),
        (", hop: 64", "3:52: sources.motor.hop: 64 stands here, model loudness wants 32, "
                      "allowed: 32 | null"),
        (", rate_hz: 1100", "3:56: sources.motor.rate_hz: 1100 stands here, "
                            "model loudness wants 1000, within 5 %"),
    ],
)  # fmt: skip
def test_what_the_model_does_not_want_is_named_at_its_line(
    site: Callable[..., Path], source: str, mistake: str
) -> None:
    assert said(check(site(source=source), None)) == [mistake]


def test_what_the_model_wants_may_stand_there(site: Callable[..., Path]) -> None:
    assert check(site(source=", window: 64, hop: 32, rate_hz: 1040"), None).config is not None


@pytest.mark.parametrize(
    ("uri", "mistake"),
    [
        ("tcp:h", "'h' is no address"),
        ("tcp:h:1?format=xml", "'xml' is no value for format"),
        ("tcp:h:1?channels=2", "channels means nothing with format=csv"),
        ("tcp:h:1?format=i16le&sync=xx", "'xx' is no value for sync"),
        ("serial:/dev/ttyS0?baud=17", "'17' is no value for baud"),
        ("mqtt://broker", "names no topic"),
        ("wav:x.wav?channels=a", "numbers from 1"),
        ("built-in:?sed=1", "no setting 'sed'"),
    ],
)
def test_a_uri_that_asks_for_what_is_not_is_named(
    site: Callable[..., Path], uri: str, mistake: str
) -> None:
    (only,) = said(check(site(uri=uri), None))
    assert only.startswith("3:30: sources.motor.uri: ")
    assert mistake in only


@pytest.mark.parametrize(
    ("uri", "said_of_it"),
    [
        ("serial:/dev/ttyNone7", "there is no device /dev/ttyNone7 yet"),
        ("iio:/sys/bus/iio/devices/iio:none", "there is no device /sys/bus/iio/devices/iio:none"),
    ],
)
def test_a_sensor_that_is_not_plugged_in_yet_is_a_warning(
    site: Callable[..., Path], uri: str, said_of_it: str
) -> None:
    report = check(site(uri=uri), None)
    assert report.config is not None
    (warning,) = report.warnings
    assert warning.path == "sources.motor.uri"
    assert warning.message.startswith(said_of_it)


def test_a_recording_that_is_here_is_right(site: Callable[..., Path], recording: Path) -> None:
    report = check(site(uri="csv:motor.csv?columns=x"), None)
    assert (report.mistakes, report.warnings) == ((), ())


def _wav(path: Path, rate: int, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(2 * channels * rate))


@pytest.mark.parametrize(
    ("uri", "signal", "mistake"),
    [
        ("csv:motor.csv?columns=y", {}, "has no column"),
        ("csv:motor.csv", {"channels": 2}, "the model wants 2"),
        ("csv:motor.csv", {"rate_hz": 2000}, "1000 samples a second, its rate_hz or its model"),
        ("wav:other.wav", {}, "8000 samples a second, its rate_hz or its model says 1000"),
        ("wav:other.wav?channels=3", {}, "other.wav has no channel 3"),
        ("built-in:?rate_hz=8000", {}, "8000 samples a second, its rate_hz or its model says 1000"),
    ],
)
def test_a_recording_that_is_here_and_does_not_fit_is_a_mistake(
    site: Callable[..., Path],
    recording: Path,
    uri: str,
    signal: dict[str, int],
    mistake: str,
) -> None:
    _wav(recording.parent / "other.wav", 8000)
    (only,) = said(check(site(uri=uri, **signal), None))
    assert only.startswith("3:30: sources.motor.uri: ")
    assert mistake in only


def test_a_wrong_recording_is_named_beside_other_mistakes(
    site: Callable[..., Path], recording: Path
) -> None:
    report = check(site("ruels: []", uri="csv:motor.csv?columns=y"), None)
    assert [each.path for each in report.mistakes] == ["sources.motor.uri", "pipelines.hum.ruels"]


def test_a_recording_that_cannot_be_decoded_is_a_warning(
    site: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "motor.wav").write_bytes(b"no sound")
    report = check(site(uri="wav:motor.wav"), None)
    assert report.config is not None
    (warning,) = report.warnings
    assert "not a WAV file that can be read" in warning.message


def test_what_grows_and_pipes_are_left_alone(site: Callable[..., Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "motor.csv")
    assert check(site(), None).warnings == ()


@pytest.mark.parametrize(
    ("uri", "signal", "fps"),
    [
        ("tcp:127.0.0.1:4000", {}, 1000 / 32),  # only the model says what a window is
        ("csv:absent.csv", {}, 1000 / 32),
        ("csv:motor.csv", {"rate_hz": None}, 1000 / 32),  # only the recording says its rate
        ("csv:absent.csv", {"rate_hz": None}, None),
        ("wav:other.wav", {"rate_hz": None}, 8000 / 32),
        ("built-in:", {"rate_hz": None}, 8000 / 32),
        ("built-in:?burst=64&every_s=60", {"rate_hz": None, "hop": 64}, 1 / 60),
        ("built-in:?burst=256&every_s=60", {"rate_hz": None}, None),  # seven at once, then none
    ],
)
def test_the_worst_time_to_alert_is_known_where_anything_tells_the_rate(
    site: Callable[..., Path], recording: Path, uri: str, signal: dict[str, Any], fps: float | None
) -> None:
    _wav(recording.parent / "other.wav", 8000)
    (alert,) = check(site(uri=uri, **signal), None).alerts
    assert alert.fps == (None if fps is None else pytest.approx(fps))
    if fps is None:
        assert alert.worst_s is None
    else:
        assert alert.worst_s is not None
        assert 0.2 < alert.worst_s <= 0.2 + 2 / fps + 1e-9  # for_s in whole windows, and one more


def test_the_rate_of_the_gate_counts_where_it_is_slower(site: Callable[..., Path]) -> None:
    (alert,) = check(site(RULE + "\n    gate: {max_fps: 2}"), None).alerts
    assert (alert.fps, alert.worst_s) == (2.0, 1.0)


def test_a_rate_that_nothing_tells_is_named(site: Callable[..., Path]) -> None:
    (only,) = said(check(site(uri="mqtt://h/t", rate_hz=None), None))
    assert "neither mqtt: nor model loudness says how many samples a second" in only


def test_pictures_for_a_model_of_signals_are_refused(
    site: Callable[..., Path], tmp_path: Path
) -> None:
    path = site()
    text = path.read_text("utf-8").replace('kind: signal, uri: "csv:motor.csv"', "kind: scene")
    path.write_text(text, "utf-8")
    assert said(check(path, None)) == [
        "7:12: pipelines.hum.model: model loudness reads signals, source motor gives pictures"
    ]


def test_a_signal_for_a_model_of_pictures_is_refused(
    site: Callable[..., Path], tmp_path: Path
) -> None:
    path = site(keys="rules: []")
    path.write_text(path.read_text("utf-8").replace("model: loud", "model: scene-detector"))
    (only,) = said(check(path, None))
    assert only.startswith("7:12: pipelines.hum.model: model scene-detector reads pictures, ")


def test_two_models_of_other_windows_need_a_source_each(
    site: Callable[..., Path], tmp_path: Path
) -> None:
    signal_models.loudness(tmp_path / "other", window=128, hop=32, rate_hz=1000)
    path = site()
    path.write_text(f"{path.read_text('utf-8')}  two: {{source: motor, model: other}}\n", "utf-8")
    (only,) = said(check(path, None))
    assert only.startswith("9:17: pipelines.two.source: hum wants windows of 64 x 1 at 1000 Hz")


# --- replay --------------------------------------------------------------------------------------


def played(path: Path, uri: Path | str, **wishes: Any) -> Replayed:
    site = Site(path.parent / "state", path.parent)
    return replay(str(uri), "motor.csv", load(path), Wishes(("hum",), site, **wishes))


def test_a_recording_opens_and_closes_its_event(site: Callable[..., Path], recording: Path) -> None:
    result = played(site(), recording, start=1000.0)
    (event,) = map(json.loads, result.events)
    assert event["input"] == "motor.csv"
    assert event["opened"][:20] == "1970-01-01T00:16:43."
    assert event["closed"][:20] == "1970-01-01T00:16:44."
    frames = result.report["frames"]
    # The bad line harmed no window: it is named, and stands in no account.
    assert (frames["captured"], frames["inferred"], frames["failed"]) == (155, 155, 0)
    assert [each.reason for each in result.broken] == ["line 1002 is no sample"]


def test_the_same_recording_gives_the_same_bytes(
    site: Callable[..., Path], recording: Path
) -> None:
    path = site()
    first, second = (played(path, recording, detections=True) for _ in range(2))
    assert first.events == second.events
    assert first.detections == second.detections


def test_a_wav_file_stands_in_for_the_source(site: Callable[..., Path], wav_of_hum: Path) -> None:
    assert played(site(), wav_of_hum).report["frames"]["inferred"] == 30


@pytest.fixture
def wav_of_hum(tmp_path: Path) -> Path:
    path = tmp_path / "hum.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(1000)
        file.writeframes(np.zeros(1000, "<i2").tobytes())
    return path


def test_the_columns_of_the_source_are_chosen_in_the_recording_too(
    site: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [f"{i / 1000:.3f},9,{0.5:.1f}" for i in range(128)]
    (tmp_path / "three.csv").write_text("time,noise,x\n" + "\n".join(rows))
    path = site(uri="csv:live.csv?follow=1&columns=x")
    result = played(path, tmp_path / "three.csv", detections=True)
    scores = [json.loads(line)["detections"][0]["score"] for line in result.detections]
    assert scores == pytest.approx([0.25] * 3, abs=1e-3)


def test_the_built_in_machine_can_be_replayed(site: Callable[..., Path]) -> None:
    path = site(window=512, hop=4096, rate_hz=8000)
    report = played(path, "built-in:?seed=3&every_s=600&hours=2").report
    assert report["frames"]["inferred"] == 12


def test_what_is_no_signal_is_refused(site: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "yard.avi").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match=r"yard\.avi is no signal, and the model reads signals"):
        played(site(), tmp_path / "yard.avi")
    with pytest.raises(UsageError, match="there is no file"):
        played(site(), tmp_path / "none.csv")


def test_a_recording_of_another_rate_is_refused(site: Callable[..., Path], tmp_path: Path) -> None:
    rows = [f"{i / 500},{i}" for i in range(200)]
    (tmp_path / "slow.csv").write_text("time,x\n" + "\n".join(rows))
    with pytest.raises(UsageError, match=r"has 500 samples a second, .* says 1000"):
        played(site(), tmp_path / "slow.csv")


# --- bundles -------------------------------------------------------------------------------------


def test_a_manifest_says_how_a_window_becomes_the_input(tmp_path: Path) -> None:
    folder = signal_models.loudness(
        tmp_path / "loud",
        numbers=60,
        window=128,
        hop=64,
        rate_hz=1000,
        features={"logmel": {"n_fft": 32, "hop": 16, "mels": 5, "fmin": 20, "fmax": 480}},
        channels=1,
        normalize={"mean": [-3.0], "std": [2.0]},
    )
    spec = open_bundle(folder).manifest.input.spec()
    assert isinstance(spec, SignalSpec)
    assert (spec.features.kind, spec.features.log, spec.features.fmax) == ("logmel", True, 480)
    assert (spec.mean, spec.std) == ((-3.0,), (2.0,))


@pytest.mark.parametrize(
    ("signal", "sentence"),
    [
        ({"window": "many"}, r"manifest.yaml:\d+:\d+: input.window: \"many\""),
        ({"features": {"fft": {"n": 1}}}, r"input.features.fft.n: 1"),
        ({"features": {"mfcc": {}}}, r"input.features"),
        ({"features": {"logmel": {"n_fft": 64, "mels": 4}}, "rate_hz": None}, "write rate_hz"),
        ({"rates": 3}, r"input.rates: unknown key"),
    ],
)
def test_a_mistake_in_the_manifest_is_refused_with_its_place(
    tmp_path: Path, signal: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        open_bundle(signal_models.loudness(tmp_path / "loud", numbers=64, **signal))


def test_another_count_of_features_is_refused_with_the_tensor(tmp_path: Path) -> None:
    folder = signal_models.loudness(tmp_path / "loud", numbers=10, window=64)
    with pytest.raises(Refused, match=r"'tensor_0' float32\[1,10\] has 10 numbers, raw of a"):
        open_named(str(folder), NO_WISH, Demand("litert", 1), tmp_path / "state")
