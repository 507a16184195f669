"""A model becomes part of this device: imported, held against its golden set, measured, removed.

Rules: only what passed in a child process is installed, the very bytes that passed; a bundle is
installed whole or not at all. Read `charge.py` next: how it takes charge.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.bundles import folders, golden, slots
from edge_agent.bundles.bundle import CARD, GOLDEN, LABELS, MANIFEST, MODEL, Bundle, open_bundle
from edge_agent.bundles.find import Kind, Place, locate_file
from edge_agent.bundles.guess import Wish
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.bundles.unpack import unpacked
from edge_agent.config.part import plain
from edge_agent.engines import Plan, available, version
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import Measurement, kept, measure, save
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.ota import Step, Verdict, Version
from edge_agent.service.charge import CLI, Request, in_charge, take_charge
from edge_agent.service.exam import hold_against_golden, make_golden
from edge_agent.service.models import Demand, Opened, checked
from edge_agent.service.story import Tell
from edge_agent.service.trial import Passed, open_offered, remember, try_out
from edge_agent.store.disk import disk_errors


@frozen
class Imported:
    """What an import came to. Of a bundle that was there already nothing was changed."""

    bundle: Bundle  # as it lies in the state directory
    guessed: dict[str, Any]
    active: bool
    fresh: bool
    refusals: tuple[str, ...] = ()  # of engines that do not take it, though another does

    @property
    def slot(self) -> str:
        return self.bundle.folder.name


@frozen
class Measured:
    """How fast a model is on this board, best first, and what `engine: auto` takes now, and why."""

    measurements: tuple[Measurement, ...]
    choice: str
    over: str | None  # a sentence where that is slower than the manifest's budget


def nobody(step: Step) -> None:
    """Tells nobody: for who only looks, or has no store to tell."""


def import_model(
    file: Path, wish: Wish, state: Path, tell: Tell = nobody, who: str = CLI
) -> Imported:
    """Turn a bare .tflite, a bundle's folder or its .tar into an installed bundle.

    What a person imports takes charge at once where nothing of that name is in charge; all else
    waits for `take_charge`. Raises UsageError, Refused, NoRoom.
    """
    place = locate_file(file)
    if place is None:
        raise UsageError(f"there is no file {file}", "give a .tflite, a bundle's folder or .tar")
    plans = tuple(Plan(engine) for engine in available())
    with _plain(place) as plain:
        bundle = open_offered(plain, wish, plans)
        number, slot = _slot(bundle, state)
        _refuse_broken(bundle, number, slot, state)
        if _is_whole(slots.models_folder(state) / bundle.name / slot):
            return _imported(bundle, slot, state, fresh=False)
        passed = try_out(bundle, plans)
        with disk_errors(state), folders.staging(state, bundle.name) as staged:
            _write_bundle(bundle, _manifest(bundle, passed, number), staged)
            _answer_golden(bundle, passed, staged)
            folders.install(state, bundle.name, staged, slot, replace=True)
            if who == CLI and in_charge(bundle.name, state) is None:
                _first(bundle.name, slot, state)
    tell(
        Step(
            "model", bundle.name, Version(number, bundle.manifest.sha256), "installed",
            Verdict.OK, who,
        )
    )  # fmt: skip
    remember(bundle.manifest.sha256, passed.plan, state)
    if passed.refusals:
        _tell_auto(passed, state)
    return replace(_imported(bundle, slot, state), refusals=tuple(passed.refusals.values()))


@frozen
class Activation:
    """How a person wants it."""

    downgrade: bool = False
    who: str = CLI


BY_HAND = Activation()


def activate_model(
    name: str,
    version: str | None,
    state: Path,
    how: Activation = BY_HAND,
    tell: Tell = nobody,
) -> Bundle:
    """Put an installed version in charge while no agent runs; without a version the newest.

    Raises UsageError, Refused.
    """
    folder = slot_folder(name, version, state)
    plans = Demand().plans(state, sha256_in(folder))
    return take_charge(Request(folder, how.who, plans, downgrade=how.downgrade), state, tell)


def sha256_in(folder: Path) -> str:
    """What a bundle says of its model; "" where it says nothing that can be read."""
    try:
        return open_bundle(folder).manifest.sha256
    except EdgeError:
        return ""


def check_golden(opened: Opened) -> tuple[str, ...]:
    """What the model answers otherwise than its golden set, a sentence each."""
    path = opened.bundle.folder / GOLDEN
    if opened.bundle.bare or not path.is_file():
        raise EdgeError(
            f"model {opened.bundle.name} has no golden set ({GOLDEN})",
            "edge-agent models import makes one of a .tflite",
        )
    return golden.check(path, opened.spec, opened.engine)


def remove_model(name: str, version: str | None, state: Path, tell: Tell = nobody) -> bool:
    """Remove an installed model, or one version that is not in charge; whether it was in charge.

    What is removed by its version is forgotten: a broken one may be imported anew then. Raises
    UsageError.
    """
    if name in shipped_folders() and name not in slots.installed_names(state):
        raise UsageError(f"model {name} came with the package and stays", "edge-agent models list")
    if version is not None and _forgotten(name, version, state):
        return False
    slot = None if version is None else slot_folder(name, version, state).name
    was_active = slots.read_slots(state, name).active
    before = in_charge(name, state) if slot is None else None
    with disk_errors(state):
        folders.remove(state, name, slot)
    gone = before.manifest if before is not None else None
    target = Version(version or (gone.version if gone else ""), gone.sha256 if gone else "")
    tell(Step("model", name, target, "removed", Verdict.OK, CLI))
    return was_active is not None and slot is None


def measure_model(bundle: Bundle, seconds: float, state: Path) -> Measured:
    """Measure every engine and keep the answer. Raises Refused where no engine runs the model."""
    found = measure(bundle.model, seconds)
    if all(each.p50_ms is None for each in found):
        raise Refused(found[0].refused, "choose another model")
    with disk_errors(state):
        save(state, bundle.manifest.sha256, found)
    choice = choose("auto", "auto", kept(state, bundle.manifest.sha256))
    budget = bundle.manifest.budget.invoke_ms_p95
    taken = (choice.plan.engine, choice.plan.threads)
    p95 = next(each.p95_ms for each in found if (each.engine, each.threads) == taken)
    over = None
    if budget is not None and p95 is not None and p95 > budget:
        over = f"over the budget of its manifest: p95 {p95:.3g} ms of {budget:g} ms"
    return Measured(found, choice.reason, over)


def slot_folder(name: str, version: str | None, state: Path) -> Path:
    """The installed folder that a person means; without a version the newest. Raises UsageError."""
    folders = slots.installed(state, name) if name in slots.installed_names(state) else ()
    if not folders:
        if name in shipped_folders():
            raise UsageError(
                f"model {name} came with the package and no other version of it is installed",
                "it is in charge as it is: edge-agent models list",
            )
        raise UsageError(f"there is no installed model {name!r}", "edge-agent models list")
    if version is None:
        return max(folders, key=lambda folder: folder.stat().st_mtime_ns)
    found = [folder for folder in folders if folder.name.rpartition("-")[0] == version]
    found = found or [folder for folder in folders if folder.name.startswith(version)]
    if len(found) != 1:
        wrong = "several versions that begin with" if found else "no version"
        there = [folder.name if found else folder.name.rpartition("-")[0] for folder in folders]
        raise UsageError(
            f"model {name} has {wrong} {version!r}", f"one of: {', '.join(dict.fromkeys(there))}"
        )
    return found[0]


# --- a new version -----------------------------------------------------------------------------


@contextmanager
def _plain(place: Place) -> Iterator[Place]:
    """What was packed is unpacked, for as long as it is needed."""
    if place.kind is not Kind.ARCHIVE:
        yield place
        return
    folder = unpacked(place.path)
    try:
        yield Place(folder, Kind.FOLDER)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_broken(bundle: Bundle, version: str, slot: str, state: Path) -> None:
    """What ended the agent, or did not prove itself, does not come back by another name."""
    for known, broken in slots.stated_slots(state, bundle.name).broken.items():
        if slot == known or bundle.manifest.sha256 == broken.sha256:
            refusal = Refused(
                f"model {bundle.name} {version} is not taken again: {broken.reason}",
                f"another version; or forget it: edge-agent models remove {bundle.name} "
                f"{folders.version_of(known)}",
            )
            refusal.code = "broken"
            raise refusal


def _forgotten(name: str, version: str, state: Path) -> bool:
    """A broken version whose folder is gone: only what is known of it can be removed."""
    there = {folder.name for folder in slots.installed(state, name)}
    known = [
        slot
        for slot in slots.stated_slots(state, name).broken
        if folders.version_of(slot) == version and slot not in there
    ]
    if not known:
        return False
    with disk_errors(state):
        slots.change(state, name, lambda found: found.with_forgotten(known[0]))
    return True


def _first(name: str, slot: str, state: Path) -> None:
    """Nothing is in charge, so nothing can be spoiled."""
    now = time.time()
    slots.change(state, name, lambda found: found.with_active(slot, now, None))


def _is_whole(folder: Path) -> bool:
    """Whether a bundle that can be used is there already."""
    try:
        open_bundle(folder)
    except EdgeError:
        return False
    return (folder / GOLDEN).is_file()


def _slot(bundle: Bundle, state: Path) -> tuple[str, str]:
    """Version and folder name. A bare model gets the next number, or that of the very same one."""
    said = plain(bundle.manifest, without=("version", "requires", "source"))
    content = json.dumps([said, bundle.labels], sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    version = bundle.manifest.version
    if bundle.bare:
        there = [each.name.rpartition("-") for each in slots.installed(state, bundle.name)]
        same = [number for number, _, its_digest in there if its_digest == digest]
        numbers = [int(number) for number, _, _ in there if number.isdecimal()]
        version = same[0] if same else str(max(numbers, default=0) + 1)
    return version, f"{version}-{digest}"


def _manifest(bundle: Bundle, passed: Passed, version: str) -> dict[str, Any]:
    """What is written: a publisher's word stays as it is, a bare model gets what was seen."""
    manifest = plain(bundle.manifest, nulls=False)
    if bundle.bare:
        manifest["version"] = version
        manifest["labels"] = LABELS
        megabytes = math.ceil(passed.answer.memory_bytes / 1e6)
        manifest["requires"]["memory_mb"] = max(1, megabytes)
    return {key: value for key, value in manifest.items() if value not in ("", {})}


def _write_bundle(bundle: Bundle, manifest: dict[str, Any], folder: Path) -> None:
    """The bundle's files in an empty folder. Raises OSError, Refused."""
    import yaml

    (folder / MODEL).write_bytes(checked(bundle))
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)
    (folder / MANIFEST).write_text(text, "utf-8")
    if bundle.bare:
        (folder / LABELS).write_text("".join(f"{name}\n" for name in bundle.labels), "utf-8")
        (folder / CARD).write_text(_card(bundle), "utf-8")
        return
    labels = bundle.manifest.labels
    for name in (GOLDEN, CARD, *([labels] if isinstance(labels, str) else [])):
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, folder / name)


def _answer_golden(bundle: Bundle, passed: Passed, folder: Path) -> None:
    """Hold the model against the golden set that it came with, or make one; in a child process.
    What was written is read once more, whole."""
    staged = Bundle(folder, folder / MODEL, bundle.manifest, bundle.labels)
    if (folder / GOLDEN).exists():
        hold_against_golden(staged, passed)
    else:
        make_golden(folder, passed)
    open_bundle(folder)


def _card(bundle: Bundle) -> str:
    guesses = "".join(f"- {key}: {value}\n" for key, value in bundle.guessed.items())
    return (
        f"# {bundle.name}\n\nImported from `{bundle.manifest.source}`, a model of family "
        f"{bundle.manifest.family} with SHA-256 {bundle.manifest.sha256}.\n\n"
        f"Guessed, because the file does not say it:\n\n{guesses}\n"
        "Where results are wrong: copy this folder, correct `manifest.yaml` in the copy, raise\n"
        "its `version`, remove `golden.npz`, and import the copy.\n"
    )


def _tell_auto(passed: Passed, state: Path) -> None:
    """Keep which engine ran the model and which did not, as `models bench` would."""
    plan, once = passed.plan, passed.answer.invoke_ms
    ran = Measurement(plan.engine, version(plan.engine), plan.threads, once, once, 1)
    refused = [
        Measurement(engine, version(engine), plan.threads, None, None, 0, sentence)
        for engine, sentence in passed.refusals.items()
    ]
    with disk_errors(state):
        save(state, passed.answer.sha256, [ran, *refused])


def _imported(bundle: Bundle, slot: str, state: Path, *, fresh: bool = True) -> Imported:
    installed = open_bundle(slots.models_folder(state) / bundle.name / slot)
    active = slots.read_slots(state, bundle.name).active == slot
    return Imported(installed, dict(bundle.guessed), active, fresh)
