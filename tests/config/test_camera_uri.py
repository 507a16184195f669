"""A camera's address: what it may be, and how credentials come into it without being shown."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config.camera_uri import (
    device_path,
    is_device,
    place_of,
    uri_fault,
    with_credentials,
)

#: Printable, as Python has it.
LETTERS = st.characters(exclude_categories=("C", "Z")) | st.just(" ")
WORDS = st.text(LETTERS, min_size=1, max_size=30)


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://cam/stream",
        "rtsps://10.0.0.7:322/h264?ch=1",
        "http://[fe80::1]:8080/video",
        "https://cam.example/a%20b",
        "tcp://10.0.0.7:4000",
        "udp://239.0.0.1:5000",
        "rtsp://cam/user={username}&password={password}&x=1",
        "0",
        "12",
        "/dev/video0",
        "/dev/v4l/by-id/usb-ACME_Cam-video-index0",
    ],
)
def test_these_are_cameras(uri: str) -> None:
    assert uri_fault(uri) is None


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("rtsp://joe:hunter2@cam/s", "a user name or a password stands in the URL"),
        ("rtsp://hunter2@cam/s", "a user name or a password stands in the URL"),
        ("http://cam/v.cgi?user=a&pwd=hunter2", "a password stands in the URL"),
        ("rtsp://cam/user=a_password=hunter2_channel=1", "a password stands in the URL"),
        ("http://cam/v?token=hunter2", "a password stands in the URL"),
        ("ftp://cam/hunter2", "ftp:// is no camera"),
        ("cam", "this is no camera"),
        ("", "this is no camera"),
        ("video0", "this is no camera"),
        ("rtsp://cam:rtsp/s", "its port or its brackets are wrong"),
        ("rtsp:///s", "the URL names no host"),
        ("tcp://10.0.0.7", "tcp: has no usual port, allowed: as in tcp://HOST:4000"),
        ("udp://239.0.0.1/x", "udp: has no usual port"),
        ("rtsp://cam/a b", "the URL has a space"),
        ("rtsp://cam/a\x1bb", "the URL has a space or an unprintable character"),
    ],
)
def test_these_are_none_and_the_sentence_repeats_no_secret(uri: str, sentence: str) -> None:
    fault = uri_fault(uri)
    assert fault is not None
    assert sentence in fault
    assert "hunter2" not in fault


@given(WORDS, WORDS)
def test_credentials_of_any_letters_come_back_out_of_the_address(user: str, word: str) -> None:
    parts = urlsplit(with_credentials("rtsp://cam:554/s?x=1", user, word))
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("cam", 554, "/s", "x=1")
    assert unquote(parts.username or "") == user
    assert unquote(parts.password or "") == word


@given(WORDS, WORDS)
def test_they_stand_where_the_address_wants_them(user: str, word: str) -> None:
    made = with_credentials("http://cam/v?u={username}&p={password}&end", user, word)
    _, query = made.split("?")
    first, second, last = query.split("&")
    assert last == "end"
    assert unquote(first.removeprefix("u=")) == user
    assert unquote(second.removeprefix("p=")) == word


def test_without_a_user_the_address_stays_as_it_is() -> None:
    assert with_credentials("rtsp://cam/s", None, None) == "rtsp://cam/s"
    assert with_credentials("rtsp://cam/s", "joe", None) == "rtsp://joe:@cam/s"
    assert with_credentials("/dev/video0", "joe", "x") == "/dev/video0"


def test_a_device_has_a_path_and_a_url_has_a_place() -> None:
    assert is_device("2")
    assert device_path("2") == "/dev/video2"
    assert device_path("/dev/v4l/by-id/x") == "/dev/v4l/by-id/x"
    assert place_of("0") is None
    assert place_of("rtsp://cam/s") == ("cam", 554)
    assert place_of("http://cam:8080/s") == ("cam", 8080)
