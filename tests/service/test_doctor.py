"""`doctor`: order, needs, bounds; and each check really made to fail."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board import SysBoard

from edge_agent.bundles.shipped import shipped_folders
from edge_agent.host.fake import FakeClock
from edge_agent.service.doctor import CHECKS, NAMES, examine, worst
from edge_agent.service.doctor_disk import disk
from edge_agent.service.doctor_finding import Case, Check, Finding, Here, Said, ok
from edge_agent.service.doctor_unit import packaged
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, FramesRow

CONFIG = """\
sources: {yard: {kind: scene, uri: "built-in:?seed=7"}}
pipelines: {yard: {source: yard, model: scene-detector, rules: [{name: any}]}}
"""


def case_in(folder: Path, text: str | None = CONFIG, **here: object) -> Case:
    path = folder / "config.yaml"
    if text is not None:
        path.write_text(text, "utf-8")
    return Case(path, folder / "state", Here(**here))  # type: ignore[arg-type]


def found(case: Case, name: str) -> list[Finding]:
    """What that check says, without what it needs."""
    return [each for each in examine(case, (name,)) if each.name.split()[0] == name]


def one(case: Case, name: str) -> Finding:
    (finding,) = found(case, name)
    return finding


# --- the runner ----------------------------------------------------------------------------------


def test_what_is_needed_stands_before_what_needs_it() -> None:
    for place, check in enumerate(CHECKS):
        assert set(check.needs) <= set(NAMES[:place])
        assert 0 < check.seconds <= 60


def test_what_depends_on_a_failed_check_is_skipped_with_the_reason(tmp_path: Path) -> None:
    findings = list(examine(case_in(tmp_path, None), ("models", "source", "broker")))
    assert [(each.name, each.verdict) for each in findings] == [
        ("configuration", "fail"),
        ("models", "skipped"),
        ("source", "skipped"),
        ("broker", "skipped"),
    ]
    assert "configuration must pass first" in findings[1].message
    assert "there is no configuration" in findings[0].message
    assert worst(findings) == "fail"


def test_a_check_that_hangs_is_told_and_the_next_one_runs(tmp_path: Path) -> None:
    def hangs(case: Case) -> Iterator[Said]:
        yield ok("so far")
        time.sleep(60)
        yield ok("never")

    def breaks(case: Case) -> Iterator[Said]:
        raise ZeroDivisionError("ours")
        yield ok("never")

    checks = (
        Check("slow", hangs, seconds=0.2),
        Check("broken", breaks),
        Check("last", lambda case: iter([ok("fine")])),
        Check("after", lambda case: iter([ok("never")]), needs=("slow",)),
    )
    names = tuple(check.name for check in checks)
    findings = list(examine(case_in(tmp_path), names, checks))
    assert [(each.name, each.verdict) for each in findings] == [
        ("slow", "ok"),
        ("slow", "fail"),
        ("broken", "fail"),
        ("last", "ok"),
        ("after", "skipped"),
    ]
    assert "no answer within 0.2 s" in findings[1].message
    assert "ZeroDivisionError: ours" in findings[2].message
    assert findings[1].ms >= 100


def test_the_worst_of_all_is_the_verdict() -> None:
    def verdicts(*words: str) -> str:
        return worst([Finding("x", word, 0.0, "") for word in words])  # type: ignore[arg-type]

    assert verdicts("skipped", "ok") == "ok"
    assert verdicts("ok", "warn", "skipped") == "warn"
    assert verdicts("warn", "fail", "ok") == "fail"
    assert verdicts() == "ok"


# --- versions and engine -------------------------------------------------------------------------


@pytest.fixture
def packages(tmp_path: Path) -> Callable[..., Here]:
    """`packages(numpy="2.1")`: a site with the metadata of these distributions."""

    def make(**versions: str) -> Here:
        site = tmp_path / "site"
        for name, version in versions.items():
            folder = site / f"{name}-{version}.dist-info"
            folder.mkdir(parents=True)
            name = name.replace("_", "-")
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (folder / "METADATA").write_text(text)
        return Here(packages=(str(site),))

    return make


def version_faults(tmp_path: Path, here: Here) -> list[Finding]:
    return list(examine(Case(tmp_path / "none", tmp_path, here), ("versions",)))


def test_tflite_runtime_with_numpy_2_does_not_fit(
    tmp_path: Path, packages: Callable[..., Here]
) -> None:
    (fault,) = version_faults(tmp_path, packages(tflite_runtime="2.14.0", numpy="2.1.0"))
    assert fault.verdict == "fail"
    assert "tflite-runtime 2.14.0 does not work with numpy 2.1.0" in fault.message
    assert fault.hint.endswith("-m pip install 'numpy<2'")


def test_two_opencvs_and_an_opencv_for_numpy_2_are_told(
    tmp_path: Path, packages: Callable[..., Here]
) -> None:
    both = {"opencv_python": "4.11.0", "opencv_python_headless": "4.11.0", "numpy": "1.26.4"}
    (twice,) = version_faults(tmp_path, packages(**both))
    assert twice.verdict == "warn"
    assert "overwrite one another's files" in twice.message
    assert twice.hint.endswith("-m pip uninstall opencv-python")


def test_an_opencv_that_demands_numpy_2_is_told(
    tmp_path: Path, packages: Callable[..., Here]
) -> None:
    (old,) = version_faults(tmp_path, packages(opencv_python_headless="4.12.0.88", numpy="1.26.4"))
    assert old.verdict == "fail"
    assert "demands numpy 2" in old.message


def test_what_fits_is_listed(tmp_path: Path, packages: Callable[..., Here]) -> None:
    (fine,) = version_faults(
        tmp_path, packages(ai_edge_litert="2.3.0", numpy="2.5.1", opencv_python="5.0.0")
    )
    assert fine.verdict == "ok"
    assert "ai-edge-litert 2.3.0" in fine.message


def test_the_engines_here_run_the_shipped_model(tmp_path: Path) -> None:
    findings = found(case_in(tmp_path), "engine")
    assert findings
    assert {each.verdict for each in findings} == {"ok"}
    assert findings[0].name == "engine litert"


# --- configuration, models, sources --------------------------------------------------------------


def test_a_wrong_configuration_fails_with_its_first_mistake(tmp_path: Path) -> None:
    fault = one(case_in(tmp_path, CONFIG.replace("model:", "modle:")), "configuration")
    assert fault.verdict == "fail"
    assert "config.yaml:2:13: pipelines.yard.model: missing" in fault.message
    assert fault.message.endswith("(and 1 more)")
    assert fault.hint == f"edge-agent check -c {tmp_path / 'config.yaml'}"


def test_a_path_in_a_hint_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    fault = one(case_in(folder, "sources: {}"), "configuration")
    assert f"'{tmp_path}/it'\"'\"'s here/config.yaml'" in fault.hint


def test_a_damaged_model_fails_by_its_hash(tmp_path: Path) -> None:
    bundle = tmp_path / "mine"
    shipped = shipped_folders()["scene-detector"]
    bundle.mkdir()
    for file in shipped.iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    text = CONFIG.replace("scene-detector", "mine")
    case = case_in(tmp_path, text)
    assert one(case, "models").verdict == "ok"
    data = bytearray((bundle / "model.tflite").read_bytes())
    data[-100] ^= 1
    (bundle / "model.tflite").write_bytes(data)
    fault = next(iter(examine(case_in(tmp_path, text), ("models",))))
    assert (fault.name, fault.verdict) == ("configuration", "fail")
    assert "is damaged: its SHA-256 is" in fault.message


def test_a_source_that_hangs_and_one_that_is_not_there_are_told_beside_a_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.service.doctor_config.PATIENCE_S", 4.0)
    os.mkfifo(tmp_path / "pipe.csv")  # nobody writes to it: opening it waits for ever
    text = CONFIG.replace(
        "sources: {yard",
        'sources: {hangs: {kind: signal, uri: "csv:pipe.csv", rate_hz: 10, window: 4, hop: 4,'
        " stall_s: 100},"
        " gone: {kind: camera, uri: '/dev/video77', open_timeout_s: 2}, yard",
    )
    findings = {each.name: each for each in found(case_in(tmp_path, text), "source")}
    assert findings["source yard"].verdict == "ok"
    assert "640 x 360" in findings["source yard"].message
    assert findings["source gone"].verdict == "fail"
    assert findings["source hangs"].verdict == "fail"
    assert findings["source hangs"].hint.startswith("edge-agent sources test ")


def test_the_running_agent_is_asked_about_its_sources(
    tmp_path: Path, service: Callable[..., object], eventually: Callable[..., object]
) -> None:
    case = case_in(tmp_path)
    service(case.path)
    eventually(lambda: (tmp_path / "state" / "control.sock").exists(), "the agent runs", 60)
    eventually(lambda: one(case, "source").verdict == "ok", "it delivers", 60)
    assert "the running agent has" in one(case, "source").message
    assert one(case, "database").verdict == "ok"


# --- the board -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("celsius", "verdict"), [(48.2, "ok"), (84.0, "warn"), (97.5, "fail"), (-87.9, "warn")]
)
def test_the_temperature(tmp_path: Path, celsius: float, verdict: str) -> None:
    board = SysBoard(tmp_path / "sys")
    board.zone(0, "cpu-thermal", celsius)
    finding = found(case_in(tmp_path, sysfs=board.root), "temperature")[0]
    assert finding.verdict == verdict
    assert f"{celsius:g}" in finding.message
    assert ("is not believed" in finding.message) == (celsius < 0)


def test_the_configured_folder_and_sensor_are_the_ones_that_are_examined(tmp_path: Path) -> None:
    board = SysBoard(tmp_path / "sys")
    board.zone(0, "cpu-thermal", 50.0)
    board.zone(1, "pmic-therm", 96.0)
    text = f"{CONFIG}thermal: {{sensor: pmic-therm, sysfs: {board.root}}}\n"
    finding = one(case_in(tmp_path, text), "temperature")
    assert (finding.verdict, "pmic-therm" in finding.message) == ("fail", True)


def test_without_a_sensor_nothing_is_wrong(tmp_path: Path) -> None:
    case = case_in(tmp_path, sysfs=SysBoard(tmp_path / "sys").root)
    assert one(case, "temperature").verdict == "ok"
    assert one(case, "power").verdict == "ok"


@pytest.mark.parametrize(
    ("bits", "verdicts", "word"),
    [
        ("0", ["ok"], "no under-voltage"),
        ("10000", ["warn"], "since the board started: the supply is too weak"),
        ("10001", ["fail"], "now: the supply is too weak"),
        ("50005", ["fail", "fail"], "now: the supply is too weak"),
    ],
)
def test_under_voltage_and_throttling(
    tmp_path: Path, bits: str, verdicts: list[str], word: str
) -> None:
    board = SysBoard(tmp_path / "sys")
    board.firmware(bits)
    findings = found(case_in(tmp_path, sysfs=board.root), "power")
    assert [each.verdict for each in findings] == verdicts
    assert word in findings[0].message


@pytest.mark.parametrize(
    ("clock", "verdict", "word"),
    [
        (FakeClock(1_800_000_000.0), "ok", "a time server keeps it right"),
        (FakeClock(1_800_000_000.0, synced=False), "warn", "no time server keeps it right"),
        (FakeClock(0.0, synced=False), "fail", "1970-01-01T00:00:00Z, which cannot be"),
    ],
)
def test_the_clock(tmp_path: Path, clock: FakeClock, verdict: str, word: str) -> None:
    finding = one(case_in(tmp_path, clock=clock), "clock")
    assert (finding.verdict, word in finding.message) == (verdict, True)


def test_a_clock_behind_the_database_is_wrong(tmp_path: Path, replayed_state: Path) -> None:
    case = Case(tmp_path / "none", replayed_state, Here(clock=FakeClock(1_769_000_000.0)))
    finding = one(case, "clock")
    assert finding.verdict == "fail"
    assert "but the database was written at" in finding.message


@pytest.fixture
def replayed_state(tmp_path: Path) -> Path:
    """A store whose ledger ends in 2027."""
    state = tmp_path / "state"
    with open_store(state) as store:
        store.start()
        row = FramesRow("yard", 1_800_000_000.0, 1_800_000_060.0, inferred=5, skipped={})
        store.record(Batch(frames=(row,)))
    return state


# --- the disk ------------------------------------------------------------------------------------


def test_a_disk_that_is_full_fails(small_disk: Path) -> None:
    state = small_disk / "state"
    state.mkdir()
    case = Case(small_disk / "none", state)
    (full,) = disk(case)  # a megabyte is less than anybody needs
    assert full.verdict == "fail"
    assert "1.0 MB of 1.0 MB are free" in full.message
    assert full.message.endswith(": full")
    assert "du -xh" in full.hint


def test_a_write_that_finds_no_room_fails(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.service.doctor_disk.NONE_LEFT", 0)
    state = small_disk / "state"
    state.mkdir()
    with pytest.raises(OSError, match="No space"):
        (state / "filler").write_bytes(b"\0" * 4_000_000)
    little, write = found(Case(small_disk / "none", state), "disk")
    assert little.verdict == "warn"
    assert (write.name, write.verdict) == ("disk write", "fail")
    assert "it is full" in write.message


def test_a_slow_disk_is_told_by_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    case = case_in(tmp_path)
    assert found(case, "disk")[1].verdict == "ok"
    assert list((tmp_path / "state").iterdir()) == []
    monkeypatch.setattr("edge_agent.service.doctor_disk.SLOW_S", 0.0)
    slow = found(case, "disk")[1]
    assert slow.verdict == "warn"
    assert "a durable write takes" in slow.message
    monkeypatch.setattr("edge_agent.service.doctor_disk.STUCK_S", 0.0)
    assert found(case, "disk")[1].verdict == "fail"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


# --- the database --------------------------------------------------------------------------------


def test_a_sound_database_and_one_that_is_not_there(tmp_path: Path, replayed_state: Path) -> None:
    assert "undamaged" in one(Case(tmp_path / "x", replayed_state), "database").message
    absent = one(Case(tmp_path / "x", tmp_path / "nowhere"), "database")
    assert (absent.verdict, "the first start" in absent.message) == ("ok", True)
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_database_fails(tmp_path: Path, replayed_state: Path) -> None:
    path = replayed_state / "edge.db"
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[2048 : len(data) // 2] = b"\xff" * (len(data) // 2 - 2048)
    path.write_bytes(data)
    damaged = one(Case(tmp_path / "x", replayed_state), "database")
    assert damaged.verdict == "fail"
    assert "damaged" in damaged.message
    assert damaged.hint


def test_a_file_that_is_no_database_and_a_newer_one_fail(
    tmp_path: Path, replayed_state: Path
) -> None:
    path = replayed_state / "edge.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "newer edge-agent" in one(Case(tmp_path / "x", replayed_state), "database").message
    path.write_bytes(b"this is a text" * 100)
    assert one(Case(tmp_path / "x", replayed_state), "database").verdict == "fail"


def test_a_check_of_the_database_is_given_up_in_time(
    tmp_path: Path, replayed_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.store.examine._STEPS", 1)
    monkeypatch.setattr("edge_agent.service.doctor_store.SECONDS", 0.0)
    late = one(Case(tmp_path / "x", replayed_state), "database")
    assert late.verdict == "warn"
    assert "not checked to its end" in late.message


def test_the_agent_writes_on_while_its_database_is_checked(replayed_state: Path) -> None:
    case = Case(replayed_state / "x", replayed_state)
    with open_store(replayed_state) as store:
        store.start()
        row = FramesRow("yard", 1.0, 2.0, inferred=5, skipped={})
        store.record(Batch(frames=(row,)))
        assert one(case, "database").verdict == "ok"
        store.record(Batch(frames=(row,)))


# --- permissions ---------------------------------------------------------------------------------

NOBODY = 65534


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """A state directory of another user than the one that looks."""
    if os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    state = tmp_path / "state"
    state.mkdir(0o700)
    os.chown(state, NOBODY, NOBODY)
    return state


def test_a_file_that_root_left_behind_fails(tmp_path: Path, owned: Path) -> None:
    case = case_in(tmp_path)
    case.path.chmod(0o644)
    assert one(case, "permissions").verdict == "ok"
    (owned / "edge.db").write_bytes(b"")
    fault = one(case, "permissions")
    assert fault.verdict == "fail"
    assert "was the agent once started by hand?" in fault.message
    assert fault.hint == f"sudo chown -R nobody: {owned}"


def test_what_the_agent_may_not_read_fails(tmp_path: Path, owned: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    text = CONFIG + 'mqtt: {host: localhost, username: u, password: "${file:secret}"}\n'
    case = case_in(tmp_path, text)
    case.path.chmod(0o640)
    findings = list(examine(case, ("configuration", "permissions")))[1:]
    assert [each.verdict for each in findings] == ["fail", "fail"]
    assert "nobody may not read the configuration" in findings[0].message
    assert "nobody may not read the secret" in findings[1].message
    assert findings[1].hint.startswith("sudo chgrp ")


def test_a_secret_that_everybody_may_read_is_told_once_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o644)
    text = CONFIG + 'mqtt: {host: localhost, username: u, password: "${file:secret}"}\n'
    checked, told = examine(case_in(tmp_path, text), ("configuration", "permissions"))
    assert (checked.verdict, told.verdict) == ("ok", "warn")
    assert told.hint == f"sudo chmod o-r {tmp_path / 'secret'}"


def test_a_device_of_another_group_fails(tmp_path: Path, owned: Path) -> None:
    device = tmp_path / "tty"
    device.write_bytes(b"")
    device.chmod(0o660)
    text = CONFIG.replace(
        "sources: {yard", f'sources: {{motor: {{kind: signal, uri: "serial:{device}"}}, yard'
    )
    case = case_in(tmp_path, text)
    case.path.chmod(0o644)
    fault = list(examine(case, ("configuration", "permissions")))[-1]
    assert fault.verdict == "fail"
    assert f"nobody may not use {device}" in fault.message
    assert fault.hint.startswith("sudo usermod -aG root nobody")


def test_a_state_directory_that_others_may_enter_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(0o755)
    (tmp_path / "state").chmod(0o755)
    told = one(case_in(tmp_path), "permissions")
    assert (told.verdict, told.hint) == ("warn", f"sudo chmod 700 {tmp_path / 'state'}")


# --- the unit ------------------------------------------------------------------------------------


def test_the_unit_is_installed_current_and_enabled(tmp_path: Path) -> None:
    root = tmp_path / "root"
    case = case_in(tmp_path, root=root)
    assert one(case, "unit").verdict == "skipped"
    assert "not run by systemd" in one(case, "unit").message
    (root / "run/systemd/system").mkdir(parents=True)
    absent = one(case, "unit")
    assert "is not installed" in absent.message
    place = root / "etc/systemd/system/edge-agent.service"
    assert absent.hint.startswith(f"install it: sudo install -m 644 {packaged()} {place} && ")
    (place.parent / "multi-user.target.wants").mkdir(parents=True)
    place.write_bytes(packaged().read_bytes())
    assert "is not started at boot" in one(case, "unit").message
    (place.parent / "multi-user.target.wants" / place.name).symlink_to(place)
    assert one(case, "unit").verdict == "ok"
    place.write_bytes(packaged().read_bytes() + b"# mine\n")
    old = one(case, "unit")
    assert old.verdict == "warn"
    assert "is not the one of this version" in old.message
    assert old.hint.endswith("&& sudo systemctl daemon-reload")
