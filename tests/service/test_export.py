"""Exports: complete or not there, right for other programs, never a store's pictures in memory."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from edge_agent.errors import EdgeError, NoRoom, UsageError
from edge_agent.policy.documents import About
from edge_agent.service.export import COLUMNS, write_events
from edge_agent.store.rows import StoredEvent
from edge_agent.types import Event, Priority

ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
EVENT = Event(
    id="0123456789abcdef",
    pipeline="庭",
    source="cam",
    rule="侵入",
    priority=Priority.ALERT,
    label="人",
    zone=None,
    text='人, "in" gate\nfor 2 s',
    opened=1.25,
    seen=2.0,
    closed=3.5,
    close_reason="cleared",
    score_max=0.91237,
    score_median=0.8,
    track=4,
    count=1,
    box=(0.1, 0.2, 0.3, 0.4),
    frame=12,
)
PATH = "evidence/1970/01/0123456789abcdef.jpg"
ENTRY = {"kind": "snapshot", "path": PATH, "sha256": "c" * 64, "bytes": 3, "width": 2, "height": 1}


def stored(**changes: object) -> StoredEvent:
    return StoredEvent(replace(EVENT, **changes), ABOUT, 1)  # type: ignore[arg-type]


def test_csv_is_read_back_by_a_spreadsheet(tmp_path: Path) -> None:
    target = tmp_path / "e.CSV"
    still_open = stored(id="f" * 16, closed=None, close_reason=None, track=None)
    write_events(target, [stored(), still_open], tmp_path)
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")  # or Excel spoils 人
    with target.open(encoding="utf-8-sig", newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == COLUMNS
    assert (first["label"], first["rule"], first["text"]) == ("人", "侵入", EVENT.text)
    assert (first["opened"], first["closed"]) == (
        "1970-01-01T00:00:01.250Z",
        "1970-01-01T00:00:03.500Z",
    )
    assert (first["score_max"], first["score_median"]) == ("0.9124", "0.8")
    assert (second["closed"], second["track"], second["zone"]) == ("", "", "")


def test_jsonl_is_event_1_a_line(tmp_path: Path) -> None:
    target = tmp_path / "e.jsonl"
    write_events(target, [stored(), stored(id="f" * 16)], tmp_path)
    schema = json.loads((resources.files("edge_agent") / "schemas" / "event.json").read_text())
    lines = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [EVENT.id, "f" * 16]
    for line in lines:
        jsonschema.validate(line, schema)


def test_zip_holds_the_pictures_under_the_paths_that_the_events_name(tmp_path: Path) -> None:
    picture = tmp_path / PATH
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"jpg")
    picture.with_suffix(".json").write_text("{}")
    os.utime(picture, (0, 0))  # of a board without a clock: no zip can say so
    gone = {**ENTRY, "path": "evidence/1970/01/gone.jpg"}
    events = [stored(evidence=(ENTRY,)), stored(id="f" * 16, evidence=(gone,))]
    assert write_events(tmp_path / "e.zip", events, tmp_path) == {"picture": 1}
    with zipfile.ZipFile(tmp_path / "e.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["events.jsonl", PATH, PATH.replace("jpg", "json")]
        assert archive.read(PATH) == b"jpg"
        (first, _) = archive.read("events.jsonl").decode().splitlines()
    assert json.loads(first)["evidence"][0]["path"] == PATH


def test_half_a_character_of_a_file_name_does_not_stop_an_export(tmp_path: Path) -> None:
    for name in ("e.csv", "e.jsonl", "e.zip"):
        write_events(tmp_path / name, [stored(input="\udce9.avi", text="\udce9")], tmp_path)
        assert (tmp_path / name).stat().st_size > 100


@pytest.mark.parametrize(
    ("name", "said"),
    [("e.pdf", "exported as .csv, .jsonl or .zip"), ("e", "as .csv"), ("no/e.csv", "no folder")],
)
def test_a_wrong_name_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        write_events(tmp_path / name, [stored()], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "e.csv").mkdir()
    with pytest.raises(EdgeError, match=r"e\.csv cannot be written: Is a directory"):
        write_events(tmp_path / "e.csv", [stored()], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["e.csv"]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / ".part.e.csv").symlink_to("/dev/full")
    with pytest.raises(NoRoom, match=r"no space left for .*e\.csv"):
        write_events(tmp_path / "e.csv", [stored()], tmp_path)
    assert list(tmp_path.iterdir()) == []
