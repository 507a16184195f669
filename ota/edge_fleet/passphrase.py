"""Where the passphrase of a key comes from: a file, the environment, systemd, or the person.

Rules: never an argument (every user of a machine reads those); the first of these that says one is
taken: `--passphrase-file`, EDGE_FLEET_PASSPHRASE, a systemd credential `edge-fleet-ROLE` or
`edge-fleet`, the terminal. A new one has at least twelve letters. Read `keys.py` next.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from edge_agent.errors import UsageError

SHORTEST = 12
VARIABLE = "EDGE_FLEET_PASSPHRASE"


@dataclass(slots=True)
class Passphrases:
    """`files`: by role; "" is for every role. What was typed is asked for once.

    `salt` goes with all keys that are sealed with these.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    _typed: dict[str, bytes] = field(default_factory=dict, repr=False)

    def of(self, role: str, *, new: bool = False) -> bytes:
        """Raises UsageError where there is none, or a new one is too short."""
        found = self._stated(role)
        if found is None:
            found = self._ask(role, new)
        if new and len(found.decode("utf-8", "replace")) < SHORTEST:
            raise UsageError(
                f"the passphrase of the {role} key has fewer than {SHORTEST} letters",
                "take some words that nobody guesses",
            )
        return found

    def _stated(self, role: str) -> bytes | None:
        file = self.files.get(role) or self.files.get("")
        if file is not None:
            return _line(file)
        if os.environ.get(VARIABLE):
            return os.environ[VARIABLE].encode()
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        for name in (f"edge-fleet-{role}", "edge-fleet") if folder else ():
            if (path := Path(str(folder)) / name).is_file():
                return _line(path)
        return None

    def _ask(self, role: str, new: bool) -> bytes:
        kind = "new" if new else "old"
        if f"{kind} {role}" not in self._typed:
            if not sys.stdin.isatty():
                raise UsageError(
                    f"there is no passphrase for the {role} key",
                    f"say --passphrase-file FILE, or set {VARIABLE}",
                )
            text = click.prompt(
                f"Passphrase of the {role} key", hide_input=True, confirmation_prompt=new, err=True
            )
            self._typed[f"{kind} {role}"] = str(text).encode()
        return self._typed[f"{kind} {role}"]


def _line(path: Path) -> bytes:
    """The first line of a file. Raises UsageError where it says nothing."""
    try:
        first = path.read_bytes().partition(b"\n")[0].rstrip(b"\r")
    except OSError as fault:
        raise UsageError(f"{path}: {os.strerror(fault.errno or 0)}", "check its name") from None
    if not first:
        raise UsageError(f"{path} holds no passphrase", "write one into its first line")
    return first
