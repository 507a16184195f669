"""The archive: each message once, losses, salvage, copies, and what a stick may hold."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from desk import NOW, Device, of_store, only, partition

from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.policy import stick
from edge_fleet.archive import Archive, open_archive
from edge_fleet.completeness import account
from edge_fleet.entries import REFUSED_BYTES, REFUSED_KEPT, Rejected
from edge_fleet.message import Message, read
from edge_fleet.stick import collect

OLD, NEW = (f"{digit * 8}-3e32-4912-83ad-1fd975428b66" for digit in "12")


def message(seq: int | None = 1, store: str = OLD, **changes: Any) -> Message:
    document = {
        "schema": "mqtt-alert/1", "device": "dock-07", "store": store, "boot": 1, "session": 1,
        "seq": seq, "id": f"{store[:8]}/{seq}/open", "time": "2023-11-14T22:13:20.000Z",
        "clock": "synced", "data": {"n": seq},
    }  # fmt: skip
    return read(json.dumps(document | changes).encode())


def lost(seq: int, ranges: list[list[int]], store: str = OLD, **changes: Any) -> Message:
    data = {"ranges": ranges, "counts": {"alert": 1}, "reason": "quota", "previous_store": None}
    return message(seq, store, schema="mqtt-lost/1", data=data | changes)


def rows(archive: Archive, question: str) -> list[Any]:
    return archive._connection.execute(question).fetchall()


def test_what_comes_again_changes_nothing(archive: Archive) -> None:
    assert archive.keep([message(1), message(2)], "mqtt", NOW).new == 2
    again = archive.keep([message(2), message(1), message(3)], "stick", NOW)
    assert (again.new, again.repeated) == (1, 2)
    assert rows(archive, "SELECT seq, via FROM messages ORDER BY n") == [
        (1, "mqtt"), (2, "mqtt"), (3, "stick"),
    ]  # fmt: skip


def test_a_whole_alert_replaces_a_cut_one_and_never_the_other_way(archive: Archive) -> None:
    cut, whole = message(1, data={"cut": True}), message(1, data={"text": "人"})
    for each in (cut, whole, cut):
        archive.keep([each], "mqtt", NOW)
    assert rows(archive, "SELECT data FROM messages") == [('{"text":"人"}',)]


def test_losses_have_their_reasons_and_counts(archive: Archive) -> None:
    archive.keep([message(1), lost(9, [[2, 4]]), lost(10, [[4, 5], [7, 7]], reason="erased")],
                 "mqtt", NOW)  # fmt: skip
    found = only(archive)
    sets = partition(found)
    assert sets["lost"] == {2, 3, 4, 5, 7}
    assert sets["missing"] == {6, 8}
    assert {each.reason: dict(each.counts) for each in found.lost} == {
        "quota": {"alert": 1}, "erased": {"alert": 1},
    }  # fmt: skip


def test_what_the_device_erased_is_erased_here_whenever_and_however_it_came(
    archive: Archive, tmp_path: Path
) -> None:
    secret = {"text": "Frau Meier am Tor"}
    archive.keep([message(1, data=secret), message(2), message(3)], "mqtt", NOW)
    archive.keep([message(1, id="copy/open", data=secret)], "mqtt", NOW)  # a conflict holds it, too
    archive.keep([lost(5, [[1, 2]], reason="erased")], "mqtt", NOW)
    assert rows(archive, "SELECT seq FROM messages ORDER BY n") == [(3,), (5,)]
    archive.keep([message(1, data=secret)], "stick", NOW)  # a stick that was written before
    sets = partition(only(archive))
    assert (sets["lost"], sets["delivered"], sets["missing"]) == ({1, 2}, {3, 5}, {4})
    for file in tmp_path.glob("desk.db*"):
        assert b"Meier" not in file.read_bytes()


def test_an_erased_alert_goes_under_its_old_store_s_number_too(archive: Archive) -> None:
    archive.keep([message(1)], "mqtt", NOW)
    again = message(2, NEW, id=message(1).id)
    salvaged = lost(1, [[1, 1]], NEW, reason="salvage", previous_store=OLD)
    archive.keep([salvaged, again, lost(3, [[2, 2]], NEW, reason="erased")], "mqtt", NOW)
    assert rows(archive, "SELECT topic FROM messages") == [("lost",), ("lost",)]
    assert partition(account(of_store(archive, OLD).heard))["superseded"] == {1}


def test_an_event_that_is_erased_by_name_goes_under_every_number_and_stays_away(
    archive: Archive, tmp_path: Path
) -> None:
    """Its messages had been sent and evicted: the device does not know their numbers any more."""
    event, secret = "0123456789abcdef", {"text": "Frau Meier am Tor"}
    opening = message(1, id=f"{event}/open", data=secret)
    archive.keep([opening, message(2), message(3, id="f" * 16 + "/open")], "mqtt", NOW)
    told = lost(9, [[4, 5]], reason="erased", counts={"alert": 2}, events=[event])
    archive.keep([told], "mqtt", NOW)
    assert rows(archive, "SELECT seq FROM messages ORDER BY n") == [(2,), (3,), (9,)]
    closing = message(8, id=f"{event}/close", data=secret)  # by a stick that was written before
    archive.keep([closing, opening], "stick", NOW)
    salvaged = message(2, NEW, id=f"{event}/open", data=secret)
    archive.keep([salvaged], "mqtt", NOW)
    sets = partition(account(of_store(archive, OLD).heard))
    assert (sets["lost"], sets["delivered"]) == ({1, 4, 5, 8}, {2, 3, 9})
    assert sets["missing"] == {6, 7}
    assert partition(account(of_store(archive, NEW).heard))["lost"] == {2}
    another = message(1, OLD, id=f"{event}/open", device="dock-08", data={"n": 1})
    assert archive.keep([another], "mqtt", NOW).new == 1, "of another device it is another event"
    for file in tmp_path.glob("desk.db*"):
        assert b"Meier" not in file.read_bytes()


def test_a_declaration_of_names_alone_says_nothing_of_numbers(archive: Archive) -> None:
    told = lost(2, [], reason="erased", counts={}, events=["0" * 16])
    archive.keep([message(1), told], "mqtt", NOW)
    sets = partition(only(archive))
    assert (sets["delivered"], sets["lost"]) == ({1, 2}, set())


def test_what_was_declared_lost_and_came_after_all_is_delivered(archive: Archive) -> None:
    archive.keep([lost(3, [[1, 2]]), message(2)], "mqtt", NOW)
    assert partition(only(archive))["lost"] == {1}


def test_a_salvaged_store_is_superseded_and_its_alerts_are_kept_once(archive: Archive) -> None:
    """Requeued under the new store with their old id; the first `lost` names the old store."""
    archive.keep([message(1), message(2)], "mqtt", NOW)
    again = message(2, NEW, id=message(2).id)
    declared = lost(1, [[1, 6]], NEW, reason="salvage", previous_store=OLD)
    kept = archive.keep([declared, again, message(3, NEW)], "mqtt", NOW)
    assert (kept.new, kept.repeated) == (2, 1)
    before, after = of_store(archive, OLD), of_store(archive, NEW)
    old = partition(account(before.heard))
    assert (old["delivered"], old["superseded"]) == ({1, 2}, {3, 4, 5, 6})
    assert before.heard.successor == NEW
    assert partition(account(after.heard))["delivered"] == {1, 2, 3}
    assert account(before.heard).is_complete
    assert archive.keep([again], "mqtt", NOW).repeated == 1


def test_what_the_old_store_had_sent_and_nobody_got_is_missing(archive: Archive) -> None:
    """Only what waited was salvaged; a number beyond all that was heard of is told, too."""
    archive.keep([message(1)], "mqtt", NOW)
    declared = lost(1, [[4, 6]], NEW, reason="salvage", previous_store=OLD, previous_seq=8)
    archive.keep([declared], "mqtt", NOW)
    old = account(of_store(archive, OLD).heard)
    sets = partition(old)
    assert sets["superseded"] == {4, 5, 6}
    assert sets["missing"] == {2, 3, 7, 8}
    assert not sets["lost"]


def test_two_messages_with_one_number_are_both_kept_and_told(archive: Archive) -> None:
    archive.keep([message(1)], "mqtt", NOW)
    copy = message(1, id="other/open", data={"n": "copy"})
    assert archive.keep([copy, copy], "mqtt", NOW).conflicting == 2
    assert of_store(archive, OLD).conflicts == 1
    assert rows(archive, "SELECT data FROM conflicts") == [('{"n":"copy"}',)]


def test_one_id_of_two_devices_is_two_messages(archive: Archive) -> None:
    archive.keep([message(1), message(1, device="dock-08")], "mqtt", NOW)
    assert len(rows(archive, "SELECT n FROM messages")) == 2


def health(depth: int, oldest: int | None, newest: int | None, **more: Any) -> Message:
    pending = {"depth": depth, "oldest_seq": oldest, "newest_seq": newest} | more
    return message(None, schema="mqtt-health/1", data={"reasons": [], "pending": pending})


def test_health_tells_what_the_device_holds_and_how_far_it_counted(archive: Archive) -> None:
    archive.keep([message(1), health(2, 3, 6, last_seq=8)], "mqtt", NOW)
    found = only(archive)
    assert partition(found)["pending"] == {3, 4, 5, 6}
    assert found.pending_depth == 2
    assert found.hidden == 2  # two of the four were sent, and are not here
    assert partition(found)["missing"] == {2, 7, 8}
    archive.keep([health(0, None, None, last_seq=8)], "mqtt", NOW)
    assert partition(only(archive))["missing"] == set(range(2, 9))
    archive.keep([message(None, schema="mqtt-health/1", data={"pending": "?"})], "mqtt", NOW)
    assert only(archive).highest == 8


def test_what_is_no_message_is_kept_within_bounds(archive: Archive) -> None:
    many = [Rejected("t", "no JSON", b"x" * 9000)] * (REFUSED_KEPT + 50)
    archive.keep([], "mqtt", NOW, many)
    assert archive.refused() == REFUSED_KEPT
    assert rows(archive, "SELECT max(length(payload)) FROM refused") == [(REFUSED_BYTES,)]


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(Refused, match="another program"):
        open_archive(tmp_path / "other.db")
    (tmp_path / "text.db").write_text("no database at all " * 100)
    with pytest.raises(EdgeError, match="damaged"):
        open_archive(tmp_path / "text.db")
    with pytest.raises(UsageError, match="no folder"):
        open_archive(tmp_path / "nowhere" / "x.db")


# --- a stick at the desk -------------------------------------------------------------------------


def test_a_stick_that_was_tampered_with_is_believed_where_it_is_whole(
    archive: Archive, device: Device, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stick, "PART_MESSAGES", 2)
    device.write(6)
    device.export(media)
    (home,) = (media / stick.FOLDER).iterdir()
    damaged = home / stick.part_name(3)
    damaged.write_bytes(damaged.read_bytes().replace(b'"seq":3', b'"seq":9'))
    (home / stick.part_name(5)).unlink()
    (home / stick.part_name(5)).symlink_to("/etc/passwd")
    (home / "000000000099.jsonl").write_text('{"schema":"mqtt-alert/1"}')  # no manifest names it
    (found,) = collect(media, archive, NOW)
    assert [fault.split(":")[0] for fault in found.faults] == [damaged.name, stick.part_name(5)]
    assert partition(only(archive))["delivered"] == {1, 2}
    assert stick.read_receipt((home / stick.RECEIPT).read_bytes()).seqs == ((1, 2),)
    device.ack(media)
    assert device.pending == {3, 4, 5, 6}
    device.export(media)
    (found,) = collect(media, archive, NOW)
    assert found.faults == ()
    assert partition(only(archive))["delivered"] == set(range(1, 7))


def test_a_manifest_that_speaks_for_another_store_is_not_believed(
    archive: Archive, device: Device, media: Path
) -> None:
    device.write(2)
    device.export(media)
    (home,) = (media / stick.FOLDER).iterdir()
    home.rename(home.with_name(NEW))
    (found,) = collect(media, archive, NOW)
    assert found.receipt is None
    assert "no whole manifest" in found.faults[0]
    assert archive.streams() == ()


def test_two_devices_on_one_stick_have_a_receipt_each(
    archive: Archive, device: Device, media: Path, tmp_path: Path
) -> None:
    other = Device(tmp_path / "other", "dock-08")
    try:
        for each, count in ((device, 3), (other, 2)):
            each.write(count)
            each.export(media)
        assert sorted(found.messages for found in collect(media, archive, NOW)) == [2, 3]
        for each in (device, other):
            each.ack(media)
            assert each.pending == set()
    finally:
        other.close()


def test_a_stick_without_an_export_is_told(archive: Archive, media: Path) -> None:
    with pytest.raises(UsageError, match="there is no edge-outbox"):
        collect(media, archive, NOW)
    os.mkfifo(media / stick.FOLDER)
    with pytest.raises(UsageError, match="there is no edge-outbox"):
        collect(media, archive, NOW)
