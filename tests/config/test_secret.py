"""A secret is read where it lies and shown nowhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.config.load import Loaded, load, read
from edge_agent.config.part import plain
from edge_agent.config.secret import Secret
from edge_agent.errors import UsageError

VALUE = "hunter2-very-secret"
BROKER = """
    sources: {yard: {kind: scene}}
    pipelines: {p: {source: yard, model: m}}
    mqtt: {host: h, username: u, password: %s}
"""


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    (tmp_path / "mqtt.password").write_text(VALUE + "\n", encoding="utf-8")
    (tmp_path / "mqtt.password").chmod(0o600)
    return tmp_path


def test_a_secret_in_a_file_beside_the_configuration_is_revealed_without_its_line_end(
    beside: Path, written: Callable[[str], Path]
) -> None:
    config = load(written(BROKER % '"${file:mqtt.password}"'))
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert config.mqtt.password.reveal() == VALUE


def test_a_credential_is_read_from_the_folder_that_systemd_names(
    beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(beside))
    assert Secret.parse("${credential:mqtt.password}", Path("/nowhere")).reveal() == VALUE


def test_a_credential_without_systemd_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(UsageError) as caught:
        Secret.parse("${credential:mqtt}", Path()).reveal()
    assert caught.value.message == (
        "the credential mqtt is there only when systemd starts the agent"
    )
    assert "LoadCredential=mqtt:FILE" in caught.value.next


@pytest.mark.parametrize(
    "plain", [VALUE, "12345", "'${env:X}'", "'${file:}'", "'${file:a} and b'", "[a]", "true"]
)
def test_a_secret_in_plain_text_is_a_mistake_that_does_not_repeat_it(
    reading: Callable[[str], Loaded], plain: str
) -> None:
    (mistake,) = reading(BROKER % plain).mistakes
    assert mistake.path == "mqtt.password"
    assert mistake.message == (
        'a secret never stands here in plain text, allowed: "${file:NAME}" '
        '(a file beside this one) or "${credential:NAME}" (systemd)'
    )


def test_a_secret_never_shows_its_value(beside: Path, written: Callable[[str], Path]) -> None:
    config = load(written(BROKER % '"${file:mqtt.password}"'))
    assert config.mqtt is not None
    shown = [repr(config), str(config), str(plain(config)), str(config.mqtt.password)]
    shown += [str(pickle.dumps(config))]
    assert not any(VALUE in text for text in shown)


def test_a_secret_file_that_everyone_may_read_is_a_warning(
    beside: Path, written: Callable[[str], Path]
) -> None:
    path = written(BROKER % '"${file:mqtt.password}"')
    assert read(path).warnings == ()
    (beside / "mqtt.password").chmod(0o644)
    (warning,) = read(path).warnings
    assert warning.path == "mqtt.password"
    assert warning.message.startswith("every user of this machine may read")


def test_a_secret_that_went_away_is_one_sentence(beside: Path) -> None:
    secret = Secret.parse("${file:mqtt.password}", beside)
    (beside / "mqtt.password").unlink()
    with pytest.raises(UsageError) as caught:
        secret.reveal()
    assert caught.value.message == (
        "the secret ${file:mqtt.password} cannot be read: No such file or directory "
        f"({beside / 'mqtt.password'})"
    )
