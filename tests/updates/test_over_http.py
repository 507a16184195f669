"""Servers that are slow, cut off, redirect, refuse: each is bounded, each has its reason."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import Handler, Server, serving
from ota_box import LIMITS, Box
from signed_repository import NOW, SignedRepository, rollout, tree

from edge_agent.durable import read_document
from edge_agent.errors import NoRoom
from edge_agent.updates import room
from edge_agent.updates.budget import AHEAD, Budget
from edge_agent.updates.failures import BudgetSpent, NotServed, Unreachable
from edge_agent.updates.offer import Target
from edge_agent.updates.over_http import HttpOpener

BIG = bytes(range(256)) * 2000  # half a megabyte
DAY = 86_400
IMPATIENT = replace(LIMITS, rate=1000, rate_s=0.3)


@pytest.fixture
def target(web: Box, signed: SignedRepository) -> Target:
    """A model that the device knows of and does not have."""
    signed.put_model(BIG)
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    found = web.check().orders[0].target
    assert found is not None
    return found


def of_model(handler: Handler, path: Path) -> bool:
    return path.name.endswith(".1.1.tar")


@contextmanager
def unreachable(web: Box, reason: str) -> Iterator[None]:
    before = tree(web.state / "ota" / "metadata")
    with pytest.raises(Unreachable, match=reason) as caught:
        yield
    assert caught.value.next
    assert tree(web.state / "ota" / "metadata") == before


# --- slow --------------------------------------------------------------------------------------


def test_a_silent_server(web: Box, server: Server) -> None:
    web.check()
    web.limits = replace(LIMITS, silence_s=0.3)
    server.tricks.append(lambda handler, path: server.over.wait(20))
    with unreachable(web, r"127.0.0.1:\d+ was silent for 0.3 s"):
        web.check()
    assert len(web.pauses) == 3  # four attempts, and a wait between them
    assert web.pauses == sorted(web.pauses)


def test_headers_by_drops(web: Box, server: Server) -> None:
    """Each drop ends the wait for the next byte; together they have a limit, too."""
    web.check()

    def drip(handler: Handler, path: Path) -> bool:
        for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1000:
            if server.over.wait(0.1):
                break
            handler.wfile.write(bytes([letter]))
            handler.wfile.flush()
        return True

    web.limits = replace(LIMITS, answer_s=0.4)
    server.tricks.append(drip)
    with unreachable(web, r"no whole answer within 0.4 s"):
        web.check()


def test_a_body_by_drops(web: Box, server: Server) -> None:
    web.check()

    def drip(handler: Handler, path: Path) -> bool:
        handler.begin(1000)
        for _ in range(1000):
            if server.over.wait(0.1):
                break
            handler.wfile.write(b"[")
            handler.wfile.flush()
        return True

    web.limits = IMPATIENT
    server.tricks.append(drip)
    with unreachable(web, r"sent \d+ bytes in \d s, less than 1000 a second"):
        web.check()


def test_a_target_by_drops(web: Box, server: Server, target: Target) -> None:
    def drip(handler: Handler, path: Path) -> bool:
        if not of_model(handler, path):
            return False
        handler.begin(len(BIG))
        while not server.over.wait(0.1):
            handler.wfile.write(b"[")
            handler.wfile.flush()
        return True

    web.limits = IMPATIENT
    server.tricks.append(drip)
    with unreachable(web, "less than 1000 a second"):
        web.fetch(target)


def test_all_of_the_metadata_together_has_a_limit(web: Box, server: Server) -> None:
    web.limits = replace(LIMITS, refresh_s=0.0)
    with pytest.raises(Unreachable, match="metadata took more than 0 s"):
        web.check()


def test_nobody_listens(web: Box) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with (
        pytest.raises(Unreachable, match=r"cannot be reached: .*refused"),
        opened(f"http://127.0.0.1:{port}/x"),
    ):
        pass


# --- cut, and going on -------------------------------------------------------------------------


def cut_after(server: Server, size: int, times: int) -> None:
    """The line breaks after `size` bytes of a target, that many times."""
    left = [times]

    def trick(handler: Handler, path: Path) -> bool:
        if not of_model(handler, path) or not left[0]:
            return False
        left[0] -= 1
        content = path.read_bytes()
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        handler.begin(len(content) - start, start, len(content))
        handler.wfile.write(content[start : start + size])
        handler.close_connection = True
        return True

    server.tricks.append(trick)


def asked_for_model(server: Server) -> list[str]:
    return [span for name, span in server.asked if name.endswith(".1.1.tar")]


def test_a_cut_line_goes_on_where_it_was(web: Box, server: Server, target: Target) -> None:
    cut_after(server, 100_000, times=5)  # more often than patience has attempts
    assert web.fetch(target).read_bytes() == BIG
    assert asked_for_model(server) == ["", *[f"bytes={n}00000-" for n in range(1, 6)]]


def test_another_start_of_the_agent_goes_on_too(web: Box, server: Server, target: Target) -> None:
    cut_after(server, 30_000, times=4)  # too little each time: given up
    with unreachable(web, "127.0.0.1"):
        web.fetch(target)
    server.tricks.clear()
    server.asked.clear()
    assert web.fetch(target).read_bytes() == BIG
    assert asked_for_model(server) == ["bytes=120000-"]


def test_a_server_without_ranges_sends_all_of_it_again(
    web: Box, server: Server, target: Target
) -> None:
    cut_after(server, 100_000, times=1)

    def whole(handler: Handler, path: Path) -> bool:
        if not of_model(handler, path):
            return False
        handler.begin(len(BIG))
        handler.wfile.write(BIG)
        return True

    server.tricks.append(whole)
    assert web.fetch(target).read_bytes() == BIG


def test_a_part_that_a_power_cut_ate_accuses_nobody(
    web: Box, server: Server, target: Target
) -> None:
    staged = web.state / "staged"
    staged.mkdir(parents=True)
    (staged / f".{target.sha256}.part").write_bytes(bytes(200_000))
    assert web.fetch(target).read_bytes() == BIG
    assert asked_for_model(server) == ["bytes=200000-", ""]


@pytest.mark.parametrize("size", [len(BIG), len(BIG) + 5])
def test_a_part_that_is_as_long_or_longer(
    web: Box, server: Server, target: Target, size: int
) -> None:
    staged = web.state / "staged"
    staged.mkdir(parents=True)
    (staged / f".{target.sha256}.part").write_bytes(bytes(size))
    (staged / ".older.part").write_bytes(b"of a target that nobody wants any more")
    assert web.fetch(target).read_bytes() == BIG
    assert [path.name for path in staged.iterdir()] == ["1.1.tar"]


def test_other_bytes_than_were_asked_for(web: Box, server: Server, target: Target) -> None:
    cut_after(server, 100_000, times=1)

    def elsewhere(handler: Handler, path: Path) -> bool:
        if not of_model(handler, path):
            return False
        handler.begin(len(BIG) - 5, 5, len(BIG))
        handler.wfile.write(BIG[5:])
        return True

    server.tricks.append(elsewhere)
    with unreachable(web, "answers with other bytes than were asked for"):
        web.fetch(target)


# --- refused -----------------------------------------------------------------------------------


def answers(status: int, **headers: str):
    def trick(handler: Handler, path: Path) -> bool:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    return trick


@pytest.mark.parametrize(("status", "advice"), [(401, "login"), (410, "ask who"), (404, "copied")])
def test_a_clear_no_is_given_up_at_once(
    web: Box, server: Server, target: Target, status: int, advice: str
) -> None:
    server.tricks.append(lambda *of: of_model(*of) and answers(status)(*of))
    server.asked.clear()
    with pytest.raises(NotServed, match=f"HTTP {status}") as caught:
        web.fetch(target)
    assert caught.value.status == status
    assert advice in caught.value.next
    assert (asked_for_model(server), web.pauses) == ([""], [])


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again(
    web: Box, server: Server, target: Target, status: int
) -> None:
    server.tricks.append(lambda *of: of_model(*of) and answers(status)(*of))
    with unreachable(web, f"is not served now: HTTP {status}"):
        web.fetch(target)
    assert len(asked_for_model(server)) == 4


# --- redirects, proxies, certificates ----------------------------------------------------------


@contextmanager
def opened(url: str, **given) -> Iterator[bytes]:
    with closing(HttpOpener(LIMITS, **given)) as opener, opener.open(url) as answer:
        yield b"".join(answer.pieces)


def test_a_redirect_is_followed_to_another_host(
    web: Box, server: Server, signed: SignedRepository, target: Target, tmp_path: Path
) -> None:
    with serving(signed.folder) as cdn:
        server.tricks.append(
            lambda handler, path: (
                of_model(handler, path)
                and answers(302, Location=f"{cdn.url}{handler.path}")(handler, path)
            )
        )
        cut_after(cdn, 100_000, times=1)
        assert web.fetch(target).read_bytes() == BIG
        assert asked_for_model(cdn) == ["", "bytes=100000-"]


def test_redirects_in_a_circle_end(web: Box, server: Server) -> None:
    server.tricks.append(answers(302, Location="/again"))
    with pytest.raises(NotServed, match="leads on and on"):
        web.check()
    assert len(server.asked) == 6


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[bad"])
def test_a_redirect_to_what_is_no_web_server(server: Server, where: str) -> None:
    server.tricks.append(answers(302, Location=where))
    with pytest.raises(NotServed, match="no web server"), opened(f"{server.url}/x"):
        pass


def test_the_environments_proxy_is_asked_and_left_out_where_it_says_so(
    web: Box, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy gets the whole address; our server answers to any host."""
    monkeypatch.setenv("http_proxy", server.url)
    server.tricks.append(lambda handler, path: server.hosts.append(handler.headers["Host"]))
    with (
        pytest.raises(NotServed, match=r"models\.invalid"),
        opened("http://models.invalid/nothing"),
    ):
        pass
    assert server.hosts == ["models.invalid"]
    monkeypatch.setenv("no_proxy", "models.invalid")
    with (
        pytest.raises(Unreachable, match=r"name models\.invalid is not known"),
        opened("http://models.invalid/nothing"),
    ):
        pass


# --- room and budget ---------------------------------------------------------------------------


def test_space_is_looked_at_before_the_first_byte(web: Box, server: Server, target: Target) -> None:
    web.limits = replace(LIMITS, free_mb=1e9)
    with pytest.raises(NoRoom, match=r"0\.5 MB are needed on the disk") as caught:
        web.fetch(target)
    assert caught.value.exit_code == 5
    assert asked_for_model(server) == []


def test_memory_is_looked_at_before_the_first_byte(
    web: Box, server: Server, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemAvailable: 100 kB\n")
    with pytest.raises(NoRoom, match=r"0\.5 MB of memory"):
        room.require_memory(target.length, meminfo)
    room.require_memory(50_000, meminfo)
    room.require_memory(10**15, tmp_path / "nowhere")
    monkeypatch.setattr(room, "_available", lambda path: 1000)
    with pytest.raises(NoRoom, match="memory"):
        web.fetch(target)
    assert asked_for_model(server) == []


def test_a_budget_spreads_a_file_over_days_and_restarts(
    web: Box, server: Server, target: Target
) -> None:
    web.mb_per_day = 0.2
    with pytest.raises(BudgetSpent, match=r"0\.2 MB of today"):
        web.fetch(target)
    server.asked.clear()
    with pytest.raises(BudgetSpent):
        web.fetch(target)  # another process on the same day
    assert asked_for_model(server) == []
    assert web.check().orders[0].target == target  # metadata comes all the same
    for day in range(1, 9):
        try:
            path = web.fetch(target, NOW + day * DAY)
            break
        except BudgetSpent:
            continue
    assert path.read_bytes() == BIG
    assert day >= 2
    assert not any(span == "" for span in asked_for_model(server))


def test_a_kill_gives_no_budget_back(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    file, today = tmp_path / "spent.json", datetime(2026, 11, 30, tzinfo=UTC)
    Budget(file, 1.0, today).count(1000)  # and never settled
    assert 1000 <= read_document(file)["bytes"] <= 1000 + AHEAD
    again = Budget(file, 1.0, today)
    again.count(1)
    again.settle()
    with pytest.raises(BudgetSpent):
        again.check()
    assert Budget(file, 1.0, datetime(2026, 12, 1, tzinfo=UTC)).spent == 0


def test_a_stick_costs_no_budget(stick: Box, signed: SignedRepository) -> None:
    stick.mb_per_day = 0.000001
    signed.put_model(BIG)
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    target = stick.check().orders[0].target
    assert target is not None
    assert stick.fetch(target).read_bytes() == BIG
    assert not (stick.state / "ota" / "spent.json").exists()
