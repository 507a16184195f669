"""A secret: the configuration says where it lies, and only the one who uses it reads it.

Rules: a secret has two forms, `${file:NAME}` (a file, relative to the configuration) and
`${credential:NAME}` (systemd's LoadCredential). Neither `repr` nor `str` shows the value, and
the value is read anew each time, so it is never kept. Read `load.py` next.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, cast

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

_FORM = re.compile(r"\$\{(file|credential):([^{}\0]+)\}")
HOW_TO_WRITE = '"${file:NAME}" (a file beside this one) or "${credential:NAME}" (systemd)'
_NO_PLAIN_TEXT = f"a secret never stands here in plain text, allowed: {HOW_TO_WRITE}"


@frozen
class Secret:
    """Where a secret lies. `name` is a file name or the name of a systemd credential."""

    kind: Literal["file", "credential"]
    name: str
    beside: Path  # the folder of the configuration

    @classmethod
    def parse(cls, text: object, beside: Path) -> Secret:
        """Raises ValueError, with a sentence that never repeats what stands there."""
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(_NO_PLAIN_TEXT)
        kind, name = match.groups()
        if kind == "credential" and "/" in name:
            raise ValueError('the name of a credential has no "/"')
        return cls(cast(Literal["file", "credential"], kind), name, beside)

    @classmethod
    def named_in(cls, text: str, beside: Path) -> tuple[Secret, ...]:
        """Every one that a text refers to, whatever else is wrong with it."""
        return tuple(
            cls(cast(Literal["file", "credential"], kind), name, beside)
            for kind, name in _FORM.findall(text)
            if kind == "file" or "/" not in name
        )

    def __str__(self) -> str:
        return f"${{{self.kind}:{self.name}}}"

    @property
    def path(self) -> Path | None:
        """The file that holds it; None for a credential outside of systemd."""
        if self.kind == "file":
            return self.beside / os.path.expanduser(self.name)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        return Path(folder) / self.name if folder else None

    @property
    def exposed(self) -> bool:
        """Whether every user of this machine may read the file."""
        path = str(self.path or "")
        return os.path.isfile(path) and bool(os.stat(path).st_mode & 0o004)

    def reveal(self) -> str:
        """The value, without the line end that editors add. Raises UsageError."""
        path = self.path
        if path is None:
            raise UsageError(
                f"the credential {self.name} is there only when systemd starts the agent",
                f"add LoadCredential={self.name}:FILE to the unit, or use ${{file:NAME}}",
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            why = getattr(fault, "strerror", None) or "it is not text"
            raise UsageError(
                f"the secret {self} cannot be read: {why} ({path})", f"check the file {path}"
            ) from None
        return text.rstrip("\r\n")
