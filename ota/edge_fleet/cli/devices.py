"""`edge-fleet devices`: which there are, when each was heard, and what it needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.options import json_option
from edge_fleet.cli.options import archive_path, store_option

if TYPE_CHECKING:
    from edge_fleet.archive import Archive
    from edge_fleet.devices import Device

WATCH_S = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Again every two seconds, until ctrl-C.")
@click.option("--gaps", is_flag=True, help="How many messages are missing; exit 1 if any is.")
@store_option
@json_option
def command(watch: bool, gaps: bool, store: str, as_json: bool) -> int:
    """Every device that is enrolled or was heard of, as the archive knows it."""
    from edge_fleet.archive import open_archive

    with open_archive(archive_path(store)) as archive:
        while True:
            if watch and not as_json:
                click.clear()  # does nothing where no terminal is
            found = archive.devices()
            missing = _missing(archive) if gaps else {}
            _tell(found, missing if gaps else None, as_json)
            if not watch:
                return 1 if any(missing.values()) else 0
            time.sleep(WATCH_S)


def _missing(archive: Archive) -> dict[str, int]:
    """Messages that each device sent and nobody has, over all of its stores."""
    from edge_agent.policy import spans
    from edge_fleet.completeness import account

    found: dict[str, int] = {}
    for stream in archive.streams():
        gaps = account(stream.heard)
        lacking = spans.count(gaps.missing) + gaps.hidden
        found[stream.device] = found.get(stream.device, 0) + lacking
    return found


def _tell(found: tuple[Device, ...], missing: Mapping[str, int] | None, as_json: bool) -> None:
    from edge_agent.cli.render import say, table
    from edge_agent.policy.documents import dump

    now = time.time()
    if as_json:
        documents = [_document(each, missing) for each in found]
        say(dump({"schema": "devices/1", "devices": documents}))
        return
    if not found:
        say("no device is known yet: edge-fleet enroll DEVICE, or collect what they send")
        return
    columns = ["device", "state", "heard", "version", "tags", "needs"]
    rows = [[*_row(each, now), ", ".join(_codes(each))] for each in found]
    if missing is not None:
        columns.append("missing")
        rows = [
            [*each, str(missing.get(device.name, 0))]
            for each, device in zip(rows, found, strict=True)
        ]
    table(columns, rows, fold="needs")


def _row(each: Device, now: float) -> list[str]:
    from edge_agent.cli.render import duration

    return [
        each.name,
        each.state,
        "never" if each.heard is None else f"{duration(max(0.0, now - each.heard))} ago",
        _version(each) or "",
        " ".join(f"{key}={value}" for key, value in each.tags.items()),
    ]


def _document(each: Device, missing: Mapping[str, int] | None) -> dict[str, Any]:
    from edge_agent.policy.documents import rfc3339

    return {
        "device": each.name,
        "state": each.state,
        "enrolled": each.enrolled,
        "tags": dict(each.tags),
        "heard": None if each.heard is None else rfc3339(each.heard),
        "version": _version(each),
        "reasons": _codes(each),
        "missing": None if missing is None else missing.get(each.name, 0),
    }


def _version(each: Device) -> str | None:
    said = None if each.status is None else each.status.get("version")
    return said if isinstance(said, str) else None


def _codes(each: Device) -> list[str]:
    """What it says of itself that needs a look."""
    reasons = None if each.health is None else each.health.get("reasons")
    found = reasons if isinstance(reasons, list) else []
    return [str(reason.get("code")) for reason in found if isinstance(reason, dict)]
