"""`edge-agent outbox`: what waits to be sent, and the way of a stick where no network comes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.options import config_option, json_option, place, state_option

if TYPE_CHECKING:
    from edge_agent.cli.options import Place
    from edge_agent.types import Message

SHOWN = 20
MEGABYTE = 1_000_000


@click.group()
def command() -> None:
    """What waits to be sent; take it away on a stick, read the receipt."""


@command.command("list")
@click.option("-n", "limit", type=click.IntRange(1), default=SHOWN, help="At most. [20]")
@config_option
@state_option
@json_option
def list_outbox(limit: int, config: Path | None, state: Path | None, as_json: bool) -> None:
    """What waits, in the order in which it leaves."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import up_to_date
    from edge_agent.store.query import open_reader

    here = place(state, config)
    up_to_date(here.state)
    with open_reader(here.state) as reader:
        depth, topics = reader.depth(), reader.waiting_by_topic()
        first = reader.unsent(0, limit, urgent=True)
        first += reader.unsent(0, limit - len(first), urgent=False) if len(first) < limit else []
        if as_json:
            document = {
                "schema": "outbox/1",
                "store": reader.identity().store,
                "depth": depth.depth,
                "oldest_seq": depth.oldest_seq,
                "newest_seq": depth.newest_seq,
                "last_seq": depth.last_seq,
                "topics": topics,
                "messages": [_row(message) for message in first],
            }
            click.echo(dump(document))
            return
    _table(first, here)
    left = depth.depth - len(first)
    more = f", {left} more than these" if left and first else ""
    click.echo(f"{_waits(topics)}{more}; the newest number given is {depth.last_seq}")


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--max-mb", type=click.FloatRange(0.001), help="At most so much on the stick.")
@config_option
@state_option
@json_option
def export(
    folder: Path, max_mb: float | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Write what waits to the stick mounted at DIR; alerts first.

    Repeat it to go on where it ended. Nothing counts as sent before its receipt was read here.
    """
    from edge_agent.cli.render import say
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import up_to_date
    from edge_agent.service.stick import export as write
    from edge_agent.store.query import open_reader

    here = place(state, config)
    limit = None if max_mb is None else round(max_mb * MEGABYTE)
    up_to_date(here.state)
    with open_reader(here.state) as reader:
        device = reader.device() or _configured_id(config)
        done = write(reader, device, folder, time.time(), limit)
        if as_json:
            document = {
                "schema": "outbox-exported/1",
                "device": device,
                "store": reader.identity().store,
                "folder": str(done.folder),
                "messages": done.messages,
                "bytes": done.size,
                "added": done.added,
                "topics": done.topics,
                "removed": done.removed,
            }
            click.echo(dump(document))
            return
    size = f"{done.size / MEGABYTE:.1f} MB"
    say(f"on the stick: {_messages(done.messages)}, {size}, added now: {_counted(done.topics)}")
    if done.removed:
        say(f"taken away, as confirmed: {_messages(done.removed)}")
    if done.messages:
        say(f"next: at the desk: edge-fleet collect --from {folder}")  # whole, to be copied


@command.command()
@click.argument("receipt", metavar="RECEIPT", type=click.Path(path_type=Path))
@config_option
@state_option
@json_option
def ack(receipt: Path, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Mark as delivered what the desk confirms: the receipt's file, or the stick it is on."""
    from edge_agent.cli.render import say
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import up_to_date
    from edge_agent.service.receipt import acknowledge, find_receipt, load_receipt
    from edge_agent.store.query import open_reader
    from edge_agent.store.record import open_store

    here = place(state, config)
    up_to_date(here.state)
    with open_reader(here.state) as reader:
        found = load_receipt(find_receipt(receipt, reader.identity().store))
        with open_store(here.state) as store:
            done = acknowledge(store, reader, found)
        depth = reader.depth()
    if as_json:
        document = {
            "schema": "outbox-acknowledged/1",
            "confirmed": done.confirmed,
            "known": done.known,
            "gone": done.gone,
            "depth": depth.depth,
        }
        click.echo(dump(document))
        return
    say(f"delivered by this receipt: {_messages(done.confirmed)}")
    if done.known:
        say(f"known to be delivered before: {_messages(done.known)}")
    if done.gone:
        say(f"confirmed, and not kept here any more: {_messages(done.gone)}")
    say(f"{_messages(depth.depth)} still to be sent")


# --- below: from rows to text ---------------------------------------------------------------------


def _row(message: Message) -> dict[str, Any]:
    from edge_agent.policy.documents import dump, rfc3339

    return {
        "seq": message.seq,
        "id": message.id,
        "topic": message.topic,
        "created": rfc3339(message.time),
        "bytes": len(dump(message.body).encode("utf-8", "replace")),
    }


def _table(messages: list[Message], here: Place) -> None:
    from edge_agent.cli.render import table
    from edge_agent.service.moments import local, zone_of

    if not messages:
        return
    zone = zone_of(here.timezone)
    rows = [
        (str(message.seq), message.topic, local(message.time, zone), message.id)
        for message in messages
    ]
    table(("seq", "topic", "created", "id"), rows)
    click.echo(f"\ntimes in {zone.name}")


def _waits(topics: Mapping[str, int]) -> str:
    if not topics:
        return "nothing waits"
    total = sum(topics.values())
    return f"{_messages(total)} {'waits' if total == 1 else 'wait'} ({_counted(topics)})"


def _counted(topics: Mapping[str, int]) -> str:
    from edge_agent.cli.render import counts

    return counts(topics)


def _messages(count: int) -> str:
    from edge_agent.cli.render import plural

    return plural(count, "message")


def _configured_id(config: Path | None) -> str:
    """The device's id where no agent has left it in the store."""
    from edge_agent.cli.options import existing_config
    from edge_agent.config.explain import resolve_id
    from edge_agent.config.load import load
    from edge_agent.host.board import read_board

    board = read_board()
    loaded = load(existing_config(config))
    return resolve_id(loaded.device.id, board.hostname, board.serial or "")
