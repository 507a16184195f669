"""Hatchling's hook: the wheel says when it was built, for `edge_agent/updates/built.py`.

A reproducible build sets SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuiltHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        moment = os.environ.get("SOURCE_DATE_EPOCH") or str(int(time.time()))
        file = Path(self.directory) / "_built.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(moment, "utf-8")
        build_data["force_include"][str(file)] = "edge_agent/_built.txt"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        (Path(self.directory) / "_built.txt").unlink(missing_ok=True)
