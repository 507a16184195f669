"""`edge-fleet collect`: receive by MQTT or from a stick, and tell what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.options import json_option
from edge_agent.errors import UsageError
from edge_fleet.cli.options import archive_path, broker_address, broker_options, store_option

if TYPE_CHECKING:
    from edge_fleet.archive import Archive
    from edge_fleet.stick import Collected
    from edge_fleet.subscriber import Subscriber

#: Exit code of what was refused because it is damaged.
REFUSED = 4


@click.command()
@store_option
@click.option("--from", "folder", type=click.Path(path_type=Path), metavar="DIR", help="A stick.")
@broker_options("edge-fleet-collect")
@click.option("--for", "seconds", type=click.FloatRange(0), help="Receive so long. [until ctrl-C]")
@click.option("--heal", is_flag=True, help="Ask devices to send again what is missing.")
@click.option("--gaps", is_flag=True, help="Then tell what is missing; exit 1 if anything is.")
@json_option
def command(
    store: str,
    folder: Path | None,
    broker: str | None,
    seconds: float | None,
    heal: bool,
    gaps: bool,
    as_json: bool,
    **login: str | Path | None,
) -> int:
    """Receive what devices send, each message once, and prove that nothing is missing.

    With --broker by MQTT, with --from from a stick, which gets a receipt to take back; with --gaps
    alone only the proof.
    """
    from edge_fleet.archive import open_archive
    from edge_fleet.healer import Healer
    from edge_fleet.subscriber import Subscriber

    if folder is None and broker is None and not gaps:
        raise UsageError("there is nothing to do", "say --broker URL, --from DIR or --gaps")
    if heal and broker is None:
        raise UsageError("--heal asks devices by MQTT", "say --broker URL, too")
    address = None if broker is None else broker_address(broker, login)
    code = 0
    with open_archive(archive_path(store)) as archive:
        if folder is not None:
            code = _read_stick(folder, archive, quiet=gaps and as_json, as_json=as_json)
        if address is not None:
            subscriber = Subscriber(address, archive, Healer() if heal else None)
            _receive(subscriber, seconds, quiet=as_json)
        if gaps:
            code = _tell_gaps(archive, as_json) or code
    return code


def _read_stick(folder: Path, archive: Archive, *, quiet: bool, as_json: bool) -> int:
    from edge_agent.policy.documents import dump
    from edge_fleet.stick import collect

    found = collect(folder, archive, time.time())
    if as_json and not quiet:
        stores = [
            {
                "device": each.device,
                "store": each.store,
                "messages": each.messages,
                "new": each.new,
                "conflicts": each.conflicts,
                "receipt": None if each.receipt is None else str(each.receipt),
                "faults": list(each.faults),
            }
            for each in found
        ]
        click.echo(dump({"schema": "collected/1", "stores": stores}))
    elif not as_json:
        _tell_stick(folder, found)
    for each in found:
        for fault in each.faults:
            click.echo(f"edge-fleet: not believed: store {each.store}: {fault}", err=True)
    return REFUSED if any(each.faults for each in found) else 0


def _tell_stick(folder: Path, found: tuple[Collected, ...]) -> None:
    from edge_agent.cli.render import plural

    for each in found:
        if each.receipt is None:
            continue
        click.echo(f"{each.device}: {plural(each.messages, 'message')}, {each.new} of them new")
        if each.conflicts:
            click.echo(f"  {each.conflicts} bear a number that another message has")
    if any(each.receipt is not None for each in found):
        click.echo(f"next: on each device: edge-agent outbox ack {folder}")


def _receive(subscriber: Subscriber, seconds: float | None, *, quiet: bool) -> None:
    """Until the time is over, SIGTERM, or ctrl-C; the last two end it in order, too."""
    import logging

    logging.basicConfig(format="edge-fleet: %(message)s", level=logging.INFO)
    subscriber.run(until_told(seconds))
    if not quiet:
        _tell_received(subscriber)


def _tell_received(subscriber: Subscriber) -> None:
    from edge_agent.cli.render import plural

    counted = subscriber.counted
    parts = [f"received: {plural(counted.new, 'new message')}"]
    parts += [f"{counted.repeated} that came again"] if counted.repeated else []
    parts += [f"{counted.conflicting} in conflict"] if counted.conflicting else []
    parts += [f"{subscriber.rejected} that were none"] if subscriber.rejected else []
    click.echo(", ".join(parts))


def until_told(seconds: float | None) -> Callable[[], bool]:
    import signal

    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: asked.append(number))
    deadline = None if seconds is None else time.monotonic() + seconds
    return lambda: bool(asked) or (deadline is not None and time.monotonic() > deadline)


def _tell_gaps(archive: Archive, as_json: bool) -> int:
    from edge_agent.policy.documents import dump
    from edge_fleet import report

    streams, refused = archive.streams(), archive.refused()
    if as_json:
        click.echo(dump(report.document(streams, refused)))
    else:
        for line in report.words(streams, refused):
            click.echo(line)
    return 0 if report.is_complete(streams) else 1
