"""Models from a file to a pipeline: tried in a child process, installed whole, put in charge."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import picture_models
import pytest
import yaml

from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.find import find
from edge_agent.bundles.guess import NO_WISH, Wish
from edge_agent.bundles.labels import Labels
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.bundles.slots import installed, read_slots
from edge_agent.engines import Plan, available
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import kept
from edge_agent.errors import EdgeError, NoRoom, Refused, UsageError
from edge_agent.service import trial
from edge_agent.service.install import (
    Activation,
    activate_model,
    check_golden,
    import_model,
    measure_model,
    remove_model,
)
from edge_agent.service.inventory import inventory
from edge_agent.service.models import Demand, open_model, open_named

Find = Callable[[str], Path]
NAMES = Labels(dict(enumerate(["person", "forklift", "van", "dog"])))

both_engines = pytest.mark.skipif(len(available()) < 2, reason="only one engine is installed here")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The shipped detector's model alone, as people have models: without labels or manifest."""
    path = tmp_path / "見張り.tflite"
    shutil.copyfile(shipped_folders()["scene-detector"] / "model.tflite", path)
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "offered"
    shutil.copytree(shipped_folders()["scene-detector"], folder)
    change(folder, name="yard")
    return folder


def change(folder: Path, **values: object) -> None:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text("utf-8")) | values), "utf-8")


def states(state: Path) -> dict[str, str]:
    """Name and version -> state, of what is installed."""
    return {f"{e.name} {e.version}": e.state for e in inventory(state) if e.slot is not None}


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")} if folder.exists() else set()


# --- import ------------------------------------------------------------------------------------


def test_a_bare_model_becomes_a_whole_bundle(bare: Path, state: Path) -> None:
    done = import_model(bare, Wish(labels=NAMES), state)
    assert (done.bundle.name, done.active, done.fresh) == ("見張り", True, True)
    bundle = find("見張り", state, Path())
    assert not bundle.bare
    assert bundle.labels == ("person", "forklift", "van", "dog")
    assert {path.name for path in bundle.folder.iterdir()} == {
        "model.tflite", "manifest.yaml", "labels.txt", "golden.npz", "CARD.md",
    }  # fmt: skip
    assert bundle.model.read_bytes() == bare.read_bytes()
    manifest = bundle.manifest
    assert (manifest.version, manifest.family, manifest.source) == ("1", "yolo", bare.name)
    assert manifest.requires.memory_mb
    assert manifest.requires.ops == shipped_operators()
    card = (bundle.folder / "CARD.md").read_text("utf-8")
    assert all(f"- {key}: {value}" in card for key, value in done.guessed.items())
    assert done.guessed["family"] == "yolo"


def shipped_operators() -> tuple[str, ...]:
    return open_bundle(shipped_folders()["scene-detector"]).manifest.requires.ops


def test_an_imported_model_answers_alike_on_every_engine(bare: Path, state: Path) -> None:
    import_model(bare, NO_WISH, state)
    for engine in available():
        assert check_golden(open_model(find("見張り", state, Path()), Plan(engine), state)) == ()


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_bundle_is_installed_as_its_publisher_made_it(
    bundle: Path, state: Path, tmp_path: Path, form: str
) -> None:
    offered = bundle
    if form == "tar":
        offered = tmp_path / "offered.tar"
        with tarfile.open(offered, "w") as tar:
            tar.add(bundle, "yard")
    folder = import_model(offered, NO_WISH, state).bundle.folder
    for name in ("model.tflite", "golden.npz", "labels.txt", "CARD.md"):
        assert (folder / name).read_bytes() == (bundle / name).read_bytes()
    assert open_bundle(folder).manifest == open_bundle(bundle).manifest


def test_the_first_is_active_the_next_a_candidate_until_it_is_activated(
    bare: Path, state: Path
) -> None:
    import_model(bare, Wish("yard"), state)
    second = import_model(bare, Wish("yard", labels=NAMES), state)
    assert not second.active
    assert states(state) == {"yard 1": "active", "yard 2": "candidate"}
    assert activate_model("yard", None, state).manifest.version == "2"
    assert states(state) == {"yard 1": "previous", "yard 2": "active"}
    assert find("yard", state, Path()).labels == ("person", "forklift", "van", "dog")
    with pytest.raises(Refused, match="version 2 is in charge, which is newer"):
        activate_model("yard", "1", state)
    activate_model("yard", "1", state, Activation(downgrade=True))
    assert states(state) == {"yard 1": "active", "yard 2": "candidate"}  # as it was before


def test_the_same_once_more_changes_nothing(bare: Path, bundle: Path, state: Path) -> None:
    for file, wish in ((bare, Wish("bare")), (bundle, NO_WISH)):
        import_model(file, wish, state)
        before = files(state)
        again = import_model(file, wish, state)
        assert (again.fresh, again.active) == (False, True)
        assert files(state) == before


@pytest.mark.parametrize("lost", ["model.tflite", "golden.npz", "labels.txt"])
def test_importing_a_broken_one_again_mends_it(bundle: Path, state: Path, lost: str) -> None:
    folder = import_model(bundle, NO_WISH, state).bundle.folder
    (folder / lost).unlink()
    again = import_model(bundle, NO_WISH, state)
    assert (again.fresh, again.active, again.bundle.folder) == (True, True, folder)
    assert (folder / lost).read_bytes() == (bundle / lost).read_bytes()


def test_another_version_of_a_bundle_is_a_candidate(bundle: Path, state: Path) -> None:
    import_model(bundle, NO_WISH, state)
    change(bundle, version="1.1.0")
    import_model(bundle, NO_WISH, state)
    assert states(state) == {"yard 1.0.0": "active", "yard 1.1.0": "candidate"}


def test_a_shipped_model_can_be_replaced_and_comes_back(bare: Path, state: Path) -> None:
    import_model(bare, Wish("scene-detector"), state)
    ours = [entry.state for entry in inventory(state) if entry.name == "scene-detector"]
    assert ours == ["active", "candidate"]
    activate_model("scene-detector", None, state, Activation(downgrade=True))
    ours = [entry.state for entry in inventory(state) if entry.name == "scene-detector"]
    assert ours == ["factory", "active"]
    assert not find("scene-detector", state, Path()).shipped
    assert remove_model("scene-detector", None, state)
    assert {entry.state for entry in inventory(state)} == {"active"}
    assert find("scene-detector", state, Path()).shipped


# --- what is refused, and that nothing is left of it -------------------------------------------


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("custom_operator", "needs the custom operator MyOwnOp"),
        ("crashes", "crashed the runtime: segmentation fault, while loading"),
        ("fails", "operator GATHER .* failed to invoke"),
        ("hangs", r"did not answer within 2 s, while \w+"),
    ],
)
def test_what_cannot_run_is_refused_by_import_and_infer_and_leaves_nothing(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, model: str, sentence: str
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 2.0)
    path = picture_models.write(model, tmp_path / f"{model}.tflite")
    with pytest.raises(Refused, match=sentence):
        import_model(path, NO_WISH, state)
    with pytest.raises(Refused, match=sentence):
        open_named(str(path), NO_WISH, Demand(), state)
    assert files(state) == set()


@pytest.mark.parametrize(
    ("invalid", "named"),
    [
        ("model_invoking_error", "the custom operator fake-op-double"),
        ("person_detect_bad_quantization", "tensor 33 is quantized along dimension 3"),
    ],
)
@pytest.mark.parametrize("engine", ["litert", "tflite-runtime"])
def test_models_that_no_runtime_takes_are_refused_with_operator_or_tensor(
    realdata: Find, state: Path, invalid: str, named: str, engine: str
) -> None:
    if engine not in available():
        pytest.skip(f"{engine} is not installed here")
    path = realdata(f"invalid/{invalid}.tflite")
    with pytest.raises(Refused, match=named):
        open_named(str(path), NO_WISH, Demand(engine), state)  # type: ignore[arg-type]


def test_labels_that_are_too_many_are_refused_with_both_numbers(bare: Path, state: Path) -> None:
    five = Labels(dict(enumerate("abcde")))
    for attempt in (
        lambda: import_model(bare, Wish(labels=five), state),
        lambda: open_named(str(bare), Wish(labels=five), Demand(), state),
    ):
        with pytest.raises(Refused, match=r"has 5 labels, its output .*\[1,8,420\] has 4 or 3"):
            attempt()
    assert files(state) == set()


Spoil = Callable[[Path], None]


def spoil_model(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"\0" * 400)


def spoil_golden(folder: Path) -> None:
    with np.load(folder / "golden.npz") as archive:
        stored = {name: archive[name] for name in archive.files}
    stored["output_0"] = np.roll(stored["output_0"], 60, axis=3)
    np.savez(folder / "golden.npz", **stored)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_model, "yard is damaged: its SHA-256"),
        (spoil_golden, "answers otherwise than its golden set: frame 0: output"),
        (lambda folder: (folder / "golden.npz").write_bytes(b"x"), "golden.npz .* cannot be read"),
        (lambda folder: (folder / "manifest.yaml").unlink(), "it has no manifest.yaml"),
        (lambda folder: change(folder, requires={"agent": ">=9.0"}), "needs edge-agent 9.0"),
        (lambda folder: change(folder, requires={"ops": ["NO_SUCH"]}), "operator NO_SUCH"),
        (lambda folder: change(folder, family="ssd", output={}), "TFLite_Detection_PostProcess"),
        (lambda folder: change(folder, input={"kind": "image", "size": [9, 9]}), "wants .1, 9, 9"),
    ],
)
def test_a_bundle_that_is_not_what_it_says_is_refused_and_leaves_nothing(
    bundle: Path, state: Path, spoil: Spoil, sentence: str
) -> None:
    spoil(bundle)
    with pytest.raises(Refused, match=sentence):
        import_model(bundle, NO_WISH, state)
    assert not list(state.glob("models/*"))


def test_more_memory_than_there_is_is_no_room(bundle: Path, state: Path) -> None:
    change(bundle, requires={"memory_mb": 999_999_999})
    with pytest.raises(NoRoom, match=r"yard needs 999999999 MB of memory, \d+ MB are free"):
        import_model(bundle, NO_WISH, state)
    assert files(state) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file system of its own: root")
def test_a_full_disk_is_no_room_and_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    if os.system(f"mount -t tmpfs -o size=100k tmpfs {full} 2>/dev/null") != 0:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        with pytest.raises(NoRoom, match="no space is left on the disk"):
            import_model(bare, NO_WISH, full)
        assert not list(full.glob("models/*"))
    finally:
        os.system(f"umount {full}")


def test_a_state_that_cannot_be_a_directory_is_wrong_usage(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(UsageError, match="Not a directory"):
        import_model(bare, NO_WISH, tmp_path / "file")


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, state: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        import_model(tmp_path / "nothing.tflite", NO_WISH, state)


def test_the_very_bytes_that_passed_are_loaded(bundle: Path, state: Path) -> None:
    opened = open_bundle(bundle)
    with (bundle / "model.tflite").open("r+b") as file:
        file.seek(100_000)
        file.write(b"\xff\x00\xff")
    with pytest.raises(Refused, match="changed while it was being tried"):
        open_model(opened, Plan("litert"), state)
    shutil.copyfile(shipped_folders()["scene-detector"] / "model.tflite", bundle / "model.tflite")
    open_model(opened, Plan("litert"), state).engine.close()
    spoil_model(bundle)
    with pytest.raises(Refused, match="not the one that its manifest names"):
        open_model(opened, Plan("litert"), state)


# --- engines -----------------------------------------------------------------------------------


@both_engines
def test_what_only_the_other_engine_takes_is_imported_and_auto_knows(
    tmp_path: Path, state: Path
) -> None:
    path = picture_models.write("scale_of_nothing", tmp_path / "odd.tflite")
    done = import_model(path, NO_WISH, state)
    assert len(done.refusals) == 1
    sha256 = done.bundle.manifest.sha256
    assert choose("auto", "auto", kept(state, sha256)).plan.engine == "tflite-runtime"
    assert open_named("odd", NO_WISH, Demand(), state).engine.name == "tflite-runtime"
    assert activate_model("odd", None, state).name == "odd"
    with pytest.raises(Refused):
        open_named("odd", NO_WISH, Demand("litert"), state)


@both_engines
def test_a_bare_model_runs_on_the_first_engine_that_takes_it(tmp_path: Path, state: Path) -> None:
    odd = picture_models.write("scale_of_nothing", tmp_path / "odd.tflite")
    new = picture_models.write("new_operator", tmp_path / "new.tflite")
    assert open_named(str(odd), NO_WISH, Demand(), state).engine.name == "tflite-runtime"
    assert open_named(str(new), NO_WISH, Demand(), state).engine.name == "litert"
    with pytest.raises(Refused, match="version 2 of the operator SQRT, which tflite-runtime"):
        open_named(str(new), NO_WISH, Demand("tflite-runtime"), state)


def test_what_no_engine_runs_is_not_measured(tmp_path: Path, state: Path) -> None:
    path = picture_models.write("fails", tmp_path / "fails.tflite")
    with pytest.raises(Refused, match="GATHER"):
        measure_model(find(str(path), state, Path()), 0.5, state)


# --- in charge ---------------------------------------------------------------------------------


def test_what_answers_otherwise_is_not_put_in_charge(bundle: Path, state: Path) -> None:
    import_model(bundle, NO_WISH, state)
    change(bundle, version="2")
    candidate = import_model(bundle, NO_WISH, state).bundle.folder
    spoil_golden(candidate)
    with pytest.raises(Refused, match="answers otherwise"):
        activate_model("yard", "2", state)
    assert states(state) == {"yard 1.0.0": "active", "yard 2": "candidate"}
    (candidate / "golden.npz").unlink()
    with pytest.raises(EdgeError, match="has no golden set"):
        activate_model("yard", "2", state)
    spoil_model(candidate)
    with pytest.raises(Refused, match="damaged"):
        activate_model("yard", "2", state)
    assert states(state) == {"yard 1.0.0": "active", "yard 2": "broken"}


@pytest.mark.parametrize(
    ("name", "version", "sentence"),
    [
        ("nobody", None, "there is no installed model 'nobody'"),
        ("..", None, r"there is no installed model '\.\.'"),
        ("yard", "7", "yard has no version '7'"),
        ("yard", "1.", r"yard has several versions that begin with '1\.'"),
    ],
)
def test_a_version_that_is_not_there_is_wrong_usage(
    bundle: Path, state: Path, name: str, version: str | None, sentence: str
) -> None:
    import_model(bundle, NO_WISH, state)
    change(bundle, version="1.5")
    import_model(bundle, NO_WISH, state)
    for attempt in (activate_model, remove_model):
        with pytest.raises(UsageError, match=sentence):
            attempt(name, version, state)


def test_a_version_or_all_can_be_removed(bundle: Path, state: Path) -> None:
    import_model(bundle, NO_WISH, state)
    change(bundle, version="2")
    import_model(bundle, NO_WISH, state)
    with pytest.raises(UsageError, match="is active"):
        remove_model("yard", "1.0.0", state)
    assert not remove_model("yard", "2", state)
    assert states(state) == {"yard 1.0.0": "active"}
    assert remove_model("yard", None, state)
    assert installed(state, "yard") == ()
    assert read_slots(state, "yard").active is None
    with pytest.raises(UsageError, match="came with the package and stays"):
        remove_model("scene-detector", None, state)


def test_what_is_broken_is_listed_so_with_what_can_still_be_told(bundle: Path, state: Path) -> None:
    folder = import_model(bundle, NO_WISH, state).bundle.folder
    spoil_model(folder)
    (entry,) = [entry for entry in inventory(state) if entry.slot]
    assert (entry.state, entry.version, entry.family) == ("broken", "1.0.0", "yolo")
    (folder / "manifest.yaml").write_text("[")
    (entry,) = [entry for entry in inventory(state) if entry.slot]
    assert (entry.name, entry.state, entry.version) == ("yard", "broken", "1.0.0")


def test_listing_makes_no_state_directory(state: Path) -> None:
    assert [entry.name for entry in inventory(state)] == sorted(shipped_folders())
    assert not state.exists()
