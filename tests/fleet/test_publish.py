"""`edge-fleet publish`, `keys` and `repo`: what a device would refuse the desk refuses first."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from depot import PASSPHRASE, Client, Depot, make_depot
from desk import ROOT, surroundings

from edge_agent.cli import obey
from edge_fleet.cli import root

SHIPPED = ROOT / "models" / "scene-detector"
POLICY = """\
name: yard
version: 3
pipelines:
  people:
    gate: {max_fps: 2}
    zones: {gate: [[0.1, 0.2], [0.6, 0.2], [0.6, 0.9]]}
    rules:
      - {name: person-in-gate, label: person, zone: gate, confirm: [3, 5]}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Depot:
    return make_depot(tmp_path_factory.mktemp("depot") / "home", time.time())


@pytest.fixture
def depot(original: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    depot = original.copy(tmp_path / "depot")
    monkeypatch.setenv("EDGE_FLEET_REPO", str(depot.repo))
    monkeypatch.setenv("EDGE_FLEET_KEYS", str(depot.keys))
    monkeypatch.setenv("EDGE_FLEET_PASSPHRASE", PASSPHRASE)
    return depot


Said = tuple[int, str, str]


@pytest.fixture
def fleet(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`fleet("publish", ...)`: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> Said:
        code = obey([str(each) for each in arguments], root, "edge-fleet")
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "bundle")
    return tmp_path / "bundle"


def valid(name: str, text: str) -> dict:
    document = json.loads(text)
    schema = json.loads((ROOT / f"edge_agent/schemas/{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def test_a_bundle_is_published_once_and_a_device_can_open_it(
    depot: Depot, fleet, bundle: Path, tmp_path: Path
) -> None:
    code, out, err = fleet("publish", bundle, "--json")
    assert (code, err) == (0, "")
    told = valid("published", out)
    assert told["fresh"]
    tar = tmp_path / "same.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(bundle, "whatever")
    again = valid("published", fleet("publish", tar, "--json")[1])
    assert again == told | {"fresh": False}, "the same files, however they are packed"
    content = Client(depot.repo, tmp_path / "device").fetch(told["target"])
    assert content is not None
    assert len(content) == told["bytes"]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.extractfile("model.tflite")
        assert member is not None
        assert member.read() == (SHIPPED / "model.tflite").read_bytes()
    custom = depot.opened().target("models", told["target"])
    assert custom is not None
    assert set(custom.custom) == {"name", "version", "sha256", "family"}
    (bundle / "CARD.md").write_text("another card")
    code, _, err = fleet("publish", bundle)
    assert code == 4
    assert "published already, with other content" in err


def test_what_a_device_would_refuse_is_refused(depot: Depot, fleet, bundle: Path, tmp_path) -> None:
    before = sorted(depot.repo.rglob("*"))
    model = (bundle / "model.tflite").read_bytes()

    def damaged() -> None:
        (bundle / "model.tflite").write_bytes(model[:-1] + b"?")

    def other_answers() -> None:
        with np.load(bundle / "golden.npz") as golden:
            held = dict(golden)
        np.savez(bundle / "golden.npz", **{**held, "frames": 255 - held["frames"]})

    for spoil, reason in (
        (damaged, "is damaged"),
        (other_answers, "answers otherwise than its golden set"),
        (lambda: (bundle / "golden.npz").unlink(), "has no golden set"),
        (lambda: (bundle / "manifest.yaml").unlink(), "is no model bundle"),
    ):
        spoil()
        code, out, err = fleet("publish", bundle)
        assert (code, out) == (4, ""), err
        assert reason in err
        shutil.rmtree(bundle)
        shutil.copytree(SHIPPED, bundle)
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as archive:
        archive.add(bundle / "CARD.md", "../../CARD.md")
    assert fleet("publish", evil)[0] == 4
    assert sorted(depot.repo.rglob("*")) == before


def test_wrong_usage_of_publish(depot: Depot, fleet, tmp_path: Path, monkeypatch) -> None:
    assert fleet("publish")[0] == 2
    code, _, err = fleet("publish", SHIPPED / "model.tflite")
    assert code == 2
    assert "bare .tflite" in err
    assert fleet("publish", tmp_path / "absent")[0] == 2
    code, _, err = fleet("publish", SHIPPED, "--repo", tmp_path)
    assert code == 2
    assert "is no repository" in err
    monkeypatch.delenv("EDGE_FLEET_KEYS")
    code, _, err = fleet("publish", SHIPPED)
    assert code == 2
    assert "--keys" in err


def test_a_policy_is_published_byte_for_byte(depot: Depot, fleet, tmp_path: Path) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text(POLICY)
    code, out, err = fleet("publish", "--policy", file, "--json")
    assert (code, err) == (0, "")
    told = valid("published", out)
    assert told["target"] == "policies/yard/3.yaml"
    assert Client(depot.repo, tmp_path / "device").fetch(told["target"]) == POLICY.encode()
    file.write_text(POLICY.replace("max_fps: 2", "max_fps: 3"))
    assert fleet("publish", "--policy", file)[0] == 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mqtt: {host: evil}", "4:1: mqtt: a policy has pipelines alone, no mqtt"),
        ("sources: {}", "4:1: sources: a policy has pipelines alone, no sources"),
        ("  yard: {source: other}", "4:10: pipelines.yard.source: a policy changes no source"),
        ("  yard: {model: other}", "4:10: pipelines.yard.model: a policy changes no model"),
        ("  yard: {masks: {privacy: []}}", "4:18: pipelines.yard.masks.privacy: a policy cannot"),
        ("  yard: {gate: {max_fps: -1}}", "4:26: pipelines.yard.gate.max_fps: -1 stands here"),
        ("  yard: {colour: red}", "4:10: pipelines.yard.colour: unknown key"),
    ],
)
def test_a_policy_reaches_no_further_than_rules(
    depot: Depot, fleet, tmp_path: Path, line: str, said: str
) -> None:
    file = tmp_path / "yard.yaml"
    pipelines = "pipelines:" if line.startswith(" ") else "pipelines: {yard: {}}"
    file.write_text(f"name: yard\nversion: 3\n{pipelines}\n{line}\n")
    code, out, err = fleet("publish", "--policy", file)
    assert (code, out) == (2, "")
    assert f"{file}:{said}" in err
    assert "more mistake" not in err, "one thing is wrong, one is told"


def test_keys_are_listed_and_never_made_over(depot: Depot, fleet) -> None:
    told = valid("fleet-keys", fleet("keys", "list", depot.keys, "--json")[1])
    assert [each["role"] for each in told["keys"]].count("root") == 3
    assert all(each["here"] for each in told["keys"])
    code, _, err = fleet("keys", "init", depot.keys)
    assert code == 2
    assert "already" in err
    code, _, err = fleet("repo", "init", depot.repo)
    assert code == 2
    assert "already" in err
    told = valid("repository", fleet("repo", "refresh", depot.repo, "--json")[1])
    assert [each["role"] for each in told["roles"] if each["soon"]] == []


def test_passphrases_come_by_file_and_role_and_short_ones_are_refused(
    fleet, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.delenv("EDGE_FLEET_PASSPHRASE", raising=False)
    short = tmp_path / "short"
    short.write_text("123456\n")
    code, _, err = fleet("keys", "init", tmp_path / "keys", "--passphrase-file", short)
    assert code == 2
    assert "fewer than 12" in err
    assert not (tmp_path / "keys").exists()
    code, _, err = fleet("keys", "init", tmp_path / "keys", "--role", "root=3/2")
    assert code == 2
    long = tmp_path / "long"
    long.write_text(PASSPHRASE)
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "edge-fleet-timestamp").write_text("another passphrase")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    said = fleet(
        "keys", "init", tmp_path / "keys", "--role", "root=1/2", "--role", "timestamp",
        "--passphrase-file", f"root={long}",
    )  # fmt: skip
    assert said[0] == 0, said
    from edge_fleet.keys import Keyring, read_ring
    from edge_fleet.passphrase import Passphrases

    ring = read_ring(tmp_path / "keys")
    assert [(each, len(ring.of(each))) for each in ring.thresholds] == [
        ("root", 2),
        ("timestamp", 1),
    ]
    held = Keyring((tmp_path / "keys",), Passphrases({"root": long}))
    for role in ("root", "timestamp"):
        assert list(held.signers(role, [each.keyid for each in ring.of(role)]))


def test_without_a_terminal_nobody_is_asked(depot: Depot, tmp_path: Path) -> None:
    import sys

    env = {**surroundings(tmp_path)}
    env.pop("EDGE_FLEET_PASSPHRASE", None)
    done = subprocess.run(
        [sys.executable, "-m", "edge_fleet", "repo", "refresh", str(depot.repo)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "there is no passphrase for the" in done.stderr
