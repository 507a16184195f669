"""A figure, its limit and the verdict: what the benchmarks print, and what `table.py` collects.

A benchmark calls `tell` for each line that it stands for. Run by hand it prints; run by `table.py`
it also appends one JSON line to the file that the variable FIGURES names.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COLLECT = "FIGURES"
#: An installed agent has its bytecode; a developer's shell may forbid it, and each start compiles.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `least`: the limit is a lower one."""

    line: str
    value: float
    limit: float
    unit: str = ""
    least: bool = False

    @property
    def holds(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        bound = f"{'>=' if self.least else '<='} {number(self.limit)}"
        value = f"{number(self.value)} {self.unit}".rstrip()
        return self.line, value, bound, "holds" if self.holds else "SHORT"


def number(value: float) -> str:
    """Three digits that say something, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def tell(line: str, value: float, limit: float, unit: str = "", *, least: bool = False) -> None:
    """Print one figure with its verdict, and hand it to the table if there is one."""
    figure = Figure(line, value, limit, unit, least)
    line, shown, bound, verdict = figure.row()
    print(f"{line}: {shown} ({bound}) {verdict}", flush=True)
    if target := os.environ.get(COLLECT):
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure)) + "\n")


def collected(file: Path) -> list[Figure]:
    """What was told into that file."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    return [Figure(**line) for line in lines]
