"""A bundle that was opened: its files are there, its hash is right, its labels are read.

What the tensors say is joined in `spec`, once an engine has loaded the model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from edge_agent import __version__
from edge_agent.bundles.agreement import check_input, check_labels
from edge_agent.bundles.manifest import Manifest
from edge_agent.bundles.manifest_file import read_labels, read_manifest
from edge_agent.config.part import plain
from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Version
from edge_agent.types import ModelSpec, Numbers, TensorSpec

MODEL = "model.tflite"
MANIFEST = "manifest.yaml"
LABELS = "labels.txt"
GOLDEN = "golden.npz"
CARD = "CARD.md"
FILES = (MODEL, MANIFEST, LABELS, GOLDEN, CARD)


@frozen
class Bundle:
    """A model with everything that is known of it. `shipped` ones came with the package."""

    folder: Path
    model: Path
    manifest: Manifest
    labels: tuple[str, ...]
    guessed: Numbers = field(default_factory=dict)
    shipped: bool = False

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def what(self) -> Version:
        """What tells it from other versions of its name."""
        return Version(self.manifest.version, self.manifest.sha256)

    @property
    def bare(self) -> bool:
        """Whether it is a lone .tflite, of which something is always guessed."""
        return bool(self.guessed)

    def spec(self, main_input: TensorSpec, outputs: Sequence[TensorSpec]) -> ModelSpec:
        """Join manifest and tensors. Raises Refused where they contradict one another."""
        check_input(self.name, self.manifest.input, main_input)
        check_labels(self.manifest, self.labels, outputs)
        return ModelSpec(
            name=self.manifest.name,
            version=self.manifest.version,
            family=self.manifest.family,
            sha256=self.manifest.sha256,
            input=self.manifest.input.spec(),
            input_tensor=main_input,
            output_tensors=tuple(outputs),
            labels=self.labels,
            # Means of raw tensors may be of any size and sign: all of them are findings.
            min_score=-math.inf if self.manifest.family == "generic" else self.manifest.min_score,
            output=plain(self.manifest.output),
            guessed=self.guessed,
        )


def open_bundle(folder: Path, *, shipped: bool = False) -> Bundle:
    """Open a bundle's folder. Raises Refused when a file is missing, the hash is another, or the
    bundle is for a newer agent."""
    for name in (MODEL, MANIFEST):
        if not (folder / name).is_file():
            raise Refused(
                f"{folder.name or folder} is no model bundle: it has no {name}",
                "give a bundle's folder, its .tar, or a .tflite",
            )
    manifest = read_manifest(folder / MANIFEST)
    _check_agent(manifest)
    actual = sha256_of(folder / MODEL)
    if actual != manifest.sha256:
        raise Refused(
            f"model {manifest.name} is damaged: its SHA-256 is {actual[:12]}…, "
            f"the manifest says {manifest.sha256[:12]}…",
            "install it again",
        )
    labels = read_labels(folder, manifest)
    return Bundle(folder, folder / MODEL, manifest, labels, shipped=shipped)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_agent(manifest: Manifest) -> None:
    least = manifest.requires.agent.removeprefix(">=")
    if _numbers(__version__) < _numbers(least):
        raise Refused(
            f"model {manifest.name} needs edge-agent {least} or newer, this is {__version__}",
            "update the agent, or choose an older version of the model",
        )


def _numbers(version: str) -> tuple[int, ...]:
    """0.10 is (0, 10, 0): it comes after 0.9."""
    parts = [int(part) for part in version.split(".")[:3] if part.isdigit()]
    return (*parts, 0, 0, 0)[:3]
