"""What lies in a support bundle: one function a file, its text as it is, not yet scrubbed.

A function raises EdgeError or OSError where there is nothing to be had: its file then says why.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from edge_agent import __version__
from edge_agent.errors import EdgeError, NotRunning, UsageError
from edge_agent.host.board import read_board, text_of
from edge_agent.host.thermometer import find_sensors, read_sensor
from edge_agent.host.throttling import read_throttling
from edge_agent.policy.documents import dump
from edge_agent.service.check import check
from edge_agent.service.control import ask, up_to_date
from edge_agent.service.doctor import document, examine
from edge_agent.service.doctor_disk import existing
from edge_agent.service.doctor_finding import Case
from edge_agent.service.ledger import frames_document
from edge_agent.service.overlay import overlay
from edge_agent.service.status import stored_status
from edge_agent.store.examine import examine as examine_store
from edge_agent.store.examine import newest_rows
from edge_agent.store.query import open_reader

UNIT = "edge-agent"
LOG_LINES = 5000
ROWS = 200
SECONDS = 20.0
#: Variables that change what the agent does; the others are nobody's business.
_TELLING = ("EDGE_AGENT", "PYTHON", "OPENCV", "OMP_", "LANG", "LC_", "TZ", "NO_COLOR", "STATE_DIR")


def versions(case: Case) -> str:
    installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return dump(
        {
            "edge_agent": __version__,
            "python": sys.version,
            "executable": sys.executable,
            "platform": platform.platform(),
            "libc": " ".join(platform.libc_ver()),
            "distributions": dict(sorted(installed.items(), key=lambda each: str(each[0]).lower())),
        }
    )


def host(case: Case) -> str:
    """The board without its serial number, its memory, its disk, its heat."""
    board = read_board(case.here.root)
    disk = os.statvfs(existing(case.state))
    throttling = read_throttling(case.sysfs)
    memory = [line.split() for line in text_of(Path("/proc/meminfo")).splitlines()[:5]]
    return dump(
        {
            "hostname": board.hostname,
            "model": board.model,
            "cpus": board.cpus,
            "uptime_s": text_of(Path("/proc/uptime")).partition(" ")[0],
            "memory_kb": {words[0].rstrip(":"): int(words[1]) for words in memory},
            "disk_bytes": {
                "size": disk.f_blocks * disk.f_frsize,
                "free": disk.f_bavail * disk.f_frsize,
            },
            "sensors": [asdict(read_sensor(each)) for each in find_sensors(case.sysfs)],
            "troubles_now": sorted(throttling.now),
            "troubles_since_boot": sorted(throttling.since_boot),
        }
    )


def environment(case: Case) -> str:
    lines = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.upper().startswith(_TELLING)
    ]
    return "".join(f"{line}\n" for line in lines)


def configuration(case: Case) -> str:
    try:
        return case.path.read_bytes().decode("utf-8", "replace")
    except OSError as fault:
        raise UsageError(f"{case.path}: {fault.strerror}") from None


def laid_over(case: Case) -> str:
    """The policies in charge and what was set by hand, in the order in which they lie."""
    texts = []
    for file in files_over(case):
        try:
            text = file.read_bytes().decode("utf-8", "replace")
        except OSError as fault:
            text = f"# not there: {fault.strerror}\n"
        texts.append(f"--- # {file}\n{text}")
    return "".join(texts) or "# nothing lies over the configuration\n"


def files_over(case: Case) -> tuple[Path, ...]:
    over = overlay(case.path, case.state)
    return over.policies if over.local is None else (*over.policies, over.local)


def mistakes(case: Case) -> str:
    report = check(case.path, None, case.state)
    lines = [*map(str, report.mistakes), *(f"{each} (a warning)" for each in report.warnings)]
    return "".join(f"{line}\n" for line in lines or ["no mistakes"])


def doctor(case: Case) -> str:
    return dump(document(case, list(examine(case))))


def status(case: Case) -> str:
    """From the running agent, else from its database."""
    try:
        return json.dumps(ask(case.state, "status"), ensure_ascii=False)
    except NotRunning as silence:
        now = case.here.clock.now() + case.here.clock.wall_offset()
        with open_reader(case.state) as reader:
            return json.dumps(stored_status(reader.last_status(), now, silence), ensure_ascii=False)


def ledger(case: Case) -> str:
    """Every pipeline's account over all that is kept."""
    up_to_date(case.state)
    with open_reader(case.state) as reader:
        return dump({name: frames_document(each) for name, each in reader.ledger().items()})


def events(case: Case) -> str:
    """The newest events, for people to read."""
    from edge_agent.policy.documents import rfc3339
    from edge_agent.store.rows import EventFilter

    with open_reader(case.state) as reader:
        found = [stored.event for stored in reader.events(EventFilter(limit=ROWS))]
    return "".join(
        f"{rfc3339(each.opened)}  {each.priority.value:<6}  {each.pipeline}/{each.rule}: "
        f"{each.text} ({each.close_reason or 'open'}, edge-agent why {each.id})\n"
        for each in found
    )


def database(case: Case) -> str:
    """Sizes, damage, and how many rows each table has."""
    found = examine_store(case.state, SECONDS, count=True)
    if found is None:
        raise UsageError(f"there is no database in {case.state}")
    return dump({**asdict(found), "faults": list(found.faults)})


#: Name -> what it is, and how it is made; in the order of the bundle.
MEMBERS: dict[str, tuple[str, Callable[[Case], str]]] = {
    "versions.json": ("edge-agent, Python, every installed package", versions),
    "host.json": ("board, memory, disk, temperature, power", host),
    "environment.txt": ("the variables that change what the agent does", environment),
    "config.yaml": ("the configuration", configuration),
    "laid-over.yaml": ("the policies in charge, and what was set by hand", laid_over),
    "check.txt": ("what is wrong with the configuration", mistakes),
    "doctor.json": ("what edge-agent doctor finds", doctor),
    "status.json": ("what edge-agent status says", status),
    "ledger.json": ("frames captured, inferred, skipped, by pipeline", ledger),
    "events.txt": ("the newest events, in words", events),
    "database.json": ("size, damage and rows of the database", database),
}


def tables(case: Case) -> Iterator[tuple[str, str]]:
    """Table -> its newest rows, one JSON a line. Raises EdgeError where there is no database."""
    if examine_store(case.state, SECONDS) is None:
        raise EdgeError(f"there is no database in {case.state}")
    for table, rows in newest_rows(case.state, ROWS, SECONDS).items():
        yield table, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def log_tail(file: Path | None) -> str:
    """The end of that file, else of the unit's journal."""
    if file is not None:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - 1_000_000))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]) + "\n"
    program = shutil.which("journalctl")
    if program is None:
        raise UsageError("this host has no journal", "name the log's file: --log FILE")
    command = [program, "--unit", UNIT, "--lines", str(LOG_LINES), "--no-pager", "-o", "short-iso"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise EdgeError(f"journalctl did not answer within {SECONDS:g} s") from None
    return (done.stdout or done.stderr).decode("utf-8", "replace")


def pictures(case: Case, most: int) -> Iterator[tuple[str, bytes]]:
    """The newest files of the evidence, as long as they fit."""
    folder = case.state / "evidence"
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    left = most
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        left -= path.stat().st_size
        if left < 0:
            return
        yield str(path.relative_to(folder)), path.read_bytes()
