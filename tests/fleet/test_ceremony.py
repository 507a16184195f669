"""The key ceremony of ota/README.md, line by line, with real folders for the sticks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from depot import PASSPHRASE, Client
from desk import ROOT, command, surroundings
from transcript import commands

SECTION = (ROOT / "ota/README.md").read_text("utf-8").split("## The key ceremony")[1]


@pytest.mark.slow
def test_the_ceremony_as_it_is_written(tmp_path: Path) -> None:
    for folder in ("secure", "media/alice", "media/bob", "media/carol", "media/online"):
        (tmp_path / folder).mkdir(parents=True)
    text = "\n".join(commands(SECTION)).replace(
        "publish scene-detector", f"publish {ROOT}/models/scene-detector"
    )
    text = re.sub(r"(?<=[\s\"(])/(?=secure|media)", f"{tmp_path}/", text)
    program = " ".join(command())
    done = subprocess.run(
        ["bash", "-eu", "-c", f'edge-fleet() {{ {program} "$@"; }}\n{text}'],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**surroundings(tmp_path), "EDGE_FLEET_PASSPHRASE": PASSPHRASE},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "published: scene-detector" in done.stdout
    device = Client(tmp_path / "media/online/repo", tmp_path / "device")
    updater = device.refreshed()
    assert updater.get_targetinfo("models/scene-detector/1.0.0.tar") is not None
    roots = sorted((tmp_path / "media/online/repo/metadata").glob("*.root.json"))
    assert len(roots) == 3, "founded, renewed, a root key replaced"
    assert not list((tmp_path / "secure/keys").glob("timestamp-*.key")), "it is online"
    assert not (tmp_path / "media/carol").is_dir() or not list((tmp_path / "media/carol").iterdir())


def test_the_ceremony_knows_every_role() -> None:
    from edge_fleet.roles import ROLES

    rows = re.findall(r"^\| `(\w+)` \|.*?\| (\d+) days \|", SECTION, re.MULTILINE)
    assert rows == [(name, str(role.days)) for name, role in ROLES.items()]
