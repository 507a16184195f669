"""A wait is ended from another thread, also while its descriptors are given back."""

from __future__ import annotations

import os
import threading

from edge_agent.sources.wake import Wake


def test_whoever_is_too_late_writes_into_no_other_file(tmp_path):
    wake = Wake()
    wake.close()
    with (tmp_path / "edge.db").open("wb") as taken, (tmp_path / "next").open("wb") as also:
        wake.end()  # whose number was that of one of the two
        assert wake.over
        wake.close()
        os.write(taken.fileno(), b"whole")
        os.write(also.fileno(), b"whole")
    assert (tmp_path / "edge.db").read_bytes() == (tmp_path / "next").read_bytes() == b"whole"


def test_two_may_end_it_at_once_and_whoever_waits_is_woken():
    for _ in range(50):
        wake, woken = Wake(), threading.Event()

        def wait(wake=wake, woken=woken):
            wake.sleep(20)
            woken.set()

        waiting = threading.Thread(target=wait)
        ends = [threading.Thread(target=wake.end) for _ in range(2)]
        for thread in (waiting, *ends):
            thread.start()
        for thread in (*ends, waiting):
            thread.join(20)
        assert woken.is_set()
        assert wake.over
        wake.close()
        wake.end()  # and once more behind its close


def test_an_end_that_many_call_never_waits_for_room():
    """The pipe holds 65,536 bytes: nobody needs another one."""
    wake = Wake()
    for _ in range(70_000):
        wake.end()
    wake.close()


def test_an_end_and_a_close_may_come_at_once():
    faults = []

    def end(wake):
        try:
            for _ in range(20):
                wake.end()
        except OSError as fault:
            faults.append(fault)

    for _ in range(200):
        wake = Wake()
        thread = threading.Thread(target=end, args=(wake,))
        thread.start()
        wake.close()
        thread.join()
    assert faults == []
