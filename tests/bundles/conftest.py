"""A bundle that always exists: a copy of the shipped detector, to be damaged at will."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from edge_agent.bundles.shipped import shipped_folders

Change = Callable[..., None]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle's folder, ours to change."""
    folder = tmp_path / "copy"
    shutil.copytree(shipped_folders()["scene-detector"], folder)
    return folder


@pytest.fixture
def change(bundle: Path) -> Change:
    """`change(name="yard", input={...})`: the manifest of `bundle` with other values."""

    def write(**values: object) -> None:
        path = bundle / "manifest.yaml"
        manifest = yaml.safe_load(path.read_text("utf-8")) | values
        path.write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")

    return write
