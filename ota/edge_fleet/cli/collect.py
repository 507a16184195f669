"""`edge-fleet collect`: receive by MQTT or from a stick, and tell what is missing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import click

from edge_agent.cli.options import json_option
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from ssl import SSLContext

    from edge_fleet.archive import Archive
    from edge_fleet.stick import Collected
    from edge_fleet.subscriber import Address, Subscriber

STORE = "sqlite:///edge-fleet.db"
PORTS = {"mqtt": 1883, "mqtts": 8883}
#: Exit code of what was refused because it is damaged.
REFUSED = 4


@click.command()
@click.option(
    "--store",
    default=lambda: os.environ.get("EDGE_FLEET_STORE", STORE),
    metavar="URL",
    help=f"Where it is kept (default: $EDGE_FLEET_STORE, {STORE}).",
)
@click.option("--from", "folder", type=click.Path(path_type=Path), metavar="DIR", help="A stick.")
@click.option("--broker", metavar="URL", help="mqtt://HOST[:PORT] or mqtts://HOST[:PORT].")
@click.option("--username", help="For the broker.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Holds the password.")
@click.option("--ca", type=click.Path(path_type=Path), help="Who signed the broker [the system's].")
@click.option("--cert", type=click.Path(path_type=Path), help="The client's certificate.")
@click.option("--key", type=click.Path(path_type=Path), help="Its key.")
@click.option(
    "--client-id",
    default="edge-fleet-collect",
    show_default=True,
    help="The broker keeps what comes for this name; one collector each.",
)
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
    address = None if broker is None else _address(broker, login)
    code = 0
    with open_archive(_path(store)) as archive:
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
    subscriber.run(_end(seconds))
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


def _end(seconds: float | None) -> Callable[[], bool]:
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


# --- what the options mean ------------------------------------------------------------------------


def _path(store: str) -> Path:
    if not store.startswith("sqlite:///") or store == "sqlite:///":
        raise UsageError(f"{store} is no store that is known here", "write sqlite:///FILE")
    return Path(store.removeprefix("sqlite:///"))


def _address(broker: str, login: dict[str, str | Path | None]) -> Address:
    from edge_fleet.subscriber import Address

    try:
        url = urlsplit(broker if "://" in broker else f"mqtt://{broker}")
        host, port = url.hostname, url.port
    except ValueError as fault:
        raise UsageError(f"{broker}: {fault}", "write mqtt://HOST:PORT") from None
    if url.scheme not in PORTS or not host or url.path.strip("/") or url.password:
        raise UsageError(
            f"{broker} is no broker's address",
            "write mqtt://HOST:PORT; a password: --password-file",
        )
    username = login["username"] or (unquote(url.username) if url.username else None)
    return Address(
        host,
        port or PORTS[url.scheme],
        str(login["client_id"]),
        None if username is None else str(username),
        _password(login["password_file"]),
        _tls(url.scheme, login),
    )


def _password(file: str | Path | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).read_text("utf-8").rstrip("\n")
    except UnicodeDecodeError:
        raise UsageError(f"{file} holds no text", "write the password into it") from None


def _tls(scheme: str, login: dict[str, str | Path | None]) -> SSLContext | None:
    import ssl

    files = [login[name] for name in ("ca", "cert", "key")]
    if scheme != "mqtts":
        if any(files):
            raise UsageError("--ca, --cert and --key are for TLS", "write mqtts://HOST:PORT")
        return None
    try:
        context = ssl.create_default_context(cafile=files[0])
        if files[1] is not None:
            context.load_cert_chain(files[1], files[2])
    except OSError as fault:
        raise UsageError(
            f"the TLS files cannot be used: {fault}", "check --ca, --cert, --key"
        ) from None
    return context
