"""The ledger law: every reading balances, and windows add up to the account."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.service.ledger import Account, total
from edge_agent.types import Ledger, Skip

VERDICTS = [*Skip, "infer", "fail"]


def decide(account: Account, verdict: Skip | str) -> None:
    if isinstance(verdict, Skip):
        account.skip(verdict)
    elif verdict == "infer":
        account.infer()
    else:
        account.fail()


def write_down(account: Account) -> Ledger:
    """What housekeeping does: read the window, write it, and only then mark it as written."""
    window, now = account.window()
    account.window()  # a write that failed changes nothing
    account.mark(now)
    return window


@given(st.lists(st.sampled_from([*VERDICTS, "window"]), max_size=60), st.integers(0, 5))
def test_every_reading_balances_and_windows_add_up(steps: list[Skip | str], waiting: int) -> None:
    account, windows = Account(), []
    for step in steps:
        if step == "window":
            windows.append(write_down(account))
            continue
        account.offer()
        assert account.ledger().balanced
        decide(account, step)
        assert account.ledger().balanced
    for _ in range(waiting):
        account.offer()
    windows.append(write_down(account))
    final, summed = account.ledger(), total(windows)
    assert final.balanced
    assert final.pending == waiting
    assert (summed.inferred, summed.skipped, summed.failed) == (
        final.inferred,
        final.skipped,
        final.failed,
    )
    assert summed.captured + waiting == final.captured


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.sampled_from(VERDICTS), max_size=200), min_size=2, max_size=4))
def test_it_balances_at_every_instant_with_concurrent_threads(
    plans: list[list[Skip | str]],
) -> None:
    account = Account()
    done = threading.Event()
    readings: list[Ledger] = []
    windows: list[Ledger] = []

    def work(plan: list[Skip | str]) -> Callable[[], None]:
        def run() -> None:
            for verdict in plan:
                account.offer()
                decide(account, verdict)

        return run

    def read() -> None:
        while not done.is_set():
            readings.append(account.ledger())
            windows.append(write_down(account))

    reader = threading.Thread(target=read)
    workers = [threading.Thread(target=work(plan)) for plan in plans]
    reader.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    done.set()
    reader.join(30)
    readings.append(account.ledger())
    assert all(reading.balanced for reading in readings)
    assert readings[-1].captured == sum(len(plan) for plan in plans)
    assert readings[-1].pending == 0
    windows.append(write_down(account))
    assert total(windows).captured == readings[-1].captured  # nothing counted twice, nothing lost
