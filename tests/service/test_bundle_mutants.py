"""Damaged models in a correctly named bundle: none is imported, none takes charge, and we live.

The short form; with `-m acceptance` 300 mutants in the four ways of `mutants.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import time
from pathlib import Path

import pytest
import yaml
import yard
from mutants import KINDS, mutant

from edge_agent.bundles import slots
from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.cli import obey
from edge_agent.engines import EngineName, Plan, available
from edge_agent.errors import EdgeError
from edge_agent.service.exam import examine

LONGEST_S = 30.0
SOUND = shipped_folders()["scene-detector"]


def said(*command: object) -> tuple[int, str, float]:
    """Exit code, stderr, seconds; in this process, which must live."""
    out, err, began = io.StringIO(), io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = obey(["models", *map(str, command)])
    return code, err.getvalue(), time.monotonic() - began


def refused(answer: tuple[int, str, float]) -> None:
    code, err, seconds = answer
    assert code == 4
    assert len(err.splitlines()) <= 2
    assert err.startswith("edge-agent: ")
    assert seconds < LONGEST_S


def named(tmp_path: Path, numbers: range) -> None:
    """A mutant under the right name and manifest: by import, and where it lies installed."""
    state, offered = tmp_path / "state", tmp_path / "offered"
    yard.installed(state, "1", "2")
    shutil.copytree(slots.models_folder(state) / "yard" / "2-x", offered)
    sound = (offered / "model.tflite").read_bytes()
    there = slots.models_folder(state) / "yard" / "2-x" / "model.tflite"
    for number in numbers:
        damaged = mutant(sound, number)
        (offered / "model.tflite").write_bytes(damaged)
        there.write_bytes(damaged)
        refused(said("import", offered, "--state", state))
        refused(said("activate", "yard", "2", "--state", state))
        assert yard.in_charge(state) == "1"
    assert {path.name for path in (state / "models/yard").iterdir()} == {"1-x", "2-x", "slots.json"}


def resealed(tmp_path: Path, numbers: range) -> int:
    """A mutant whose manifest bears its own hash: by the exam on each engine; how many pass. What
    passes gives the golden answers: the damage is one that nobody can see."""
    folder, passed = tmp_path / "sealed", 0
    sound = (SOUND / "model.tflite").read_bytes()
    for number in numbers:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SOUND, folder)
        (folder / "model.tflite").write_bytes(mutant(sound, number))
        manifest = yaml.safe_load((folder / "manifest.yaml").read_text("utf-8"))
        manifest["sha256"] = hashlib.sha256((folder / "model.tflite").read_bytes()).hexdigest()
        (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), "utf-8")
        for engine in available():
            began = time.monotonic()
            code = examined(folder, engine)
            passed += code == 0
            # Nothing but a bit goes unseen.
            assert code == 4 or "bit" in KINDS[number % len(KINDS)]
            assert time.monotonic() - began < LONGEST_S
    return passed


def examined(folder: Path, engine: EngineName) -> int:
    """0, or the exit code."""
    try:
        examine(open_bundle(folder), (Plan(engine),))
    except EdgeError as refusal:
        return refusal.exit_code
    return 0


def test_a_mutant_under_the_right_name_is_refused_by_import_and_by_activate(tmp_path: Path) -> None:
    named(tmp_path, range(24))


@pytest.mark.slow
def test_a_mutant_that_was_sealed_is_refused_by_the_exam_or_answers_as_recorded(
    tmp_path: Path,
) -> None:
    resealed(tmp_path, range(4))


@pytest.mark.acceptance
@pytest.mark.parametrize("first", range(0, 300, 25))
def test_300_mutants(tmp_path: Path, first: int) -> None:
    numbers = range(first, first + 25)
    named(tmp_path, numbers)
    print(f"mutants {first} to {first + 24}: {resealed(tmp_path, numbers)} exams passed unseen")
