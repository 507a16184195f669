"""A check in a process of its own: its answer, its errors, its end."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from file_server import Server, serving
from signed_repository import SignedRepository, rollout

from edge_agent.errors import EdgeError, NoRoom, Refused, UsageError
from edge_agent.updates import errand
from edge_agent.updates.checked import last_check
from edge_agent.updates.errand import Leash, Stopped, check, fetch
from edge_agent.updates.failures import BudgetSpent, NotServed, Unreachable
from edge_agent.updates.source import Now, Source


@pytest.fixture
def signed(tmp_path: Path) -> SignedRepository:
    made = SignedRepository(tmp_path / "repository", datetime.now(UTC) + timedelta(days=10))
    made.put_model(b"x" * 100_000)
    made.put_rollout(rollout())
    made.publish("models", "rollouts")
    return made


def source(folder: Path, address: str, signed: SignedRepository) -> Source:
    root = folder / "root.json"
    root.write_bytes(signed.bootstrap)
    return Source(address, str(folder / "state"), str(root))


def now() -> Now:
    return Now(time.time())


def children() -> list[str]:
    """Processes of ours that still carry out an errand."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"updates.child" in (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


def test_an_offer_and_a_file_come_back(tmp_path: Path, signed: SignedRepository) -> None:
    asked = source(tmp_path, str(signed.folder), signed)
    offer = check(asked, now())
    assert offer.orders[0].rollout == rollout()
    target = offer.orders[0].target
    assert target is not None
    path = fetch(asked, now(), target, tmp_path / "staged")
    assert path.read_bytes() == b"x" * 100_000
    kept = last_check(tmp_path / "state")
    assert kept is not None
    assert kept.offer == offer
    assert children() == []


def test_an_error_is_the_same_here(tmp_path: Path, signed: SignedRepository) -> None:
    with serving(signed.folder) as server:
        asked = source(tmp_path, server.url, signed)
        (signed.folder / "metadata" / "timestamp.json").unlink()
        with pytest.raises(NotServed, match="HTTP 404") as absent:
            check(asked, now())
        assert absent.value.status == 404
        signed.keys["timestamp"] = ["thief"]
        signed.stamp()
        with pytest.raises(Refused, match="not signed by enough") as refused:
            check(asked, now())
        assert refused.value.next
    with pytest.raises(UsageError, match="no folder"):
        check(source(tmp_path, str(tmp_path / "unplugged"), signed), now())
    kept = last_check(tmp_path / "state")
    assert kept is not None
    assert kept.failure is not None


@pytest.mark.parametrize("kind", [NoRoom, BudgetSpent, Unreachable, EdgeError, UsageError])
def test_every_kind_of_error_travels(kind: type[EdgeError]) -> None:
    said = f'{{"error": {{"kind": "{kind.__name__}", "message": "m", "next": "n", "status": 0}}}}'
    with pytest.raises(kind) as caught:
        errand._read(said, "", 0)
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.next) == ("m", "n")


def test_a_child_that_dies_is_one_sentence() -> None:
    with pytest.raises(EdgeError, match=r"code -9 and said: nothing"):
        errand._read("", "", -9)
    with pytest.raises(EdgeError, match="said: MemoryError"):
        errand._read("", "Traceback ...\nMemoryError\n", 1)


@pytest.fixture
def silent(signed: SignedRepository) -> Server:
    """Takes the request and never answers."""
    with serving(signed.folder) as server:
        server.tricks.append(lambda handler, path: server.over.wait(30))
        yield server


def test_a_stop_and_a_late_child_leave_none_behind(
    tmp_path: Path, signed: SignedRepository, silent: Server
) -> None:
    asked = source(tmp_path, silent.url, signed)
    stop = threading.Event()

    def stopped() -> bool:
        if silent.asked:
            stop.set()
        return stop.is_set()

    with pytest.raises(Stopped):
        check(asked, now(), Leash(60, stopped))
    assert children() == []
    with pytest.raises(Unreachable, match=r"did not end within 0\.1 s"):
        check(asked, now(), Leash(0.1))
    assert children() == []
