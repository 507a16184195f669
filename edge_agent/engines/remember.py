"""What this board has learned about models: small JSON files in the state directory.

Rules: written whole and swapped in by rename, so a power cut leaves the old or the new; a file
that is absent, unreadable or damaged means that nothing is known: that costs a repetition, never a
stop.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def recall(file: Path) -> dict[str, Any]:
    """The document in `file`; {} where none can be read."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def keep(file: Path, document: dict[str, Any]) -> None:
    """Replace `file` by `document`. Raises OSError when the directory cannot be written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(document, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        os.replace(draft, file)
    except BaseException:
        os.unlink(draft)
        raise
