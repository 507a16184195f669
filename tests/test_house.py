"""The rules of the house that import-linter cannot name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.service.ledger import frames_row
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch
from edge_agent.types import Ledger

PACKAGE = Path(__file__).parents[1] / "edge_agent"
CORE = sorted([*PACKAGE.glob("pipeline/**/*.py"), *PACKAGE.glob("policy/**/*.py")])
DESK = PACKAGE.parent / "ota" / "edge_fleet"
ALL = sorted([*PACKAGE.glob("**/*.py"), *DESK.glob("**/*.py")])

#: cv2 may calculate in the core, but never read or write.
FORBIDDEN = {"VideoCapture", "VideoWriter", "imread", "imwrite", "open", "print", "now", "today"}
#: Homes for functions without a home.
NO_HOMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
LONGEST_FUNCTION = 80
MOST_PARAMETERS = 5


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_touches_nothing_outside(path: Path) -> None:
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & FORBIDDEN


def test_frozen_classes_are_made_cheaply() -> None:
    """`edge_agent/frozen.py` says what it is for: hundreds of them are made at every start."""
    dear = re.compile(r"^ *@dataclass\(.*frozen=True", re.MULTILINE)
    found = [path for path in PACKAGE.glob("**/*.py") if dear.search(path.read_text("utf-8"))]
    assert [str(path.relative_to(PACKAGE)) for path in found] == []


def test_functions_are_short_and_take_few_parameters() -> None:
    long, wide = [], []
    for path in ALL:
        for function in functions(path):
            where = f"{path.relative_to(PACKAGE.parent)}:{function.lineno} {function.name}"
            if (function.end_lineno or 0) - function.lineno + 1 > LONGEST_FUNCTION:
                long.append(where)
            takes = [
                argument.arg
                for argument in (*function.args.args, *function.args.kwonlyargs)
                if argument.arg not in ("self", "cls")
            ]
            # A click command's parameters are its options: the person's, not ours.
            command = any("command" in ast.dump(each) for each in function.decorator_list)
            if len(takes) > MOST_PARAMETERS and not command:
                wide.append(f"{where} takes {len(takes)}")
    assert long == []
    assert wide == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(PACKAGE.parent))
        for path in ALL
        if path.read_text("utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_no_file_is_a_home_for_the_homeless() -> None:
    assert not {path.stem for path in ALL} & NO_HOMES


#: None of these is needed to read the store.
HEAVY = ("cv2", "numpy", "paho", "pydantic", "rich", "yaml", "difflib", "click.shell_completion")


@pytest.mark.parametrize(
    "command", ["events list", "why --pipeline p --at 1970-01-01T00:00:30Z", "status"]
)
def test_what_only_reads_the_store_loads_little(command: str, tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.start()
        store.record(Batch(frames=(frames_row("p", (0.0, 60.0), Ledger()),)))
    code = (
        "import sys; from edge_agent.cli import obey; assert obey(sys.argv[1:]) == 0;"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split(), "--state", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("command", ["version", "--help", "replay --help", "status --help"])
def test_what_asks_little_loads_little(command: str) -> None:
    """A tired person on a slow board: no cv2, numpy, paho or pydantic for a version."""
    code = (
        "import sys; from edge_agent.cli import obey; obey(sys.argv[1:]);"
        "print(','.join(m for m in ('cv2', 'numpy', 'paho', 'pydantic') if m in sys.modules),"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""
    assert done.stdout
