"""Secrets are found however they are written; what is none stays as it is."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.policy.secrecy import MASK, Scrubber, is_secret_name, secrets_in

SECRETS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=8, max_size=40).filter(
    lambda text: text == text.strip() and len(set(text)) > 3
)


@given(SECRETS)
@example('pä55 "wörd"/?&=%40')
@example("it's 100% <secret>")
def test_a_known_secret_is_found_in_every_encoding(secret: str) -> None:
    scrub = Scrubber([secret]).text
    raw = secret.encode()
    for form in (
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        quote(quote(secret, safe=""), safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
        raw.hex(),
        raw.hex().upper(),
    ):
        assert form not in scrub(f"2026 INFO open ({form}) failed")
    for encode in (b64encode, urlsafe_b64encode):
        for before in ("", "u:", "me:"):
            text = encode(f"{before}{secret}".encode()).decode()
            left = scrub(f"X-Header {text}")
            assert text not in left
            assert MASK in left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("rtsp://user:p@ss@cam/1", "rtsp://***@cam/1"),
        ("see rtsp%3A%2F%2Fuser%3Apass%40cam%2F1", "see rtsp%3A%2F%2F***%40cam%2F1"),
        ("http://cam/x?token=abc&u=1", "http://cam/x?token=***&u=1"),
        ("http://cam/x?user_pwd=abc", "http://cam/x?user_pwd=***"),
        ("password: hunter2 # why", "password: *** # why"),
        ("password: 'hunter two'", "password: ***"),
        ('\'it: {password: "a b", port: 1}', "'it: {password: ***, port: 1}"),
        ('{\\"password\\": \\"xyz\\", 1}', '{\\"password\\": ***, 1}'),
        ("MQTT_PASSWORD=x y", "MQTT_PASSWORD=*** y"),
        ("curl --token 'a b' --out f", "curl --token *** --out f"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln end", "jwt *** end"),
        ("a\n-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\nb", "a\n***\nb"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str) -> None:
    assert Scrubber([]).text(text) == left
    assert Scrubber([]).text(left) == left


@pytest.mark.parametrize(
    "text",
    [
        'password: "${file:mqtt.pass}"',
        "password: ${credential:mqtt}",
        "password: null",
        "pass   gate: motion, area 0.0189",
        '{"stage": "zone", "verdict": "pass", "numbers": {"x": 1}}',
        "compass: 12",
        "rtsp://cam/stream?channel=1",
        "captured=5 inferred=3",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Scrubber([]).text(text) == text


def test_a_short_secret_is_taken_out_where_it_stands_alone() -> None:
    assert Scrubber(["ab"]).text("about ab: xab (ab)") == "about ***: xab (***)"


def test_a_document_stays_one() -> None:
    scrubber = Scrubber(["hunter2"])
    document = {"password": "x", "n": 1, "list": ["hunter2", None, {"token": "", "key": "a"}]}
    assert scrubber.document(document) == {
        "password": MASK,
        "n": 1,
        "list": [MASK, None, {"token": "", "key": "a"}],
    }


def test_secrets_that_were_written_into_a_configuration_are_found() -> None:
    data = {
        "sources": {"a": {"uri": "rtsp://u:p%40ss@cam/?token=t0k3n", "password": "${file:x}"}},
        "mqtt": {"password": 12345, "username": "u"},
        "outputs": {"l": {"argv": ["curl", "--token", "hu nter", "-v"]}},
    }
    assert sorted(secrets_in(data)) == ["12345", "hu nter", "p%40ss", "t0k3n"]


def test_names_of_secrets() -> None:
    for name in ("password", "MQTT_PASSWORD", "apiKey", "--api-key", "tokens", "X_SECRET"):
        assert is_secret_name(name)
    for name in ("key", "passed", "compass", "username", "uri", "host"):
        assert not is_secret_name(name)
