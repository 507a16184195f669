"""A full disk and one that can only be read: exit code 5, one sentence, nothing half written.

A real one of 2 MB with a state directory on it. Whatever only reads goes on reading.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent import cli
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft
from edge_fleet.cli import root as desk

pytestmark = pytest.mark.slow

Ask = Callable[..., Any]
MODEL = Path(__file__).parents[2] / "models/scene-detector/model.tflite"
CONFIG = """\
device: {id: dock-07}
sources: {yard: {kind: scene, uri: "built-in:?seed=11&frames=40"}}
pipelines: {yard: {source: yard, model: scene-detector, rules: [{name: seen, priority: alert}]}}
"""
WRITING = [
    "events label {id} true --state {state}",
    "events erase {id} --yes --state {state}",
    "events export --to {disk}/x.csv --state {state}",
    "events export --to {disk}/x.jsonl --state {state}",
    "events export --to {disk}/x.zip --state {state}",
    "models import {model} --name another --state {state}",
    pytest.param("models bench scene-detector --state {state}", marks=pytest.mark.acceptance),
    "outbox export {disk}/stick --state {state} -c {config}",
    "outbox ack {receipt} --state {state}",
    "support-bundle --out {disk}/b.tar.gz --state {state}",
    "infer scene-detector {picture} --out {disk}/out --state {state}",
    "sources snapshot yard --out {disk}/yard.jpg -c {config}",
    "replay built-in:?frames=20 -c {config} --store {disk}/new",
    "replay built-in:?frames=20 -c {config} --report {disk}/report.json",
    "replay built-in:?frames=20 -c {config} --detections {disk}/detections.jsonl",
    "demo --seconds 5 --out {disk}/demo",
]
#: On a full disk it makes room.
REMOVING = "models remove {imported} --state {state}"
READING = [
    "status --state {state}",
    "events list --state {state}",
    "events show {id} --state {state}",
    "why {id} --state {state}",
    "coverage --state {state}",
    "outbox list --state {state}",
    "models list --state {state}",
]


@pytest.fixture(scope="module", params=["full", "read-only"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, replayed: Path
) -> Iterator[SimpleNamespace]:
    """The disk, with all that the commands want; nothing more can be written to it."""
    folder = tmp_path_factory.mktemp("no_room")
    disk, stick = folder / "disk", folder / "stick"
    disk.mkdir()
    stick.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk of this test")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (disk / "stick").mkdir()
        state, config = disk / "state", folder / "config.yaml"
        config.write_text(CONFIG, "utf-8")
        shutil.copytree(replayed, state)
        with open_store(state) as store:
            store.start()
            store.named("dock-07")
            store.record(Batch(messages=(Draft("m/1", "summary", 1.7e9, "{}"),)))
        assert cli.obey(["models", "import", str(MODEL), "--state", str(state)]) == 0
        exported = ["outbox", "export", str(stick), "--state", str(state), "-c", str(config)]
        assert cli.obey(exported) == 0
        collected = ["collect", "--from", str(stick), "--store", f"sqlite:///{folder}/desk"]
        assert cli.obey(collected, desk, "edge-fleet") == 0
        (receipt,) = stick.rglob("*receipt*")
        with open_reader(state) as reader:
            event = reader.events()[0].event
        found = SimpleNamespace(
            disk=disk, state=state, config=config, model=MODEL, receipt=receipt, id=event.id,
            picture=folder / "picture.jpg", imported="model", kind=request.param,
        )  # fmt: skip
        shutil.copy(next(state.glob("evidence/*/*/*.jpg")), found.picture)
        if request.param == "full":
            fill(disk)
        else:
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        yield found
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> None:
    """Not a byte is left, nor the rest of a page of what is there."""
    with (disk / "filler").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def content(disk: Path) -> dict[str, str]:
    """Every file but SQLite's own helpers, which may be there empty."""
    return {
        str(path.relative_to(disk)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(disk.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.parametrize("line", WRITING)
def test_what_has_no_room_is_exit_5_and_leaves_nothing(
    ask: Ask, place: SimpleNamespace, line: str
) -> None:
    before = content(place.disk)
    refused = ask(*line.format(**vars(place)).split())
    assert refused.code == 5, refused
    sentence, *step = refused.err.splitlines()
    assert sentence.startswith("edge-agent: ")
    assert all(each.startswith("next: ") for each in step)
    assert len(step) <= 1
    assert content(place.disk) == before


@pytest.mark.parametrize("line", READING)
def test_what_only_reads_goes_on(ask: Ask, place: SimpleNamespace, line: str) -> None:
    told = ask(*line.format(**vars(place)).split())
    assert (told.code, told.err) == (0, "")
    assert told.out


def test_what_makes_room_works_on_a_full_disk(ask: Ask, place: SimpleNamespace) -> None:
    told = ask(*REMOVING.format(**vars(place)).split())
    assert told.code == (0 if place.kind == "full" else 5), told
    assert (place.state / "models" / place.imported).exists() == (place.kind != "full")
