"""A support bundle: what is in it, and that no secret and no picture is, however it was planted."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jsonschema
import pytest

from edge_agent.bundles import policies, slots
from edge_agent.bundles.slots import POLICIES
from edge_agent.service.doctor_finding import Case
from edge_agent.service.support import MANIFEST, Wish, make
from edge_agent.service.support_members import MEMBERS
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft

FILED, CREDENTIAL, INLINE, USERINFO, QUERY, ENVIRONMENT, LOGGED = SECRETS = (
    "filed-Pä55/w?rd",
    "credential-Qq7#",
    "inline-hunter2x",
    "user@info:9Zz",
    "query-tok3n-77",
    "environ-S3cr3t!",
    "logged-only-W0rd",
)
CONFIG = """\
sources:
  yard: {kind: scene, uri: "built-in:?seed=7"}
  cam: {kind: camera, uri: "rtsp://127.0.0.1:1/x", username: u, password: "${file:cam.pass}",
         open_timeout_s: 1}
pipelines: {yard: {source: yard, model: scene-detector, rules: [{name: any}]}}
mqtt: {host: 127.0.0.1, port: 1, username: u, password: "${credential:mqtt}"}
"""
WRONG = f"""\
  bad: {{kind: camera, uri: "rtsp://u:{quote(USERINFO, safe="")}@cam/?token={QUERY}",
         password: "{INLINE}"}}
"""
LOG = "\n".join(
    [
        f"open rtsp://u:{quote(FILED, safe='')}@cam/x failed",
        f"open rtsp://u:{USERINFO}@cam/x?token={QUERY} failed",
        f"again rtsp%3A%2F%2Fu%3A{quote(LOGGED, safe='')}%40cam%2Fx",
        f"said {FILED} and {FILED!r} and {json.dumps(FILED)} and {CREDENTIAL.encode().hex()}",
        f"Authorization: Basic {b64encode(f'u:{FILED}'.encode()).decode()}",
        f"env {ENVIRONMENT} {quote(ENVIRONMENT)} password={LOGGED}",
        f"config said {INLINE}",
    ]
)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A site with a secret in every place where somebody could leave one."""
    monkeypatch.setattr("edge_agent.service.doctor_config.WATCH_S", 0.1)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").write_text(f"{CREDENTIAL}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("CAMERA_PASSWORD", ENVIRONMENT)
    monkeypatch.setenv("EDGE_AGENT_NOTE", f"it is {ENVIRONMENT} and http://u:{LOGGED}@x/")
    (tmp_path / "cam.pass").write_text(f"{FILED}\n", "utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
    (tmp_path / "agent.log").write_text(LOG, "utf-8")
    with open_store(tmp_path / "state") as store:
        store.start()
        body = json.dumps({"text": f"seen {FILED}", "password": LOGGED})
        store.record(Batch(messages=(Draft("summary/1", "summary", 1.7e9, body),)))
    evidence = tmp_path / "state" / "evidence" / "2026"
    evidence.mkdir(parents=True)
    (evidence / "a.jpg").write_bytes(b"\xff\xd8 a picture")
    return Case(tmp_path / "config.yaml", tmp_path / "state")


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            entry.name.removeprefix("edge-agent-support/"): archive.extractfile(entry).read()  # type: ignore[union-attr]
            for entry in archive
        }


def readings(content: bytes) -> Iterator[str]:
    """The text as it stands, and as anybody could decode it."""
    text = content.decode("utf-8")
    for each in (text, unquote(text), unquote(unquote(text))):
        yield each
        yield each.encode().decode("unicode_escape", "replace")
    for word in text.replace('"', " ").split():
        try:
            yield b64decode(word, validate=True).decode("utf-8", "replace")
            yield bytes.fromhex(word).decode("utf-8", "replace")
        except ValueError:
            continue


@pytest.mark.parametrize("text", [CONFIG, CONFIG.replace("pipelines:", WRONG + "pipelines:")])
def test_no_secret_is_in_any_member_in_any_encoding(planted: Case, text: str) -> None:
    planted.path.write_text(text, "utf-8")
    log = planted.path.with_name("agent.log")
    secrets = SECRETS
    if text == CONFIG:  # nothing says that these are secrets where they stand alone
        log.write_text(LOG.replace(f"config said {INLINE}", ""), "utf-8")
        secrets = tuple(each for each in SECRETS if each != INLINE)
    out = planted.path.with_name("out.tar.gz")
    make(planted, Wish(out, log=log))
    found = members(out)
    assert b"cam/x failed" in found["log.txt"]  # the rest of the line is there
    assert b"kind: camera" in found["config.yaml"]
    assert b"seen ***" in found["tables/outbox.jsonl"]
    for name, content in found.items():
        for reading in readings(content):
            for secret in secrets:
                assert secret not in reading, (name, secret)


def test_what_is_in_it_is_listed_and_of_use(planted: Case) -> None:
    out = planted.path.with_name("out.tar.gz")
    made = make(planted, Wish(out, log=planted.path.with_name("agent.log")))
    found = members(out)
    assert list(found) == [each.name for each in made]
    assert next(iter(found)) == MANIFEST
    manifest = found[MANIFEST].decode()
    assert all(name in manifest for name in found if name != MANIFEST)
    assert "It holds no pictures." in manifest
    assert set(MEMBERS) < set(found)
    assert not [name for name in found if "evidence" in name or name.endswith(".jpg")]
    for name, schema in (("doctor.json", "doctor"), ("status.json", "status")):
        text = (resources.files("edge_agent") / "schemas" / f"{schema}.json").read_text("utf-8")
        jsonschema.validate(json.loads(found[name]), json.loads(text))
    assert json.loads(found["versions.json"])["distributions"]["paho-mqtt"]
    assert json.loads(found["database.json"])["rows"]["outbox"] == 1
    assert b"EDGE_AGENT_NOTE=it is ***" in found["environment.txt"]
    assert b"CAMERA_PASSWORD" not in found["environment.txt"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in out.parent.glob(".*part")] == []


def test_what_lies_over_the_configuration_is_there_without_its_secrets(planted: Case) -> None:
    file = planted.path.with_name("night.yaml")
    file.write_text("name: night\nversion: 1\npipelines: {yard: {gate: {max_fps: 5}}}\n")
    slot = policies.keep(file, planted.state).slot
    slots.change(planted.state, "night", lambda each: each.with_active(slot, 1.0, None), POLICIES)
    by_hand = f"pipelines: {{yard: {{gate: {{max_fps: 2}}, password: {INLINE}}}}}\n"  # a mistake
    planted.path.with_name("config.local.yaml").write_text(by_hand)
    log = planted.path.with_name("agent.log")
    log.write_text(f"it said {INLINE}\n")
    out = planted.path.with_name("out.tar.gz")
    make(planted, Wish(out, log=log))
    found = members(out)
    over = found["laid-over.yaml"].decode()
    assert over.index("max_fps: 5") < over.index("max_fps: 2}, password: ***")
    assert f"policies/night/{slot}/policy.yaml" in over
    assert found["log.txt"] == b"it said ***\n"


def test_pictures_are_there_when_asked_for(planted: Case) -> None:
    out = planted.path.with_name("out.tar.gz")
    make(planted, Wish(out, pictures=True, log=planted.path))
    assert members(out)["pictures/2026/a.jpg"] == b"\xff\xd8 a picture"
    assert b"It holds pictures." in members(out)[MANIFEST]


def test_without_anything_every_place_says_why(tmp_path: Path) -> None:
    out = tmp_path / "out.tar.gz"
    make(Case(tmp_path / "none.yaml", tmp_path / "nowhere"), Wish(out))
    found = members(out)
    assert found["config.yaml"].startswith(b"not there: ")
    assert found["laid-over.yaml"] == b"# nothing lies over the configuration\n"
    assert b"no agent has run there" in found["status.json"]
    assert b"there is no database" in found["tables/NONE"]
    assert json.loads(found["doctor.json"])["verdict"] == "fail"
    for name, content in found.items():
        assert not name.endswith(".json") or json.loads(content), name


def test_a_damaged_database_does_not_stop_it(planted: Case) -> None:
    (planted.state / "edge.db").write_bytes(b"no database" * 1000)
    out = planted.path.with_name("out.tar.gz")
    make(planted, Wish(out, log=planted.path))
    assert b"is damaged" in members(out)["tables/NONE"]


def test_no_room_is_exit_5_and_nothing_is_left(
    tmp_path: Path, planted: Case, ask_cli: Callable[..., Any]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (disk / "filler").write_bytes(b"\0" * 65_536)
        code, err = ask_cli(
            "support-bundle", "-c", str(planted.path), "--out", str(disk / "b.tar.gz")
        )
        assert (code, list(disk.iterdir())) == (5, [disk / "filler"])
        assert "cannot be written: No space left on device" in err
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def ask_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    from edge_agent.cli import obey

    def run(*words: str) -> tuple[int, str]:
        return obey(words), capsys.readouterr().err

    return run


def test_the_command_lists_and_keeps_what_is_there(
    planted: Case, ask_cli: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_agent.cli import obey

    out = planted.path.with_name("b.tar.gz")
    words = [
        "support-bundle",
        "-c",
        str(planted.path),
        "--state",
        str(planted.state),
        "--out",
        str(out),
    ]
    assert obey(words) == 0
    told = capsys.readouterr().out
    assert all(len(line) <= 80 or str(out.parent) in line for line in told.splitlines())
    assert "MANIFEST" in told
    assert "config.yaml" in told
    again, err = ask_cli(*words)
    assert again == 2
    assert "is there already" in err
    assert obey([*words, "--force", "--json", "--pictures"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pictures"] is True
    text = (resources.files("edge_agent") / "schemas" / "support-bundle.json").read_text("utf-8")
    jsonschema.validate(document, json.loads(text))
