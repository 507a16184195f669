"""A bare .tflite as a bundle: the guesses stand in for the manifest that nobody wrote."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from edge_agent.bundles.anatomy import dissect, model_bytes
from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.guess import NO_WISH, Wish, guess
from edge_agent.bundles.manifest import NAME_LENGTH, as_manifest


def open_bare(path: Path, wish: Wish = NO_WISH) -> Bundle:
    """The model as a bundle whose `guessed` names every default.

    Raises UsageError when the file cannot be read, Refused when it is no model or of no family.
    """
    content = model_bytes(path)
    anatomy = dissect(content, path.name)
    found = guess(anatomy, path.name, wish)
    manifest = as_manifest(
        {
            "name": bundle_name(wish.name or path.stem),
            "version": "0",
            "family": found.family,
            "input": found.input,
            "output": found.output,
            "labels": found.labels,
            "min_score": found.min_score,
            "sha256": hashlib.sha256(content).hexdigest(),
            "requires": {"ops": anatomy.operators},
            "source": path.name,
        }
    )
    return Bundle(path.parent, path, manifest, found.labels, found.guessed)


def bundle_name(text: str) -> str:
    """Any text as a bundle's name: letters of every script, digits, `_`, `.` and `-`."""
    text = unicodedata.normalize("NFC", text)
    return re.sub(r"[^\w.-]+", "-", text)[:NAME_LENGTH].strip("-.") or "model"
