"""The outbox on a stick: pulled out, full, damaged, repeated; and receipts, right and wrong."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import durable
from edge_agent.errors import EdgeError, NoRoom, Refused, UsageError
from edge_agent.host import removable
from edge_agent.policy import spans, stick
from edge_agent.policy.stick import Manifest, Receipt
from edge_agent.service.receipt import acknowledge, find_receipt, load_receipt
from edge_agent.service.stick import Exported, export
from edge_agent.store.query import Reader, open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Draft

NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stick, "PART_MESSAGES", 3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "state") as store:
        store.start()
        store.named("dock-07")
        yield store


@pytest.fixture
def reader(store: Store, tmp_path: Path) -> Iterator[Reader]:
    with open_reader(tmp_path / "state") as reader:
        yield reader


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def fill(store: Store, count: int, priority: int = 1, size: int = 1) -> None:
    start = store.outbox.depth().last_seq
    drafts = [
        Draft(f"m/{start + n}", "summary", NOW, json.dumps({"人": n, "x": "y" * size}), priority)
        for n in range(count)
    ]
    store.record(Batch(messages=tuple(drafts)))


def take(reader: Reader, media: Path, limit: int | None = None) -> Exported:
    return export(reader, "dock-07", media, NOW, limit)


def home(media: Path) -> Path:
    (found,) = (media / stick.FOLDER).iterdir()
    return found


def believed(media: Path) -> list[int]:
    """The seqs that a reader who knows only the format believes, in the order of the parts."""
    folder = home(media)
    manifest = newest_manifest(folder)
    seqs = []
    for part in manifest.parts:
        content = (folder / part.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == part.sha256
        seqs += [json.loads(line)["seq"] for line in content.splitlines()]
    assert len(seqs) == len(set(seqs)) == sum(part.messages for part in manifest.parts)
    return seqs


def newest_manifest(folder: Path) -> Manifest:
    for name in stick.newest(entry.name for entry in folder.iterdir()):
        try:
            return stick.read_manifest((folder / name).read_bytes())
        except stick.Damaged:
            continue
    raise AssertionError("no whole manifest is on the stick")


def receipt_for(media: Path, made: str = "2023-11-14T22:13:20.000Z") -> Receipt:
    """What an honest desk writes."""
    folder = home(media)
    manifest, tags = newest_manifest(folder), {}
    for part in manifest.parts:
        for line in (folder / part.file).read_bytes().splitlines():
            sent = json.loads(line)
            topic = sent["schema"].removeprefix("mqtt-").removesuffix("/1")
            tags[sent["seq"]] = stick.tag(
                sent["store"], sent["seq"], sent["id"], topic, sent["data"]
            )
    return stick.receipt_for(manifest, tags, made)


# --- export --------------------------------------------------------------------------------------


def test_urgent_messages_come_first_and_all_of_them_once(store, reader, media) -> None:
    fill(store, 5)
    fill(store, 2, priority=0)
    done = take(reader, media)
    assert believed(media) == [6, 7, 1, 2, 3, 4, 5]
    assert (done.messages, done.added, done.topics) == (7, 7, {"summary": 7})
    assert newest_manifest(home(media)).waiting == stick.Waiting(last_seq=7)
    again = take(reader, media)
    assert (again.messages, again.added) == (7, 0)
    fill(store, 1)
    assert take(reader, media).added == 1
    assert sorted(believed(media)) == list(range(1, 9))


def test_what_was_sent_is_not_exported(store, reader, media) -> None:
    fill(store, 4)
    store.outbox.acknowledge([1, 3])
    store.outbox.settle()
    take(reader, media)
    assert believed(media) == [2, 4]


def test_the_envelope_on_the_stick_is_that_of_mqtt(store, reader, media) -> None:
    fill(store, 1)
    take(reader, media)
    (line,) = (home(media) / stick.part_name(1)).read_bytes().splitlines()
    assert json.loads(line) == {
        "schema": "mqtt-summary/1",
        "device": "dock-07",
        "store": store.identity.store,
        "boot": 1,
        "session": 0,
        "seq": 1,
        "id": "m/0",
        "time": "2023-11-14T22:13:20.000Z",
        "clock": "synced",
        "data": {"人": 0, "x": "y"},
    }


def test_names_are_such_that_every_stick_has_them(store, reader, media) -> None:
    fill(store, 4)
    take(reader, media)
    names = [path.name for path in media.rglob("*")]
    assert len({name.lower() for name in names}) == len(names)
    assert not set("".join(names)) & set('\\/:*?"<>| ')
    assert not any(name.endswith(".") for name in names)


class Pulled(Exception):
    """The stick is out: the program gets no further."""


@pytest.mark.parametrize("step", range(24))
def test_a_stick_pulled_out_at_any_step_holds_whole_messages_only(
    store, reader, media, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Every write, sync, rename and removal in turn is the last thing that reaches the stick."""
    fill(store, 7)
    left = iter(range(step))

    def falling(real: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise Pulled
            return real(*args, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(removable.os, "fsync", falling(os.fsync))
        patch.setattr(Path, "replace", falling(Path.replace))
        patch.setattr(Path, "unlink", falling(Path.unlink))
        try:
            take(reader, media)
            assert step >= 20, "fewer steps than this test pulls at"
        except Pulled:
            pass  # as it should be
    folder = media / stick.FOLDER / store.identity.store
    if list(folder.glob("manifest-*.json")):
        assert set(believed(media)) <= set(range(1, 8))
    assert take(reader, media).messages == 7
    assert sorted(believed(media)) == list(range(1, 8))
    assert not list(folder.glob(durable.DRAFT + "*"))


def test_a_damaged_part_is_written_anew(store, reader, media) -> None:
    fill(store, 7)
    take(reader, media)
    part = home(media) / stick.part_name(4)
    part.write_bytes(part.read_bytes().replace(b"yn", b"yN")[:-3])
    done = take(reader, media)
    assert done.added == 3
    assert sorted(believed(media)) == list(range(1, 8))


def test_a_damaged_manifest_is_written_anew(store, reader, media) -> None:
    fill(store, 7)
    take(reader, media)
    (manifest,) = home(media).glob("manifest-*")
    manifest.write_bytes(manifest.read_bytes()[:-40])
    assert take(reader, media).messages == 7
    assert sorted(believed(media)) == list(range(1, 8))


def test_a_bound_holds_and_is_told(store, reader, media) -> None:
    fill(store, 12)
    with pytest.raises(NoRoom, match="3 of 12 waiting messages are on it"):
        take(reader, media, limit=1000)
    assert believed(media) == [1, 2, 3]
    waiting = newest_manifest(home(media)).waiting
    assert waiting == stick.Waiting(9, 1, 12, 12)


def test_a_full_stick(store, reader, media) -> None:
    """A real one, of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk of this test")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(media)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        fill(store, 50, size=50_000)
        with pytest.raises(NoRoom, match="waiting messages are on it"):
            take(reader, media)
        held = believed(media)
        assert 3 <= len(held) < 30  # with the reserve
        assert held == sorted(held)
        # Confirmed ones make room for the rest, although the stick is full.
        acknowledge(store, reader, receipt_for(media))
        with pytest.raises(NoRoom):
            take(reader, media)
        assert believed(media)[0] == held[-1] + 1
    finally:
        subprocess.run(["umount", str(media)], check=True)


def test_a_stick_that_is_not_there_is_not_made(reader, media) -> None:
    media.rmdir()
    with pytest.raises(UsageError, match="there is no folder"):
        take(reader, media)
    assert not media.exists()


def test_a_stick_that_fails_is_named(store, reader, media, monkeypatch) -> None:
    fill(store, 1)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(removable.os, "fsync", fail)
    with pytest.raises(EdgeError, match="was the stick pulled out"):
        take(reader, media)


# --- receipts ------------------------------------------------------------------------------------


def test_a_receipt_marks_what_it_confirms_and_the_stick_is_emptied(store, reader, media) -> None:
    fill(store, 7)
    take(reader, media)
    receipt = receipt_for(media)
    fill(store, 1)
    done = acknowledge(store, reader, receipt)
    assert (done.confirmed, done.known, done.gone) == (7, 0, 0)
    assert reader.depth().depth == 1
    again = acknowledge(store, reader, receipt)
    assert (again.confirmed, again.known, again.gone) == (0, 7, 0)
    emptied = take(reader, media)
    assert (emptied.messages, emptied.added, emptied.removed) == (1, 1, 7)
    assert believed(media) == [8]
    assert len(list(home(media).glob("*.jsonl"))) == 1


def test_a_receipt_for_what_mqtt_delivered_and_what_was_dropped_meanwhile(
    store, reader, media
) -> None:
    fill(store, 5)
    take(reader, media)
    store.outbox.acknowledge([2])
    store.outbox.settle()
    store.outbox.give_up([3], "quota", NOW)
    done = acknowledge(store, reader, receipt_for(media))
    assert (done.confirmed, done.known, done.gone) == (3, 1, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"device": "dock-08"}, "for device dock-08"),
        ({"store": "11111111-2222-3333-4444-555555555555"}, "store 11111111"),
        ({"tags": ("0" * 16,) * 4}, "message 1 differs"),
        ({"seqs": spans.of(range(1, 4)), "tags": None}, "message 1 differs"),
        ({"seqs": ((1, 9),), "tags": ("0" * 16,) * 9}, "no number beyond 4"),
    ],
)
def test_a_foreign_or_forged_receipt_marks_nothing(
    store, reader, media, change: dict[str, Any], sentence: str
) -> None:
    """The seal is right: whoever forges one can make it."""
    fill(store, 4)
    take(reader, media)
    honest = receipt_for(media)
    made = {name: getattr(honest, name) for name in Receipt.__slots__} | change
    made["tags"] = made["tags"] or honest.tags[1:]
    path = media / "receipt.json"
    path.write_bytes(stick.write_receipt(Receipt(**made)))
    with pytest.raises(Refused, match=sentence):
        acknowledge(store, reader, load_receipt(path))
    assert reader.depth().depth == 4


@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_receipt_is_refused(data: st.DataObject) -> None:
    """One byte changed, left out or cut off: refused, or it says exactly what it said."""
    store = "8b4a578a-3e32-4912-83ad-1fd975428b66"
    receipt = Receipt("dock-07", store, "2023", ((1, 2), (4, 4)), ("a" * 16, "b" * 16, "c" * 16))
    content = bytearray(stick.write_receipt(receipt))
    place = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["change", "drop", "cut"])):
        case "change":
            content[place] = data.draw(st.integers(0, 255))
        case "drop":
            del content[place]
        case "cut":
            del content[place:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receipt.json"
        path.write_bytes(content)
        try:
            found = load_receipt(path)
        except Refused:
            return
        assert found == receipt


def test_what_is_no_receipt_is_refused(reader, media, tmp_path) -> None:
    with pytest.raises(UsageError, match="there is no receipt"):
        find_receipt(media, reader.identity().store)
    with pytest.raises(UsageError, match="there is no receipt"):
        find_receipt(media / "x.json", reader.identity().store)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="no receipt"):
        load_receipt(tmp_path / "pipe")
    for nonsense in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"schema":"outbox-receipt/1"}'):
        (tmp_path / "r").write_bytes(nonsense)
        with pytest.raises(Refused, match="damaged"):
            load_receipt(tmp_path / "r")
