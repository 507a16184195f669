"""Why a camera does not open: recognised in the libraries' chatter; nothing else is passed on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from broker import free_port

from edge_agent.sources.camera_reason import reason_of, unreachable

SECRET = "rtsp://joe:hunter2@cam/s"


@pytest.mark.parametrize(
    ("chatter", "sentence"),
    [
        (
            "[OPENCV:FFMPEG:16] method DESCRIBE failed: 401 Unauthorized",
            "refused: 401 Unauthorized",
        ),
        # FFmpeg 8, in OpenCV 5
        ("[OPENCV:FFMPEG:16] method DESCRIBE failed: 404 (Not Found)", "refused: 404 Not Found"),
        ("[OPENCV:FFMPEG:24] HTTP error 403 Forbidden", "refused: 403 Forbidden"),
        ("[rtsp @ 0x55] method SETUP failed: 461 Unsupported transport", "refused: status 461"),
        (f"[tcp @ 0x55] Connection to {SECRET} failed: Connection refused", "connection refused"),
        ("[tcp @ 0x55] Failed to resolve hostname cam: Try again", "its name cannot be resolved"),
        ("VIDEOIO(V4L2:/dev/video0): errno=16 (Device or resource busy)", "another program has it"),
        ("_opencv_ffmpeg_interrupt_callback Stream timeout triggered", "no answer in time"),
    ],
)
def test_what_the_libraries_say_is_recognised(chatter: str, sentence: str) -> None:
    reason = reason_of(f"noise {SECRET}\n{chatter}\nmore noise", "rtsp://127.0.0.1:1/s")
    assert reason.sentence.startswith(sentence)
    assert reason.next
    assert "hunter2" not in reason.sentence + reason.next


def test_where_they_say_nothing_the_kernel_is_asked() -> None:
    nobody = free_port()
    assert reason_of("", f"http://127.0.0.1:{nobody}/v").sentence == "connection refused"
    assert reason_of("", "tcp://name.invalid:4000").sentence == "its name cannot be resolved"
    assert reason_of("", "/dev/video987").sentence == "there is no device /dev/video987"
    assert "no camera" in reason_of("", "/dev/null").sentence
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert "no video" in reason_of("", f"tcp://127.0.0.1:{port}").sentence


def test_only_what_many_may_ask_is_asked_before_it_is_opened(tmp_path: Path) -> None:
    """A simple HTTP or TCP server takes one connection: it is not spent on a question."""
    nobody = free_port()
    away = unreachable(f"rtsp://127.0.0.1:{nobody}/s")
    assert away is not None
    assert away.sentence == "connection refused"
    assert unreachable(f"http://127.0.0.1:{nobody}/v") is None
    assert unreachable(f"tcp://127.0.0.1:{nobody}") is None
    assert unreachable("/dev/null") is None
