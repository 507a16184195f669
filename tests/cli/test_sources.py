"""`edge-agent sources`: list, scan, test, snapshot; of every kind, and with a real camera."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
import signal_models
from broker import free_port
from cameras import MjpegCamera, children

Ask = Callable[..., Any]
SCHEMAS = Path(__file__).parents[2] / "edge_agent" / "schemas"
PIPELINES = "pipelines: {p: {source: yard, model: scene-detector}}\n"


def follows(document: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document)
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


@pytest.fixture
def cameras(tmp_path: Path, mjpeg_camera: MjpegCamera) -> Path:
    """A configuration with a camera that asks for a password."""
    (tmp_path / "cam.pass").write_text("hunter2")
    (tmp_path / "cam.pass").chmod(0o600)
    path = tmp_path / "cameras.yaml"
    path.write_text(
        "sources:\n"
        f'  dock: {{kind: camera, uri: "{mjpeg_camera.uri}", username: joe,'
        ' password: "${file:cam.pass}", fps: 10}\n'
        '  yard: {kind: scene, uri: "built-in:?seed=3"}\n' + PIPELINES,
        "utf-8",
    )
    return path


def noise(mjpeg_camera: MjpegCamera) -> None:
    mjpeg_camera.picture = np.random.default_rng(1).integers(0, 256, (120, 160, 3)).astype(np.uint8)


def test_a_camera_that_delivers_is_measured(
    ask: Ask, cameras: Path, mjpeg_camera: MjpegCamera
) -> None:
    noise(mjpeg_camera)
    said = ask("sources", "test", "dock", "-c", cameras, "--seconds", "1.5", "--json")
    assert said.code == 0, said.err
    found = follows(said.out, "source-test")
    assert found["delivers"]
    assert found["kind"] == "camera"
    assert found["sizes"] == [[160, 120]]  # width, height, as in models/1
    assert found["stated_rate"] is None  # MJPEG by HTTP bears no rate: FFmpeg's 25 is made up
    assert found["items"] >= 2
    assert 0 < found["rate"] <= 11  # of the 20 that it sends; a loaded machine has fewer
    assert 100 < found["look"]["brightness"] < 156
    assert found["look"]["sharpness"] > 100
    words = ask("sources", "test", "dock", "-c", cameras, "--seconds", "1")
    assert "size    160 x 120" in words.out
    assert "stated" not in words.out
    assert "come of" not in words.out
    assert words.widest <= 80
    assert children() == set()


def test_a_camera_that_refuses_is_told_with_what_to_do(
    ask: Ask, cameras: Path, mjpeg_camera: MjpegCamera
) -> None:
    mjpeg_camera.status = "401 Unauthorized"
    said = ask("sources", "test", "dock", "-c", cameras, "--seconds", "1", "--json")
    assert said.code == 1
    assert follows(said.out, "source-test")["delivers"] is False
    error = json.loads(said.err)["error"]
    assert error["message"] == "source dock does not deliver: refused: 401 Unauthorized"
    assert "password" in error["next"]
    text = ask("sources", "test", "dock", "-c", cameras, "--seconds", "1")
    assert (text.code, text.out) == (1, "")
    assert "next: check username and password" in text.err
    asked = "".join(mjpeg_camera.requests)
    assert "Basic am9lOmh1bnRlcjI=" in asked  # joe:hunter2 did arrive


def test_a_dark_and_a_blurred_picture_bring_advice(ask: Ask, mjpeg_camera: MjpegCamera) -> None:
    mjpeg_camera.picture = np.full((120, 160, 3), 3, np.uint8)
    said = ask("sources", "test", mjpeg_camera.uri, "--seconds", "1")
    assert said.code == 0
    assert "the picture is dark" in said.out
    assert "the picture is not sharp" in said.out


def test_every_other_kind_can_be_tested_too(ask: Ask, cameras: Path, tmp_path: Path) -> None:
    scene = ask("sources", "test", "yard", "-c", cameras, "--seconds", "0.5", "--json")
    assert follows(scene.out, "source-test")["rate"] == 10.0
    cv2.imwrite(str(tmp_path / "a.png"), np.full((30, 40, 3), 128, np.uint8))
    picture = ask("sources", "test", tmp_path / "a.png", "--json")
    found = follows(picture.out, "source-test")
    assert (found["kind"], found["items"], found["ended"]) == ("images", 1, True)
    video = ask("sources", "test", tmp_path / "none.mp4")
    assert video.code == 2


def test_a_signal_is_measured_in_its_own_units(ask: Ask, tmp_path: Path) -> None:
    rows = "\n".join(f"{np.sin(n / 5):.4f}" for n in range(5000))
    (tmp_path / "s.csv").write_text("x\n" + rows)
    (tmp_path / "signal.yaml").write_text(
        "sources:\n  motor: {kind: signal, uri: 'csv:s.csv', rate_hz: 1000}\n"
        "  yard: {kind: scene}\n" + PIPELINES
    )
    said = ask("sources", "test", "motor", "-c", tmp_path / "signal.yaml", "--json")
    assert said.code == 0, said.err
    look = follows(said.out, "source-test")["look"]
    assert look["rms"] == pytest.approx(0.7, abs=0.05)
    assert look["peak"] == pytest.approx(1.0, abs=0.01)
    refused = ask("sources", "snapshot", "motor", "--out", tmp_path / "m.png",
                  "-c", tmp_path / "signal.yaml")  # fmt: skip
    assert refused.code == 2
    assert "is a signal and has no picture" in refused.err


def test_a_signal_is_tested_in_the_windows_of_its_source_and_its_model(
    ask: Ask, tmp_path: Path
) -> None:
    """The model's where the configuration leaves it open; without either 1024 samples."""
    (tmp_path / "s.csv").write_text("x\n" + "1\n" * 3000)
    config = signal_models.site(tmp_path, "rules: []", "csv:s.csv")
    text = config.read_text("utf-8")
    line = '  free: {kind: signal, uri: "csv:s.csv", rate_hz: 1000, window: 300, hop: 100}\n'
    bare = '  bare: {kind: signal, uri: "csv:s.csv", rate_hz: 1000}\n'
    config.write_text(text.replace("sources:\n", f"sources:\n{line}{bare}"), "utf-8")
    sizes = {}
    for name in ("motor", "free", "bare"):
        said = ask("sources", "test", name, "-c", config, "--json", "--seconds", "1")
        sizes[name] = follows(said.out, "source-test")["sizes"]
    assert sizes == {"motor": [[64, 1]], "free": [[300, 1]], "bare": [[1024, 1]]}
    words = ask("sources", "test", "motor", "-c", config, "--seconds", "1").out
    assert "windows of 64 samples, 1 channel\n" in words


def test_a_signal_without_a_rate_is_told_what_to_type_and_that_works(
    ask: Ask, tmp_path: Path
) -> None:
    file = tmp_path / "my motor.csv"
    file.write_text("x\n" + "1\n2\n" * 1024)
    said = ask("sources", "test", f"csv:{file}")
    assert said.code == 2
    (step,) = [line for line in said.err.splitlines() if line.startswith("next: ")]
    words = shlex.split(step.partition("edge-agent ")[2])
    assert words == ["sources", "test", f"csv:{file}", "--rate-hz", "1000"]
    again = ask(*words, "--json")
    assert again.code == 0, again.err
    found = follows(again.out, "source-test")
    assert found["sizes"] == [[1024, 1]]  # samples, channels
    assert found["rate"] == pytest.approx(1000 / 1024, abs=0.001)
    (tmp_path / "signal.yaml").write_text(
        f"sources:\n  motor: {{kind: signal, uri: 'csv:{file}'}}\n  yard: {{kind: scene}}\n"
        + PIPELINES
    )
    named = ask("sources", "test", "motor", "-c", tmp_path / "signal.yaml")
    assert named.code == 2
    assert "next: write rate_hz beside its uri, as in rate_hz: 1000" in named.err
    both = ask("sources", "test", "motor", "--rate-hz", "5", "-c", tmp_path / "signal.yaml")
    assert (both.code, "is configured" in both.err) == (2, True)
    scene = ask("sources", "test", "built-in:?seed=3", "--rate-hz", "5")
    assert (scene.code, "has no rate_hz" in scene.err) == (2, True)


def test_a_sensor_that_is_not_there_is_told_with_what_to_do(ask: Ask) -> None:
    said = ask("sources", "test", "serial:/dev/ttyNone7", "--rate-hz", "100", "--seconds", "0.5")
    assert said.code == 1
    assert "does not deliver: /dev/ttyNone7" in said.err
    assert "next: edge-agent sources scan" in said.err


def test_a_snapshot_that_fails_names_its_source(ask: Ask) -> None:
    uri = f"rtsp://127.0.0.1:{free_port()}/s"
    said = ask("sources", "snapshot", uri, "--out", "x.jpg")
    assert said.code == 1
    assert said.err.splitlines()[0] == (
        f"edge-agent: source {uri} has no picture: connection refused"
    )


def test_a_recording_that_cannot_be_read_is_told_with_its_damage(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "s.wav").write_text("no sound")
    said = ask("sources", "test", f"wav:{tmp_path / 's.wav'}", "--json")
    assert said.code == 1
    assert "not a WAV file" in follows(said.out, "source-test")["reason"]
    assert "does not deliver: not a WAV file" in said.err


def test_a_name_that_is_none_is_told_what_is_there(ask: Ask, cameras: Path) -> None:
    said = ask("sources", "test", "dok", "-c", cameras)
    assert said.code == 2
    assert "there is no source dok (did you mean dock?)" in said.err
    assert "it has dock, yard" in said.err
    alone = ask("sources", "test", "dock")
    assert alone.code == 2
    assert "there is no configuration" in alone.err


def test_a_password_in_an_address_is_refused_and_not_repeated(ask: Ask) -> None:
    said = ask("sources", "test", "rtsp://joe:hunter2@cam/s")
    assert said.code == 2
    assert "a user name or a password stands in the URL" in said.err
    assert "hunter2" not in said.err


def test_a_list_shows_no_credentials(ask: Ask, cameras: Path) -> None:
    for form in ((), ("--json",)):
        said = ask("sources", "list", "-c", cameras, *form)
        assert said.code == 0
        assert not {"joe", "hunter2", "cam.pass"} & set(said.out.replace('"', " ").split())


def test_a_snapshot_is_the_picture_and_says_that_it_is_unmasked(
    ask: Ask, cameras: Path, mjpeg_camera: MjpegCamera, tmp_path: Path
) -> None:
    out = tmp_path / "門.png"
    said = ask("sources", "snapshot", "dock", "--out", out, "-c", cameras)
    assert said.code == 0, said.err
    assert "160x120 of dock" in said.out
    assert "privacy masks belong to pipelines" in said.out
    data = cv2.imdecode(np.frombuffer(out.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert abs(int(data.mean()) - 90) < 3
    again = ask("sources", "snapshot", "dock", "--out", out, "-c", cameras)
    assert again.code == 2
    assert "is there already" in again.err
    forced = ask("sources", "snapshot", "dock", "--out", out, "--force", "-c", cameras, "--json")
    assert follows(forced.out, "source-snapshot")["masked"] is False
    assert ask("sources", "snapshot", "dock", "--out", tmp_path / "x.txt", "-c", cameras).code == 2
    mjpeg_camera.status = "404 Not Found"
    lost = ask("sources", "snapshot", "dock", "--out", tmp_path / "y.jpg", "-c", cameras)
    assert lost.code == 1
    assert "404" in lost.err


def test_a_scan_names_what_is_there_and_that_networks_are_not_searched(ask: Ask) -> None:
    said = ask("sources", "scan")
    assert said.code == 0
    assert "Cameras on the network are not looked for" in said.out
    assert said.widest <= 80
    follows(ask("sources", "scan", "--json").out, "source-scan")
