"""Pinned cases: recordings of this site that a new model or policy is tried on before it counts.

`cases/<name>/` of the state directory holds the recording and `case.json` (`case/1`): the pipeline,
when the recording began, what it must raise. Rules: a case is complete or not there; no quota and
no age takes it; `events erase` of its event does. Read `regress.py` next.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge_agent.durable import make_folder, sync_folder
from edge_agent.errors import EdgeError, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import dump, parse_rfc3339, rfc3339
from edge_agent.policy.regress import Alarm, Expectation
from edge_agent.store.disk import disk_errors, store_file

FOLDER = "cases"
_FILE = "case.json"
_STAGED = ".staged-"
_NAME = re.compile(r"[\w-][\w.-]{0,63}")


@frozen
class Case:
    """`rules` count besides those of priority alert: the pinned event's own may be a notice."""

    name: str
    pipeline: str
    recording: Path
    start: float  # seconds since the epoch of its first frame
    expected: Expectation
    rules: tuple[str, ...] = ()
    event: str | None = None  # the id of the event that was pinned
    note: str = ""
    pinned: float = 0.0


def cases(state: Path) -> tuple[Case, ...]:
    """Every case, by name. Raises EdgeError for one that cannot be read: what is asked of a gate
    must not depend on what a damaged disk still shows."""
    folder = state / FOLDER
    if not folder.is_dir():
        return ()
    return tuple(_read(each) for each in sorted(folder.iterdir()) if not each.name.startswith("."))


def keep(state: Path, case: Case) -> Case:
    """Copy the recording beside what is known of it. Raises UsageError when the name is taken or is
    none, NoRoom, EdgeError."""
    if not _NAME.fullmatch(case.name):
        raise UsageError(
            f"{case.name!r} is no name of a case", "up to 64 letters, digits, '.', '-' and '_'"
        )
    target = state / FOLDER / case.name
    if target.exists():
        raise UsageError(
            f"there is a case {case.name} already", f"edge-agent events unpin {case.name}"
        )
    with disk_errors(target):
        make_folder(target.parent, 0o700)
        staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=target.parent))
        try:
            recording = staged / f"recording{case.recording.suffix.lower()}"
            store_file(recording, case.recording.read_bytes())
            store_file(staged / _FILE, f"{dump(case_document(case))}\n".encode())
            staged.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return _read(target)


def forget(state: Path, name: str) -> None:
    """Remove a case. Raises UsageError when there is none of that name."""
    target = state / FOLDER / name
    if not _NAME.fullmatch(name) or not target.is_dir():
        known = ", ".join(case.name for case in cases(state)) or "none"
        raise UsageError(f"there is no case {name!r}", f"those there are: {known}")
    with disk_errors(target):
        gone = target.with_name(f"{_STAGED}{name}")  # half removed, it is no case
        target.rename(gone)
        sync_folder(gone.parent)
        shutil.rmtree(gone)


def forget_events(state: Path, events: Iterable[str]) -> int:
    """Remove the cases of events that are erased: how many there were."""
    erased = set(events)
    found = [case for case in cases(state) if case.event in erased]
    for case in found:
        forget(state, case.name)
    return len(found)


def alarm_document(alarm: Alarm) -> dict[str, Any]:
    return {"rule": alarm.rule, "label": alarm.label, "zone": alarm.zone, "at_s": alarm.at}


def case_document(case: Case) -> dict[str, Any]:
    """`case/1`."""
    return {
        "schema": "case/1",
        "name": case.name,
        "pipeline": case.pipeline,
        "recording": f"recording{case.recording.suffix.lower()}",
        "start": rfc3339(case.start),
        "alarms": [alarm_document(alarm) for alarm in case.expected.alarms],
        "flaws": [alarm_document(alarm) for alarm in case.expected.flaws],
        "rules": list(case.rules),
        "event": case.event,
        "note": case.note,
        "pinned": rfc3339(case.pinned),
    }


def _read(folder: Path) -> Case:
    try:
        found = json.loads((folder / _FILE).read_text("utf-8"))
        return Case(
            name=folder.name,
            pipeline=found["pipeline"],
            recording=folder / Path(found["recording"]).name,
            start=parse_rfc3339(found["start"]),
            expected=Expectation(
                tuple(_alarm(each) for each in found["alarms"]),
                tuple(_alarm(each) for each in found["flaws"]),
            ),
            rules=tuple(found["rules"]),
            event=found["event"],
            note=found["note"],
            pinned=parse_rfc3339(found["pinned"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise EdgeError(
            f"case {folder.name} cannot be read: {fault}",
            f"pin it again, or remove it: edge-agent events unpin {folder.name}",
        ) from None


def _alarm(found: dict[str, Any]) -> Alarm:
    return Alarm(found["rule"], found["label"], found["zone"], float(found["at_s"]))
