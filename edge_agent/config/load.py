"""A file becomes a `Config`, or a list of everything that is wrong with it.

The way: bytes -> text -> plain values with marks (`yaml_text`) -> the schema's types (`schema`,
`mistakes`) -> what keys must say of one another (`agreement`). Every mistake of all steps is
reported, in the order of the file. Read `explain.py` next: what the pipeline makes of a `Config`.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_agent.config.agreement import agreement_faults
from edge_agent.config.known import part_of
from edge_agent.config.mistakes import schema_faults
from edge_agent.config.part import Invalid
from edge_agent.config.schema import Config
from edge_agent.config.secret import Secret
from edge_agent.config.wording import dotted, printable
from edge_agent.config.yaml_text import Fault, Marks, Tree, parse
from edge_agent.config.yaml_text import Path as Where
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

MAX_BYTES = 1_000_000


@frozen
class Mistake:
    """One thing that is wrong: `file:line:column: path: what, what is allowed`."""

    file: str
    line: int
    column: int
    path: str  # "" where the whole file is meant
    message: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {path}{self.message}"


@frozen
class Loaded:
    """What one file holds. `config` is there exactly when there are no mistakes."""

    config: Config | None
    mistakes: tuple[Mistake, ...]
    marks: Marks
    warnings: tuple[Mistake, ...] = ()  # what works, and should not stay so
    data: object = None  # the plain values, for whoever checks more than the file alone


def load(path: Path) -> Config:
    """The configuration in `path`. Raises UsageError with the first mistake and their number."""
    loaded = read(path)
    if loaded.config is None:
        raise refusal(path, loaded.mistakes)
    return loaded.config


def read(path: Path, beside: Path | None = None) -> Loaded:
    """The configuration in `path`, or every mistake in it. Never raises for what stands there.

    Files that it names lie in `beside`; by default in its own folder.
    """
    return judged(path, tree_of(path, "a configuration"), beside or path.absolute().parent)


def tree_of(path: Path, what: str) -> Tree:
    """The plain values of a file that should hold `what`."""
    text = text_of(path, what)
    return parse(text) if isinstance(text, str) else Tree(None, Marks(), (text,))


def judged(path: Path, tree: Tree, beside: Path) -> Loaded:
    """The configuration that those values are, or every mistake in them."""
    faults = list(tree.faults)
    config = None
    if tree.data is not None:
        try:
            config = part_of(Config, tree.data, beside)
        except Invalid as error:
            faults += schema_faults(error, tree.data, tree.marks)
        faults += agreement_faults(tree.data, tree.marks)
    mistakes = in_file_order(mistake(path, fault, tree.marks) for fault in faults)
    if mistakes or config is None:
        return Loaded(None, mistakes, tree.marks, data=tree.data)
    warnings = tuple(mistake(path, fault, tree.marks) for fault in _exposed_secrets(config))
    return Loaded(config, (), tree.marks, warnings, tree.data)


def mistake(path: Path, fault: Fault, marks: Marks) -> Mistake:
    """A fault with its place in the file, which is `path` unless another was laid over it."""
    line, column = fault.place or marks.at(fault.path)
    file = printable(marks.file(fault.path) or str(path))
    return Mistake(file, line, column, dotted(fault.path), fault.message)


def in_file_order(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """Each once, from the top of each file to its end."""
    once = dict.fromkeys(mistakes)
    return tuple(sorted(once, key=lambda each: (each.file, each.line, each.column)))


def refusal(path: Path, mistakes: tuple[Mistake, ...], next_step: str = "") -> UsageError:
    """The first mistake as an error, with the number of the others."""
    more = len(mistakes) - 1
    others = f" (and {more} more mistake{'s' * (more > 1)})" if more else ""
    return UsageError(f"{mistakes[0]}{others}", next_step or f"edge-agent check -c {path}")


def secrets_of(config: Config) -> dict[Where, Secret]:
    """Every secret that it names, by its place."""
    found: dict[Where, Secret | None] = {
        ("sources", name, "password"): getattr(source, "password", None)
        for name, source in config.sources.items()
    }
    if config.mqtt is not None:
        found["mqtt", "password"] = config.mqtt.password
    return {where: secret for where, secret in found.items() if secret is not None}


def _exposed_secrets(config: Config) -> Iterator[Fault]:
    for where, secret in secrets_of(config).items():
        if secret.exposed:
            message = f"every user of this machine may read {secret.path} (chmod o-r helps)"
            yield Fault(where, message)


# --- below: the bytes ----------------------------------------------------------------------------


def text_of(path: Path, what: str) -> str | Fault:
    """The text of a file that should hold `what`, or why there is none."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _whole_file(f"is a folder, {what} is one file")
        if not stat.S_ISREG(status.st_mode):
            return _whole_file("is no ordinary file")
        if status.st_size > MAX_BYTES:
            return _whole_file(f"has {status.st_size} bytes, {what} has at most a million")
        content = path.read_bytes()
    except FileNotFoundError:
        return _whole_file("there is no such file")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return _whole_file(f"cannot be read: {reason}")
    return _decoded(content)


def _decoded(content: bytes) -> str | Fault:
    zero = content.find(b"\0")
    if zero >= 0:
        return Fault((), "is binary, byte 0x00 stands here", _place(content, zero))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{content[error.start]:02x} is not UTF-8, save the file as UTF-8"
        return Fault((), byte, _place(content, error.start))


def _place(content: bytes, position: int) -> tuple[int, int]:
    before = content[:position]
    start = before.rfind(b"\n") + 1
    return before.count(b"\n") + 1, len(before[start:].decode("utf-8", "replace")) + 1


def _whole_file(message: str) -> Fault:
    return Fault((), message, (1, 1))
