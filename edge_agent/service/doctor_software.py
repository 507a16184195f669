"""Do the installed versions fit together, and does an engine really answer?

tflite-runtime 2.14 needs numpy below 2 and does not say so in its metadata: pip is content, the
import works, and the first `Interpreter` dies. So it is looked for by name.
docs/decisions/0001-two-sets-of-versions.md
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from typing import Any

from edge_agent import __version__
from edge_agent.bundles.find import find
from edge_agent.engines import RUNTIMES, EngineName, Plan, available, version
from edge_agent.engines.child import At, Limits, call
from edge_agent.engines.isolate import Question, probe
from edge_agent.errors import EdgeError
from edge_agent.service.doctor_finding import Case, Here, Said, fail, ok, shell, warn

#: Python versions that the whole set of tests runs on, and the oldest that works at all.
TESTED = ((3, 11), (3, 12), (3, 13))
#: The model that every installation has.
SHIPPED = "scene-detector"
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_IMPORT_S = 20.0


def versions(case: Case) -> Iterator[Said]:
    """Python, numpy, OpenCV and the engines; each thing that does not fit, else what is there."""
    installed = _installed(case.here)
    faults = [*_python_faults(), *_engine_faults(installed), *_opencv_faults(installed)]
    if case.here.packages is None:
        faults += _import_faults()
    yield from faults
    if not faults:
        there = [f"{name} {installed[name]}" for name in _SHOWN if name in installed]
        yield ok(
            ", ".join([f"edge-agent {__version__}", f"Python {platform.python_version()}", *there])
        )


def engine(case: Case) -> Iterator[Said]:
    """Each installed engine runs the shipped model, in a process of its own."""
    engines = available()
    if not engines:
        yield fail("no engine is installed", _pip("ai-edge-litert"))
    bundle = find(SHIPPED, None, case.path.absolute().parent)
    for name in engines:
        try:
            answer = probe(bundle.model, Plan(name), Question(seconds=25.0))
        except EdgeError as fault:
            yield fail(fault.message, _reinstall(name), name)
        else:
            speed = f"{answer.invoke_ms:.2f} ms an invoke"
            yield ok(f"{version(name)} runs {bundle.name} {bundle.manifest.version}, {speed}", name)


# --- below ---------------------------------------------------------------------------------------

_SHOWN = ("numpy", *OPENCV, *(distribution for _, distribution in RUNTIMES.values()), "paho-mqtt")


def _installed(here: Here) -> dict[str, str]:
    """Distribution -> version, of those that matter here."""
    where: dict[str, Any] = {} if here.packages is None else {"path": list(here.packages)}
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions(**where):
        name = (each.metadata["Name"] or "").lower().replace("_", "-")
        if name in _SHOWN:
            found.setdefault(name, each.version)  # the first on the path is what is imported
    return found


def _python_faults() -> list[Said]:
    here = sys.version_info[:2]
    if here in TESTED:
        return []
    tested = ", ".join(f"{major}.{minor}" for major, minor in TESTED)
    message = f"Python {here[0]}.{here[1]} was never tested with edge-agent, {tested} were"
    return [warn(message, "install one of those: sudo apt install python3.11 python3.11-venv")]


def _engine_faults(installed: dict[str, str]) -> list[Said]:
    faults = []
    numpy, old = installed.get("numpy"), installed.get("tflite-runtime")
    if old is not None and numpy is not None and _major(numpy) >= 2:
        message = (
            f"tflite-runtime {old} does not work with numpy {numpy}: it needs numpy below 2, "
            "which its own metadata does not say"
        )
        faults.append(fail(message, _pip("'numpy<2'")))
    if numpy is None:
        faults.append(fail("numpy is not installed", _pip("numpy")))
    return faults


def _opencv_faults(installed: dict[str, str]) -> list[Said]:
    """Debian's python3-opencv leaves no metadata, so that none is there says nothing."""
    there = [name for name in OPENCV if name in installed]
    if len(there) > 1:
        command = f"{shell(sys.executable)} -m pip uninstall {' '.join(there[1:])}"
        return [
            warn(f"{' and '.join(there)} overwrite one another's files", f"keep one: {command}")
        ]
    numpy = installed.get("numpy", "")
    if there and numpy and _major(numpy) < 2 and _minor(installed[there[0]]) >= (4, 12):
        message = f"{there[0]} {installed[there[0]]} demands numpy 2, numpy {numpy} is installed"
        return [fail(message, _pip(f"'{there[0]}<4.12'"))]
    return []


def _import_faults() -> list[Said]:
    """Imported in a child: a wheel for another board crashes, another OpenCV lacks libGL."""
    try:
        call("importing numpy and cv2", _import_them, (), Limits(_IMPORT_S))
    except EdgeError as fault:
        return [fail(fault.message, _pip("--force-reinstall numpy opencv-python-headless"))]
    return []


def _import_them(at: At) -> dict[str, Any]:
    at("importing numpy")
    import numpy

    at("importing cv2")
    import cv2

    return {"numpy": numpy.__version__, "cv2": cv2.__version__}


def _reinstall(name: EngineName) -> str:
    if name == "tflite-runtime":
        return "say `engine: litert` in the configuration; or " + _pip("'numpy<2' tflite-runtime")
    return _pip(f"--force-reinstall {RUNTIMES[name][1]}")


def _pip(what: str) -> str:
    """The very Python that runs here: a board has several."""
    return f"run: {shell(sys.executable)} -m pip install {what}"


def _major(text: str) -> int:
    return _minor(text)[0]


def _minor(text: str) -> tuple[int, int]:
    numbers = [int(part) if part.isdigit() else 0 for part in text.split(".")[:2]]
    return (*numbers, 0, 0)[0], (*numbers, 0, 0)[1]
