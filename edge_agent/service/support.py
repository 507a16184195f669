"""`edge-agent support-bundle`: all that helps somebody far away to find a fault, in one file.

Rules: no secret leaves, whatever wrote it down (`policy/secrecy.py`): every text goes through the
scrubber, which knows the secrets of the configuration, of the environment and of systemd. There are
no pictures unless asked for. What cannot be had says why in its place, and the rest goes on. The
file is there whole or not at all, for its owner alone.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from edge_agent import __version__
from edge_agent.config.load import read
from edge_agent.config.secret import Secret
from edge_agent.durable import durable
from edge_agent.errors import EdgeError, UsageError, kind_of
from edge_agent.frozen import frozen
from edge_agent.policy.documents import dump, rfc3339
from edge_agent.policy.secrecy import Scrubber, is_secret_name, secrets_in
from edge_agent.service.doctor_finding import Case
from edge_agent.service.support_members import MEMBERS, files_over, log_tail, pictures, tables

MANIFEST = "MANIFEST"
#: Of a text the end is kept, of pictures the newest.
MOST_TEXT = 2_000_000
MOST_PICTURES = 100_000_000


@frozen
class Wish:
    """What the person asks for. `log`: a file, where the log does not go to the journal."""

    out: Path
    pictures: bool = False
    log: Path | None = None


@frozen
class Member:
    """One file of the bundle."""

    name: str
    about: str
    content: bytes


def make(case: Case, wish: Wish) -> tuple[Member, ...]:
    """Write the bundle; what is in it, the manifest first.

    Raises NoRoom where the disk is full (nothing is left then), EdgeError for what else it refuses.
    """
    scrubber = Scrubber(known_secrets(case))
    members = [_scrubbed(member, scrubber) for member in _texts(case, wish)]
    if wish.pictures:
        members += [
            Member(f"pictures/{name}", "evidence, as it was kept", content)
            for name, content in pictures(case, MOST_PICTURES)
        ]
    whole = (_manifest(case, members), *members)
    _write(wish.out, whole)
    return whole


def known_secrets(case: Case) -> Iterator[str]:
    """Of the configuration, right or wrong, of the environment, and what systemd hands over."""
    for file in (case.path, *files_over(case)):
        yield from secrets_in(read(file).data)
    with suppress(OSError):  # no configuration, no secret of it
        text = case.path.read_text("utf-8", "replace")
        for secret in Secret.named_in(text, case.path.absolute().parent):
            with suppress(EdgeError):  # what we cannot read stands in nothing that we write
                yield secret.reveal()
    for name, value in os.environ.items():
        if is_secret_name(name) and value:
            yield value
        yield from secrets_in(value)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    for path in sorted(Path(folder).glob("*")) if folder else ():
        with suppress(OSError, UnicodeDecodeError):
            yield path.read_text("utf-8").rstrip("\r\n")


# --- below ---------------------------------------------------------------------------------------


def _texts(case: Case, wish: Wish) -> Iterator[Member]:
    """Every text, as it is: not yet for other people's eyes."""
    for name, (about, collect) in MEMBERS.items():
        yield Member(name, about, _told(name, lambda collect=collect: collect(case)))  # type: ignore[misc]
    yield Member(
        "log.txt", "the end of the agent's log", _told("log.txt", lambda: log_tail(wish.log))
    )
    try:
        for name, text in tables(case):
            yield Member(f"tables/{name}.jsonl", "the newest rows of a table", text.encode())
    except EdgeError as fault:
        yield Member("tables/NONE", "why no table is here", fault.in_one_line.encode())


def _told(name: str, collect: Callable[[], str]) -> bytes:
    """What it gives, or the sentence that says why there is none."""
    try:
        return collect().encode("utf-8", "replace")
    except EdgeError as fault:
        reason = fault.in_one_line
    except OSError as fault:
        reason = f"{fault.filename}: {fault.strerror}"
    told = dump({"not_there": reason}) if name.endswith(".json") else f"not there: {reason}"
    return told.encode("utf-8", "replace")


def _scrubbed(member: Member, scrubber: Scrubber) -> Member:
    """JSON stays JSON because its members were scrubbed as documents when they are one."""
    text = member.content.decode("utf-8", "replace")
    if len(text) > MOST_TEXT:
        text = f"(only the end of it)\n{text[-MOST_TEXT:]}"
    return Member(member.name, member.about, scrub(text, member.name, scrubber).encode())


def scrub(text: str, name: str, scrubber: Scrubber) -> str:
    """One file's text. JSON, and JSON a line, are taken apart and put together again."""
    if not name.endswith((".json", ".jsonl")):
        return scrubber.text(text)
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.dumps(scrubber.document(json.loads(line)), ensure_ascii=False))
        except ValueError:
            lines.append(scrubber.text(line))
    return "".join(f"{line}\n" for line in lines)


def _manifest(case: Case, members: list[Member]) -> Member:
    now = case.here.clock.now() + case.here.clock.wall_offset()
    with_pictures = any(member.name.startswith("pictures/") for member in members)
    lines = [
        f"edge-agent {__version__} support bundle, made {rfc3339(now)}",
        "Secrets are replaced by ***. "
        + ("It holds pictures." if with_pictures else "It holds no pictures."),
        "",
        *(f"{len(member.content):>10}  {member.name}  ({member.about})" for member in members),
    ]
    return Member(MANIFEST, "this list", ("\n".join(lines) + "\n").encode())


def _write(out: Path, members: tuple[Member, ...]) -> None:
    """Beside its place first, so that nobody takes half of one for a whole."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        with (
            durable(out) as draft,
            os.fdopen(os.open(draft, flags, 0o600), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as archive,
        ):
            for member in members:
                archive.addfile(_entry(member), io.BytesIO(member.content))
    except OSError as fault:
        if (kind := kind_of(fault)) is EdgeError:
            raise UsageError(f"{out}: {fault.strerror}", "name another place: --out FILE") from None
        reason = f"{out} cannot be written: {fault.strerror}"
        raise kind(reason, "name another place: --out FILE") from None


def _entry(member: Member) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"edge-agent-support/{member.name}")
    entry.size, entry.mode, entry.mtime = len(member.content), 0o600, int(time.time())
    return entry
