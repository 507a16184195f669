"""What a power cut leaves on a disk: recorded once with strace, cut as often as wanted.

`record` runs a program under strace and keeps every write, truncation, rename and sync below one
folder, and what the program told meanwhile (its stdout and stderr). `Disk` plays that up to a cut
and lays down what may then be on the medium, harsher than any file system is:

- of a file: what a returned fsync covered; of all later writes any sector of 512 bytes alone, old,
  new, torn in its middle or garbage where it was being written;
- of a folder: the names that its own fsync covered; every later creation, renaming or deletion
  may have happened or not, each by itself;
- what memory-mapped files (SQLite's -shm) hold is garbage.

Read `tests/store/test_power_cut.py` for what is then asked of the store.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECTOR = 512
#: strace's names of what changes a disk, and of what a program tells.
CALLS = (
    "openat,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir"
)
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", re.DOTALL)
#: What it was given, where it did not fail; strace pads short lines.
_ANSWER = re.compile(r"(.*)\) += (?![-?])", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})+)>")


@dataclass(slots=True)
class Op:
    """One system call that returned: it may take effect from `start`, and has by `end`."""

    kind: str  # write, truncate, sync, name, unname, folder, open, tell
    path: str
    start: int
    end: int
    offset: int = 0
    data: bytes = b""
    other: str = ""  # the new name of a renaming


@pytest.fixture(scope="session")
def strace() -> str:
    program = shutil.which("strace")
    if program is None:
        pytest.skip("the power cut tests record with strace: sudo apt-get install strace")
    return program


def record(
    strace: str,
    command: Sequence[str | Path],
    folder: Path,
    seconds: float,
    enough: tuple[str, int] | None = None,
) -> Recording:
    """Run the command until it ends, or SIGTERM: after `seconds`, or when it has said `enough`
    (so many lines with these words). What it did below `folder`."""
    log = folder.with_name(f"{folder.name}.strace")
    options = ["-f", "-y", "-xx", "-s", "4000000", "--seccomp-bpf", "-e", f"trace={CALLS}"]
    words = [strace, *options, "-o", str(log), *map(str, command)]
    said: list[str] = []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        listener = threading.Thread(target=_listen, args=(process, said, enough))
        listener.start()
        listener.join(seconds)
        if listener.is_alive():
            _terminate(process)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        listener.join()
    assert log.exists(), "".join(said)
    ops = list(_ops(log, f"{folder}"))
    assert ops, f"nothing was recorded: {''.join(said)[-2000:]}"
    return Recording(ops)


def _listen(
    process: subprocess.Popen[str], said: list[str], enough: tuple[str, int] | None
) -> None:
    """Until the end of the output, which is asked for when there was enough of it."""
    heard = 0
    for line in process.stdout or ():
        said.append(line)
        if enough is not None and enough[0] in line:
            heard += 1
            if heard == enough[1]:
                _terminate(process)


def _terminate(process: subprocess.Popen[str]) -> None:
    for child in _children(process.pid):
        os.kill(child, signal.SIGTERM)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(frozen=True, slots=True)
class Recording:
    """The calls in the order in which they began."""

    ops: list[Op]

    def cuts(self, number: int, chance: random.Random) -> list[int]:
        """Moments between the first and the last call, ascending."""
        first, last = self.ops[0].start, max(op.end for op in self.ops)
        return sorted(chance.randint(first, last) for _ in range(number))


@dataclass(slots=True, eq=False)
class Inode:
    """What is safe, and what was written since."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)
    is_folder: bool = False


class Disk:
    """Plays a recording; `told` is what the program has said so far."""

    def __init__(self, recording: Recording, folder: Path) -> None:
        self._folder = str(folder)
        # A write may reach the disk as soon as it begins, a sync counts when it returned.
        self._events = sorted(
            recording.ops, key=lambda op: op.end if op.kind == "sync" else op.start
        )
        self._next = 0
        root = Inode(is_folder=True)
        self._names: dict[str, Inode] = {self._folder: root}  # as the program sees them
        self._safe: dict[str, Inode] = {self._folder: root}
        self._pending: list[tuple[str, Inode | None, Op]] = []
        self._positions: dict[str, int] = {}
        self.told = ""

    def holds(self, before: Path) -> None:
        """What lay safe in the folder when the recording began, as it lies in a copy of it."""
        for path in sorted(before.rglob("*")):
            name = f"{self._folder}/{path.relative_to(before)}"
            safe = bytearray() if path.is_dir() else bytearray(path.read_bytes())
            self._names[name] = self._safe[name] = Inode(safe, is_folder=path.is_dir())

    def play(self, until: int) -> None:
        """Everything up to that moment. Only forwards."""
        while self._next < len(self._events):
            op = self._events[self._next]
            if (op.end if op.kind == "sync" else op.start) > until:
                return
            self._apply(op)
            self._next += 1

    def lay_down(self, target: Path, chance: random.Random) -> None:
        """What the medium holds when the power fails now, below `target`."""
        shutil.rmtree(target, ignore_errors=True)
        names = dict(self._safe)
        share = chance.choice((0.0, 1.0, chance.random(), chance.random()))
        for path, inode, op in self._pending:
            if chance.random() < share:
                _put(names, path, inode)
                _move(names, path, op)
        for path in sorted(names):
            inode, relative = names[path], path.removeprefix(self._folder).lstrip("/")
            here = target / relative if relative else target
            if relative and not here.parent.is_dir():
                continue  # the folder itself was lost
            if inode.is_folder:
                here.mkdir(exist_ok=True, parents=not relative)
            elif path.endswith("-shm"):
                here.write_bytes(chance.randbytes(32768))
            else:
                here.write_bytes(_survivor(inode, share, chance))

    # --- the calls -------------------------------------------------------------------------------

    def _apply(self, op: Op) -> None:
        match op.kind:
            case "tell":
                self.told += op.data.decode("utf-8", "replace")
            case "open":
                self._positions[op.path] = 0
                if op.path not in self._names:
                    self._name(op.path, Inode(), op)
            case "folder":
                self._name(op.path, Inode(is_folder=True), op)
            case "name":
                moved = self._names[op.path]
                self._name(op.other, moved, op)
                _move(self._names, op.other, op)
                self._name(op.path, None, op)
            case "unname":
                self._name(op.path, None, op)
            case "write" if op.path in self._names:
                if op.offset < 0:  # write(): behind what was written before
                    op.offset = self._positions.get(op.path, 0)
                    self._positions[op.path] = op.offset + len(op.data)
                self._names[op.path].pending.append(op)
            case "truncate" if op.path in self._names:
                self._names[op.path].pending.append(op)
            case "sync" if op.path in self._names:
                self._sync(op)

    def _name(self, path: str, inode: Inode | None, op: Op) -> None:
        _put(self._names, path, inode)
        self._pending.append((path, inode, op))

    def _sync(self, sync: Op) -> None:
        inode = self._names[sync.path]
        if inode.is_folder:
            for path, named, op in self._pending:
                if op.end < sync.start and path.rpartition("/")[0] == sync.path:
                    _put(self._safe, path, named)
                    _move(self._safe, path, op)
            self._pending = [
                each
                for each in self._pending
                if not (each[2].end < sync.start and each[0].rpartition("/")[0] == sync.path)
            ]
            return
        for op in inode.pending:
            if op.end < sync.start:
                _write(inode.safe, op)
        inode.pending = [op for op in inode.pending if op.end >= sync.start]


def _put(names: dict[str, Inode], path: str, inode: Inode | None) -> None:
    if inode is None:
        names.pop(path, None)
    else:
        names[path] = inode


def _move(names: dict[str, Inode], path: str, op: Op) -> None:
    """What lies in a folder that was renamed comes along."""
    if op.kind == "name" and path == op.other:
        for name in [each for each in names if each.startswith(f"{op.path}/")]:
            names[path + name.removeprefix(op.path)] = names.pop(name)


def _write(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    content.extend(bytes(max(0, op.offset - len(content))))
    content[op.offset : op.offset + len(op.data)] = op.data


def _survivor(inode: Inode, share: float, chance: random.Random) -> bytes:
    content = bytearray(inode.safe)
    for op in inode.pending:
        if op.kind == "truncate":
            if chance.random() < share:
                _write(content, op)
            continue
        for offset, piece in _sectors(op):
            fate = chance.random()
            if fate >= share:
                continue
            if chance.random() < 0.03:  # it was being written: torn, or nonsense
                piece = (
                    piece[: chance.randrange(len(piece))]
                    if chance.random() < 0.5
                    else chance.randbytes(len(piece))
                )
            _write(content, Op("write", op.path, 0, 0, offset, piece))
    return bytes(content)


def _sectors(op: Op) -> Iterator[tuple[int, bytes]]:
    at, end = op.offset, op.offset + len(op.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield at, op.data[at - op.offset : until - op.offset]
        at = until


# --- strace's log --------------------------------------------------------------------------------


def _ops(log: Path, folder: str) -> Iterator[Op]:
    """In the order of their beginning."""
    begun: dict[str, tuple[int, str]] = {}
    found: list[Op] = []
    with log.open("r", encoding="ascii") as lines:
        for number, line in enumerate(lines):
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                continue
            thread, resumed, call, rest = match.groups()
            start = number
            if resumed:
                start, head = begun.pop(thread, (number, ""))
                call, rest = resumed, head + rest
            elif rest.endswith("<unfinished ...>"):
                begun[thread] = (number, rest.removesuffix("<unfinished ...>"))
                continue
            told = _ANSWER.match(rest)
            if told is not None:
                found += _op(call, told[1], folder, (start, number))
    found.sort(key=lambda op: op.start)
    yield from found


def _op(call: str, arguments: str, folder: str, when: tuple[int, int]) -> Iterator[Op]:
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
    paths = [text.decode("utf-8", "replace") for text in texts]
    file = _FILE.match(arguments)
    number = file[1] if file else ""
    name = bytes.fromhex(file[2].replace("\\x", "")).decode() if file else ""
    below = name == folder or name.startswith(f"{folder}/")
    if not texts and call in ("openat", "rename", "unlink", "mkdir"):
        return  # strace could not read the name: the process was dying
    match call:
        case "write" if number in ("1", "2") and not below:
            yield Op("tell", number, *when, data=texts[0])
        case "write" if below:
            yield Op("write", name, *when, offset=-1, data=texts[0])
        case "pwrite64" if below:
            yield Op("write", name, *when, offset=int(arguments.rsplit(", ", 1)[1]), data=texts[0])
        case "ftruncate" if below:
            yield Op("truncate", name, *when, offset=int(arguments.rsplit(", ", 1)[1]))
        case "fallocate" if below:
            raise NotImplementedError("fallocate is not played back")
        case "fsync" | "fdatasync" if below:
            yield Op("sync", name, *when)
        case "openat" if paths and paths[0].startswith(f"{folder}/") and "O_CREAT" in arguments:
            yield Op("open", paths[0], *when)
            if "O_TRUNC" in arguments:
                yield Op("truncate", paths[0], *when)
        case "rename" | "renameat" | "renameat2" if paths[0].startswith(f"{folder}/"):
            yield Op("name", paths[0], *when, other=paths[1])
        case "unlink" | "unlinkat" | "rmdir" if paths[0].startswith(f"{folder}/"):
            yield Op("unname", paths[0], *when)
        case "mkdir" | "mkdirat" if paths[0] == folder or paths[0].startswith(f"{folder}/"):
            if paths[0] != folder:
                yield Op("folder", paths[0], *when)
