"""Live samples: sockets, serial lines (a pty), pipes and growing files; stalls, ends, returns."""

from __future__ import annotations

import os
import pty
import resource
import socket
import struct
import threading
import time

import pytest

from edge_agent.config.signal_uri import parse
from edge_agent.errors import EdgeError, SourceLost
from edge_agent.sources.signal import Framing, Signal
from edge_agent.sources.signal_kinds import Access, samples_of
from edge_agent.types import Broken, Frame

LONG = 20.0


def signal(uri, stall_s=LONG, rate_hz=100.0, window=4, **framing):
    samples = samples_of("motor", parse(uri), Access(rate_hz, stall_s))
    return Signal("motor", samples, Framing(window, window, rate_hz, stall_s=stall_s, **framing))


def column(item):
    assert isinstance(item, Frame), item
    return item.data[:, 0].tolist()


@pytest.fixture
def server():
    """A TCP server; `server.accept()` is the next connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LONG)

    class Server:
        port = listener.getsockname()[1]

        def accept(self):
            link, _ = listener.accept()
            return link

        def close(self):
            listener.close()

    yield Server()
    listener.close()


# --- tcp -----------------------------------------------------------------------------------------


def test_lines_over_tcp_become_windows(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    source.open()
    with server.accept() as link:
        link.sendall(b"1\n2\n3")
        link.sendall(b"\n4\n")
        assert column(source.read()) == [1, 2, 3, 4]
    source.close()


def test_binary_records_over_tcp_become_windows(server):
    uri = f"tcp://127.0.0.1:{server.port}?format=i16le&channels=2&sync=a55a&scale=0.5"
    source = signal(uri, window=2)
    source.open()
    record = bytes.fromhex("a55a") + struct.pack("<2h", 10, -4)
    with server.accept() as link:
        link.sendall(record * 2)
        assert source.read().data.tolist() == [[5, -2], [5, -2]]
    source.close()


def test_the_time_of_a_live_window_is_when_its_last_sample_came(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    source.open()
    with server.accept() as link:
        before = time.monotonic()
        link.sendall(b"1\n2\n3\n4\n5\n")
        window = source.read()
        late = time.monotonic() - window.time
        assert 0 <= late <= time.monotonic() - before + 0.01 + 1e-6
    source.close()


def test_a_server_that_falls_silent_is_lost(server):
    source = signal(f"tcp:127.0.0.1:{server.port}", stall_s=0.2)
    source.open()
    with server.accept() as link:
        link.sendall(b"1\n2\n")
        with pytest.raises(SourceLost, match=r"gave no sample for 0\.2 s"):
            source.read()
    source.close()


def read_while_broken(source):
    while isinstance(item := source.read(), Broken):
        pass
    return item


def sent_for_ever(server, data):
    """From the next connection on, until whoever reads it hangs up."""

    def send():
        with server.accept() as link:
            try:
                while True:
                    link.sendall(data)
            except OSError:
                return

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


#: Four samples in a row, and five seconds without one.
GAPS = "".join(f"{i // 4 * 5 + i % 4 * 0.01:.2f},1\n" for i in range(400)).encode()


@pytest.mark.parametrize(
    ("options", "data", "why"),
    [
        ("", b"x" * 100_000, "gave no sample"),
        ("", b"\xff\x00hello\n" * 1000, "gave no sample for 0.3 s, only damage: lines"),
        ("", b"1\n" + b"nan\n" * 1000, "gave no whole window"),
        ("?format=f32le", struct.pack("<f", float("nan")) * 1000, "gave no sample"),
        ("?format=f32le", struct.pack("<8f", *[1.0] * 7, float("inf")) * 1000, "no whole window"),
        ("?format=i16le&sync=a55a", b"\x00" * 100_000, "gave no sample"),
        ("", "".join(f"{i * 0.01},1,2,3\n" for i in range(9)).encode(), "has 4 channels, the mod"),
        ("?time=1&columns=2", GAPS, "no whole window"),
    ],
)
def test_a_server_that_sends_without_end_and_nothing_of_use_is_lost(server, options, data, why):
    """Not borne for ever because it is not silent; and it never reaches a model."""
    source = signal(f"tcp:127.0.0.1:{server.port}{options}", stall_s=0.3, window=8, channels=1)
    thread = sent_for_ever(server, data)
    source.open()
    with pytest.raises(EdgeError, match=why):
        read_while_broken(source)
    source.close()
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("greeting", "options"),
    [
        (b"I am a sensor, version 1.2\n", "?columns=2"),
        (b"ready\n\nx,y,z\n", "?columns=y"),
        (b"# boot\n# calibrated\n", "?columns=2"),
        (b"", "?columns=2"),
    ],
)
def test_a_device_may_say_who_it_is_before_its_first_sample(server, greeting, options):
    source = signal(f"tcp:127.0.0.1:{server.port}{options}")
    source.open()
    with server.accept() as link:
        link.sendall(greeting + b"1,10,1\n2,20,1\n3,30,1\n4,40,1\n")
        assert column(read_while_broken(source)) == [10, 20, 30, 40]
    source.close()


def test_a_connection_that_ends_is_lost_and_comes_back_with_a_window_of_its_own(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    source.open()
    with server.accept() as link:
        link.sendall(b"1\n2\n3\n")
    with pytest.raises(SourceLost, match="ended the connection"):
        source.read()
    source.close()
    source.open()
    with server.accept() as link:
        link.sendall(b"4\n5\n6\n7\n")
        assert column(source.read()) == [4, 5, 6, 7]
    source.close()


def test_nobody_there_is_lost_at_once_and_says_so():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SourceLost, match="cannot be reached: connection refused"):
        signal(f"tcp:127.0.0.1:{port}").open()


def test_a_name_that_is_none_is_lost():
    with pytest.raises(SourceLost, match=r"cannot be (resolved|looked up)"):
        signal("tcp:no-such-host.invalid:4000").open()


def test_closing_from_another_thread_ends_a_read_at_once(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    source.open()
    with server.accept():
        threading.Timer(0.1, source.close).start()
        began = time.monotonic()
        with pytest.raises(SourceLost, match="was closed"):
            source.read()
        assert time.monotonic() - began < LONG / 2
    with pytest.raises(SourceLost):
        source.read()


def test_waiting_costs_no_processor(server):
    source = signal(f"tcp:127.0.0.1:{server.port}", stall_s=1.0)
    source.open()
    with server.accept():
        before = resource.getrusage(resource.RUSAGE_THREAD)
        with pytest.raises(SourceLost):
            source.read()
        after = resource.getrusage(resource.RUSAGE_THREAD)
    source.close()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2


def test_fifty_losses_leave_no_descriptor_and_no_thread_behind(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    descriptors = threads = 0
    for round_ in range(50):
        source.open()
        server.accept().close()
        with pytest.raises(SourceLost):
            source.read()
        source.close()
        if round_ == 5:
            descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert threading.active_count() <= threads


def test_the_counts_outlive_a_loss(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    for _ in range(2):
        source.open()
        with server.accept() as link:
            link.sendall(b"1\nx\n2\n3\n")
            while not isinstance(source.read(), Broken):
                pass
            assert isinstance(source.read(), Broken)
        source.close()
    assert source.notes["bad_lines"] == 2
    assert source.notes["missing_samples"] == 2


def test_live_samples_may_bear_times_that_are_a_little_late(server):
    """A loop that is held up now and then: three periods late, and back in step."""
    source = signal(f"tcp:127.0.0.1:{server.port}?columns=2&time=1", window=100)
    late = [0.03 if number % 37 == 5 else 0.0 for number in range(400)]
    source.open()
    with server.accept() as link:
        lines = [f"{number / 100 + late[number]:.3f},{number}\n" for number in range(400)]
        link.sendall("".join(lines).encode())
        assert [column(source.read())[0] for _ in range(4)] == [0, 100, 200, 300]
    assert source.notes == {"jittered_times": 22}
    source.close()


def test_live_samples_that_bear_times_are_held_to_the_rate(server):
    source = signal(f"tcp:127.0.0.1:{server.port}?columns=2&time=1", window=100)
    source.open()
    with server.accept() as link:
        link.sendall("".join(f"{number / 80:.4f},{number}\n" for number in range(400)).encode())
        with pytest.raises(EdgeError, match=r"has 80 samples a second, .* says 100"):
            read_while_broken(source)
    source.close()


def test_a_connection_that_cannot_be_made_counts_nothing_again(server):
    source = signal(f"tcp:127.0.0.1:{server.port}")
    source.open()
    with server.accept() as link:
        link.sendall(b"1\nx\n2\n3\n4\n")
        while not isinstance(source.read(), Broken):
            pass
    source.close()
    server.close()
    for _ in range(3):
        with pytest.raises(SourceLost):
            source.open()
        source.close()
    assert source.notes["bad_lines"] == 1


# --- serial --------------------------------------------------------------------------------------


@pytest.fixture
def line():
    """The far end of a serial line, and the name of the near one."""
    far, near = pty.openpty()
    yield far, os.ttyname(near)
    for descriptor in (far, near):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_a_serial_line_is_entered_half_way(line):
    far, name = line
    source = signal(f"serial:{name}?baud=9600")
    source.open()
    os.write(far, b".5\n1\n2\n3\n4\n")
    assert column(source.read()) == [1, 2, 3, 4]
    source.close()


def test_bytes_of_a_serial_line_are_not_touched(line):
    """Raw: no translation of line ends, no echo, no control characters."""
    far, name = line
    numbers = [0x0A0D, 0x0311, 0x1304, 0x7F1A]
    source = signal(f"serial:{name}?format=i16le&sync=a55a")
    source.open()
    os.write(far, b"".join(b"\xa5\x5a" + struct.pack("<h", each) for each in numbers))
    assert column(source.read()) == numbers
    source.close()


def test_a_serial_line_that_is_pulled_out_is_lost(line):
    far, name = line
    source = signal(f"serial:{name}")
    source.open()
    os.close(far)
    with pytest.raises(SourceLost, match=r"is gone|ended"):
        source.read()
    source.close()


@pytest.mark.parametrize(
    ("device", "why"), [("/dev/none", "No such file"), ("/dev/null", "no serial line")]
)
def test_a_device_that_is_no_serial_line_is_lost_with_the_reason(device, why):
    with pytest.raises(SourceLost, match=why):
        signal(f"serial:{device}").open()


# --- pipes and growing files ---------------------------------------------------------------------


def test_a_named_pipe_whose_writer_comes_and_goes(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = signal(f"csv:{path}")
    source.open()
    with path.open("w") as writer:
        writer.write("1\n2\n")
    with path.open("w") as writer:
        writer.write("3\n4\n")
    assert column(source.read()) == [1, 2, 3, 4]
    source.close()


def test_a_growing_file_is_read_from_its_end_with_its_header(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("x,y\n1,10\n2,20\n3,")
    source = signal(f"csv:{path}?follow=1&columns=y")
    source.open()
    with path.open("a") as writer:
        writer.write("30\n4,40\n5,50\n6,60\n")
    assert column(source.read()) == [30, 40, 50, 60]
    source.close()


def test_a_growing_file_that_is_no_text_says_so(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("1\n2\n".encode("utf-16"))
    before = len(os.listdir("/proc/self/fd"))
    source = signal(f"csv:{path}?follow=1")
    with pytest.raises(EdgeError, match="it is UTF-16, save it as UTF-8"):
        source.open()
    source.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_byte_now_and_then_is_silence(server):
    source = signal(f"tcp:127.0.0.1:{server.port}", stall_s=0.4)
    source.open()
    with server.accept() as link:
        stop = threading.Event()

        def drip():
            while not stop.wait(0.05):
                link.sendall(b"1")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(SourceLost, match=r"gave no sample for 0\.4 s"):
            source.read()
        assert time.monotonic() - began < LONG / 2
        stop.set()
        thread.join()
    source.close()


@pytest.mark.parametrize("how", ["replaced", "removed", "cut short"])
def test_a_growing_file_that_is_rotated_is_lost(tmp_path, how):
    path = tmp_path / "log.csv"
    path.write_text("1\n2\n3\n")
    source = signal(f"csv:{path}?follow=1")
    source.open()
    if how == "replaced":
        (tmp_path / "new").write_text("9\n")
        (tmp_path / "new").rename(path)
    elif how == "removed":
        path.unlink()
    else:
        os.truncate(path, 0)
    with pytest.raises(SourceLost, match=how):
        source.read()
    source.close()


def test_a_growing_file_that_does_not_grow_is_lost(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("1\n")
    source = signal(f"csv:{path}?follow=1", stall_s=0.3)
    source.open()
    with pytest.raises(SourceLost, match=r"gave no sample for 0\.3 s"):
        source.read()
    source.close()
