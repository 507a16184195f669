"""The options that the desk's commands share: archive, broker, repository, keys, passphrases.

A repository: `--repo`, else EDGE_FLEET_REPO. Keys: `--keys`, once for each folder, else those of
EDGE_FLEET_KEYS, separated by colons. The archive: `--store`, else EDGE_FLEET_STORE.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import click

from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from ssl import SSLContext

    from edge_fleet.keys import Keyring
    from edge_fleet.passphrase import Passphrases
    from edge_fleet.subscriber import Address

Command = TypeVar("Command", bound=Callable[..., Any])

STORE = "sqlite:///edge-fleet.db"
PORTS = {"mqtt": 1883, "mqtts": 8883}


def store_option(command: Command) -> Command:
    return click.option(
        "--store",
        default=lambda: os.environ.get("EDGE_FLEET_STORE", STORE),
        metavar="URL",
        help=f"Where it is kept (default: $EDGE_FLEET_STORE, {STORE}).",
    )(command)


def repo_option(command: Command) -> Command:
    return click.option(
        "--repo",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The repository (default: $EDGE_FLEET_REPO).",
    )(command)


def keys_options(command: Command) -> Command:
    """Whose keys sign, and what opens them."""
    command = click.option(
        "--passphrase-file",
        "passphrase_files",
        multiple=True,
        metavar="[ROLE=]FILE",
        help="Opens the keys; its first line. [$EDGE_FLEET_PASSPHRASE, a credential, asked]",
    )(command)
    return click.option(
        "--keys",
        "key_folders",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where keys lie; once for each folder (default: $EDGE_FLEET_KEYS).",
    )(command)


def broker_options(client_id: str) -> Callable[[Command], Command]:
    """The broker, and who we are to it: a name of its own for each command."""
    options = (
        click.option("--broker", metavar="URL", help="mqtt://HOST[:PORT] or mqtts://HOST[:PORT]."),
        click.option("--username", help="For the broker."),
        click.option(
            "--password-file", type=click.Path(path_type=Path), help="Holds the password."
        ),
        click.option(
            "--ca", type=click.Path(path_type=Path), help="Who signed the broker [the system's]."
        ),
        click.option("--cert", type=click.Path(path_type=Path), help="The client's certificate."),
        click.option("--key", type=click.Path(path_type=Path), help="Its key."),
        click.option(
            "--client-id",
            default=client_id,
            show_default=True,
            help="The broker keeps what comes for this name; one collector each.",
        ),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


# --- what they mean -------------------------------------------------------------------------------


def archive_path(store: str) -> Path:
    if not store.startswith("sqlite:///") or store == "sqlite:///":
        raise UsageError(f"{store} is no store that is known here", "write sqlite:///FILE")
    return Path(store.removeprefix("sqlite:///"))


def repository_path(given: Path | None) -> Path:
    named = os.environ.get("EDGE_FLEET_REPO")
    if given is None and not named:
        raise UsageError("no repository is named", "say --repo DIR, or set EDGE_FLEET_REPO")
    return given or Path(str(named))


def keyring(folders: Sequence[Path], files: Sequence[str]) -> Keyring:
    """Raises UsageError where no folder is named, or one is not there."""
    from edge_fleet.keys import Keyring

    named = os.environ.get("EDGE_FLEET_KEYS", "").split(os.pathsep)
    folders = folders or [Path(each) for each in named if each]
    if not folders:
        raise UsageError("no keys are named", "say --keys DIR, or set EDGE_FLEET_KEYS")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", "mount the stick, or name another")
    return Keyring(tuple(folders), passphrases(files))


def passphrases(files: Sequence[str]) -> Passphrases:
    """`FILE` for every role, `ROLE=FILE` for one."""
    from edge_fleet.passphrase import Passphrases
    from edge_fleet.roles import ROLES

    found: dict[str, Path] = {}
    for each in files:
        role, equals, file = each.partition("=")
        found[role if equals and role in ROLES else ""] = Path(
            file if equals and role in ROLES else each
        )
    return Passphrases(found)


def broker_address(broker: str, login: dict[str, str | Path | None]) -> Address:
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
