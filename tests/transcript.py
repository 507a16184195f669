"""A document's commands, run in order by one shell, and what they say beside what is written.

    python tests/transcript.py docs/guide-model-rollout.md   # the commands, and what they say here

In a `console` block `$ ` begins a command, the lines below are what it says, stdout and stderr as a
person sees them. `…` stands for what changes, within its line; a line that is `…` alone for any
lines. A `yaml` block that begins with `# NAME.yaml` is a file that is written as it is.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from edge_agent.frozen import frozen

ANY = "…"
#: What only looks is asked again until it says what is written, or for so long.
PATIENCE_S = 90.0
LOOKS = re.compile(
    r"edge-(agent ((models|policies) list|ota status|events list|status)|fleet \w+ status)\b"
)


@frozen
class Command:
    line: str
    says: tuple[str, ...]


@frozen
class File:
    name: str
    text: str


def steps(text: str) -> Iterator[Command | File]:
    """What a reader does with a document, in order."""
    for kind, block in re.findall(
        r"^```(console|yaml)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    ):
        if kind == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                line, *says = part.splitlines()
                yield Command(line, tuple(says))
        elif named := re.match(r"# ([\w.-]+\.yaml)\n", block):
            yield File(named[1], block)


def commands(text: str) -> list[str]:
    return [each.line for each in steps(text) if isinstance(each, Command)]


def fits(written: tuple[str, ...], said: str) -> bool:
    """Is that what was said? Space at the ends of lines is nobody's business."""
    pattern = ""
    for line in written:
        if line.strip() == ANY:
            pattern += r"(?:.*\n)*?"
        else:
            parts = (re.escape(part) for part in line.rstrip().split(ANY))
            pattern += r"[^\n]*?".join(parts) + r"[ ]*\n"
    return re.fullmatch(pattern, said) is not None


class Shell:
    """One bash in a folder, as a person has one open. Its jobs end with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._read, write = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=write,
            stderr=write,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        os.close(write)
        self._count = 0

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        os.close(self._read)

    def run(self, line: str, patience_s: float = 300) -> tuple[int, str]:
        """Exit code, and what was said."""
        self._count += 1
        mark = f"<end of {self._count}>"
        assert self._bash.stdin is not None
        # `( exit )` keeps what `$?` is for the next line
        end = f"code=$?; printf '%s %s\\n' '{mark}' $code; ( exit $code )"
        self._bash.stdin.write(f"{line}\n{end}\n".encode())
        self._bash.stdin.flush()
        said = self._until(mark, time.monotonic() + patience_s)
        text, _, code = said.rpartition(mark)
        return int(code), text

    def _until(self, mark: str, until: float) -> str:
        said = b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._read, selectors.EVENT_READ)
            while not re.search(rf"{re.escape(mark)} \d+\n", said.decode(errors="replace")):
                if not waiting.select(max(0.0, until - time.monotonic())):
                    raise AssertionError(f"no end after: {said.decode(errors='replace')}")
                said += os.read(self._read, 65536)
        return said.decode()


def follow(text: str, folder: Path, shell: Shell) -> Iterator[tuple[Command, str]]:
    """Do what a document says; each command, and what it said."""
    for step in steps(text):
        if isinstance(step, File):
            (folder / step.name).write_text(step.text, "utf-8")
            continue
        until = time.monotonic() + PATIENCE_S
        while True:
            _, said = shell.run(step.line)
            again = LOOKS.match(step.line) and not fits(step.says, said)
            if not again or time.monotonic() > until:
                break
            time.sleep(0.3)
        yield step, said


def programs(folder: Path) -> dict[str, str]:
    """`edge-agent` and `edge-fleet` of this checkout as programs: what makes a shell find them."""
    folder.mkdir()
    for module in ("edge_agent", "edge_fleet"):
        path = folder / module.replace("_", "-")
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        path.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


if __name__ == "__main__":
    from desk import ROOT, surroundings

    PATIENCE_S = float(os.environ.get("PATIENCE_S", "10"))
    with tempfile.TemporaryDirectory() as made:
        home, bare = Path(made) / "home", Path(made) / "bin"
        shutil.copytree(ROOT / "models/scene-detector", home / "scene-detector")
        with Shell(home, {**surroundings(home), **programs(bare)}) as bash:
            for command, said in follow(Path(sys.argv[1]).read_text("utf-8"), home, bash):
                as_written = "" if fits(command.says, said) else "  # NOT AS WRITTEN"
                print(f"$ {command.line}{as_written}\n{said}", end="", flush=True)
