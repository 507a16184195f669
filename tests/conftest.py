"""What every test may use: the real models, pictures and video, where they are at hand."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["broker", "cameras", "manager", "power_cut", "running", "shifted_clock"]

# A busy machine is no fault of the code: laws have no deadline, timings decide nothing. CI tries
# the same examples each time, so that it judges the change; elsewhere new ones are looked for.
settings.register_profile("edge", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("edge")

# A shell that starts the tests in the background has SIGINT ignored, and every child inherits that:
# then the tests that press ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: (points that run, points there are); with xdist the workers count and tell the controller.
POINTS = pytest.StashKey[tuple[int, int]]()


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long forms run only where they are asked for: make acceptance. It runs what takes
    longest first, and whatever docs/promise.md names, which bears the mark `promise` for it."""
    asked = config.getoption("-m") or ""
    if "promise" in asked:
        shown = promised(config.rootpath / "docs" / "promise.md")
        for item in items:
            if item.nodeid.startswith(shown):
                item.add_marker(pytest.mark.promise)
    if "acceptance" in asked:
        items.sort(key=minutes, reverse=True)
        return
    long = [item for item in items if item.get_closest_marker("acceptance")]
    config.stash[POINTS] = (len(items) - len(long), len(items))
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def promised(page: Path) -> tuple[str, ...]:
    """The files and folders of tests that show what the page promises."""
    return tuple(sorted(set(re.findall(r"tests/[a-z_/]+(?:\.py)?", page.read_text("utf-8")))))


def minutes(item: pytest.Item) -> float:
    """About how long it takes, where its mark says so."""
    mark = item.get_closest_marker("acceptance")
    return float(mark.kwargs.get("minutes", 0.5)) if mark is not None else 0.0


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["points"] = session.config.stash.get(POINTS, (0, 0))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[POINTS] = tuple(getattr(node, "workeroutput", {}).get("points", (0, 0)))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    short, all_points = config.stash.get(POINTS, (0, 0))
    if short < all_points:
        terminalreporter.write_line(
            f"ran the short form: {short} of {all_points} points; all of them: make acceptance"
        )


#: Real models and video stand beside the checkout; a user's machine does not have them.
REALDATA = Path(
    os.environ.get("EDGE_AGENT_REALDATA", Path(__file__).parents[1] / "../shared/realdata")
)


@pytest.fixture(scope="session")
def realdata() -> Callable[[str], Path]:
    """`realdata("models/vww_96_int8.tflite")`: the path, or the test skips and says why."""

    def find(name: str) -> Path:
        path = (REALDATA / name).resolve()
        if not path.exists():
            pytest.skip(f"no real data here ({name}); set EDGE_AGENT_REALDATA to its folder")
        return path

    return find
