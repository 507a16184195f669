"""`edge-agent events`: what a person at the device reads, filters, follows and takes away."""

from __future__ import annotations

import csv
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.policy.documents import About
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, EventFilter, Opened
from edge_agent.types import Event, Priority

Ask = Callable[..., Any]
ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)
NOON = 1_769_860_800.0  # 2026-01-31T12:00:00Z, 21:00 in Tokyo
EVENT = Event(
    id="0" * 16, pipeline="庭", source="庭カメラ", rule="侵入検知", priority=Priority.ALERT,
    label="人", zone="門", text="人 in 門", opened=NOON, seen=NOON, closed=None, close_reason=None,
    score_max=0.91, score_median=0.8, track=4, count=1, box=None, frame=12,
)  # fmt: skip


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Thirty events, a minute apart, the newest still open, with long wide names."""
    state = tmp_path / "state"
    with open_store(state) as store:
        for number in range(30):
            event = replace(
                EVENT,
                id=f"{number:02x}" + "a" * 14,
                opened=NOON + 60 * number,
                text="人 in 門 " * (number % 5 + 1),
                rule="crowd" if number % 3 == 0 else "侵入検知",
                priority=Priority.NOTICE if number % 3 == 0 else Priority.ALERT,
            )
            store.record(Batch(opened=(Opened(event, ABOUT),)))
            if number != 29:
                closed = replace(event, closed=event.opened + 5, close_reason="cleared")
                store.record(Batch(closed=(closed,)))
    return state


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_list_is_newest_first_in_local_time_and_80_columns(ask: Ask, filled: Path) -> None:
    found = ask("events", "list")
    assert found.code == 0
    assert found.widest <= 80
    lines = found.out.splitlines()
    assert lines[0].split() == ["id", "opened", "lasted", "priority", "what"]
    assert lines[1].split()[:5] == ["1daaaaaa", "2026-01-31", "21:29:00", "open", "alert"]
    assert "times in Asia/Tokyo, this host's zone" in lines
    assert lines[-1] == "these are the newest 20; -n 200 shows more"
    assert not [line for line in lines if line != line.rstrip()]


def test_all_events_fit_without_a_word_of_more(ask: Ask, filled: Path) -> None:
    assert "more" not in ask("events", "list", "-n", "30").out


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (("-n", "2"), [29, 28]),
        (("--since", "2026-01-31 21:28"), [29, 28]),
        (("--since", "2026-01-31T12:28:00Z"), [29, 28]),
        (("--rule", "crowd", "-n", "2"), [27, 24]),
        (("--priority", "notice", "--since", "2026-01-31T21:24:00+09:00"), [27, 24]),
        (("--pipeline", "庭", "-n", "1"), [29]),
        (("--since", "1s"), []),
    ],
)
def test_filters(ask: Ask, filled: Path, wanted: tuple[str, ...], numbers: list[int]) -> None:
    found = documents(ask("events", "list", "--json", *wanted).out)
    assert [int(each["id"][:2], 16) for each in found] == numbers


def test_since_is_meant_in_the_zone_of_the_devices_configuration(
    ask: Ask, filled: Path, config: Path
) -> None:
    config.write_text("device: {timezone: Europe/Berlin}\n" + config.read_text("utf-8"), "utf-8")
    found = ask("events", "list", "-c", config, "--since", "2026-01-31 13:28")
    assert "times in Europe/Berlin, the device's zone" in found.out
    assert re.findall(r"\d\d:\d\d:\d\d", found.out) == ["13:29:00", "13:28:00"]


def test_a_mistyped_name_does_not_read_as_nothing_happened(ask: Ask, filled: Path) -> None:
    assert ask("events", "list", "--rule", "crwod").out == (
        "no events of rule crwod (did you mean crowd?)\n"
    )
    assert ask("events", "list", "--pipeline", "q").out == "no events of pipeline q\n"
    assert ask("events", "list", "--since", "1s").out == "no events\n"
    assert ask("events", "list", "--since", "1s", "--json").out == ""


def test_show_says_all_that_is_known(ask: Ask, replayed: Path) -> None:
    event = documents(ask("events", "list", "--json", "--rule", "侵入", "--state", replayed).out)[0]
    shown = ask("events", "show", event["id"][:6], "--state", replayed)
    assert shown.code == 0
    picture = next(line for line in shown.out.splitlines() if line.startswith("  picture "))
    assert Path(picture.removeprefix("  picture ")).is_file()
    for words in (event["id"], "rule    侵入 of pipeline yard", "scene-detector", "this host's"):
        assert words in shown.out
    step = shown.out.splitlines()[-1].removeprefix("next: edge-agent ")
    assert shlex.split(step) == ["why", event["id"][:8], "--state", str(replayed)]
    assert ask(*shlex.split(step)).code == 0  # it can be typed as it stands


def test_documents_follow_their_schemas(ask: Ask, replayed: Path) -> None:
    def schema(name: str) -> Any:
        file = resources.files("edge_agent") / "schemas" / f"{name}.json"
        return json.loads(file.read_text("utf-8"))

    events = documents(ask("events", "list", "--json", "--state", replayed, "-n", "500").out)
    assert len(events) > 3
    notes = 0
    for event in events:
        jsonschema.validate(event, schema("event"))
        shown = ask("events", "show", event["id"], "--json", "--state", replayed)
        assert json.loads(shown.out) == event
        for item in event["evidence"]:
            beside = (replayed / item["path"]).with_suffix(".json")
            jsonschema.validate(json.loads(beside.read_text("utf-8")), schema("evidence"))
            notes += 1
    assert notes > 0


def test_an_export_takes_everything_unless_told_otherwise(
    ask: Ask, filled: Path, tmp_path: Path
) -> None:
    assert ask("events", "export", "--to", "all.csv").out == "30 events in all.csv\n"
    with (tmp_path / "all.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 30
    assert ask("events", "export", "--to", "one.jsonl", "-n", "1").out == "1 event in one.jsonl\n"
    assert documents((tmp_path / "one.jsonl").read_text("utf-8"))[0]["closed"] is None


def test_an_exported_zip_has_the_pictures(ask: Ask, replayed: Path, tmp_path: Path) -> None:
    done = ask("events", "export", "--to", "case.zip", "--rule", "侵入", "--state", replayed)
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        names = archive.namelist()
        events = documents(archive.read("events.jsonl").decode())
    pictures = [item["path"] for event in events for item in event["evidence"]]
    assert pictures
    assert set(pictures) < set(names)
    assert f"and {len(pictures)} picture" in done.out


def test_follow_tells_news_until_ctrl_c(filled: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "edge_agent", "events", "follow", "--state", filled],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TZ": "Asia/Tokyo"},
    )
    assert child.stdout is not None
    with open_store(filled) as store:
        with open_reader(filled) as reader:
            newest = reader.events(EventFilter(limit=1))[0].event
        # It may still be starting; whatever it has not seen open, it will see closed.
        for number in range(100):
            fresh = replace(newest, id=f"{number:016x}", opened=newest.opened + 1)
            store.record(Batch(opened=(Opened(fresh, ABOUT),)))
            if says_something(child):
                break
    first = child.stdout.readline()
    assert first.startswith("2026-01-31 21:29:01  00000000  alert   opened: 人 in 門")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in err


def says_something(child: subprocess.Popen[str]) -> bool:
    """Whether it says something within a second."""
    assert child.stdout is not None
    return bool(select.select([child.stdout], [], [], 1.0)[0])


def test_a_reader_that_goes_away_is_no_fault(filled: Path) -> None:
    command = f"{sys.executable} -m edge_agent events list --state {filled}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | (exec 0<&-; sleep 1); echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_erase_asks_tells_and_leaves_nothing(
    replayed: Path, tmp_path: Path, ask: Callable[..., Any]
) -> None:
    shutil.copytree(replayed, tmp_path / "state")
    listed = [json.loads(line) for line in ask("events", "list", "--json").out.splitlines()]
    one = listed[0]["id"]
    assert ask("events", "erase").code == 2
    assert "nobody is there to ask" in ask("events", "erase", one[:10]).err
    done = ask("events", "erase", one[:10], "--yes", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    jsonschema.validate(document, json.loads(ask("schema", "erase").out))
    assert document["events"] == [one]
    assert ask("events", "show", one).code == 2
    rest = ask("events", "erase", "--since", "2026-01-31T00:00:00Z", "--yes")
    assert f"erased: {len(listed) - 1} events" in rest.out
    assert ask("events", "list").out.startswith("no events")
    assert not list((tmp_path / "state" / "evidence").glob("*/*/*"))


def test_a_person_says_whether_an_event_was_right(ask: Ask, replayed: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(replayed, state)
    event = json.loads(ask("events", "list", "--json", "-n", "1").out)["id"]
    assert "label" not in ask("events", "show", event).out
    said = ask("events", "label", event[:8], "false")
    assert said.code == 0
    assert said.out.startswith(f"{event[:8]} is labelled false: ")
    assert "  label   false" in ask("events", "show", event).out
    document = json.loads(ask("events", "label", event, "true", "--json").out)
    assert document == {"schema": "label/1", "event": event, "label": True}
    assert "  label   true" in ask("events", "show", event).out
    assert ask("events", "label", "zz", "true").code == 2
    assert ask("events", "label", event, "perhaps").code == 2
