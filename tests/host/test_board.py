"""A board's names, from a device tree, from DMI, or from nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from edge_agent.host.board import read_board


def write(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_a_raspberry_pi_says_its_serial_in_the_device_tree(tmp_path: Path) -> None:
    write(tmp_path, "proc/device-tree/serial-number", b"10000000abcdef12\0")
    write(tmp_path, "proc/device-tree/model", b"Raspberry Pi 5 Model B Rev 1.0\0")
    write(tmp_path, "etc/machine-id", b"0123456789abcdef0123456789abcdef\n")
    board = read_board(tmp_path)
    assert board.serial == "10000000abcdef12"
    assert board.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert board.machine_id == "0123456789abcdef0123456789abcdef"


def test_an_older_kernel_says_it_in_cpuinfo(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", b"processor\t: 0\n\nSerial\t\t: 00000000deadbeef\n")
    assert read_board(tmp_path).serial == "00000000deadbeef"


def test_a_pc_says_it_in_dmi_and_an_empty_file_is_no_answer(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/dmi/id/product_serial", b"\n")
    write(tmp_path, "sys/class/dmi/id/board_serial", b"PF3ABCDE\n")
    assert read_board(tmp_path).serial == "PF3ABCDE"


def test_a_board_that_says_nothing_is_none_not_an_error(tmp_path: Path) -> None:
    board = read_board(tmp_path)
    assert (board.serial, board.machine_id, board.model) == (None, None, None)
    assert board.hostname == socket.gethostname()
    assert board.cpus == len(os.sched_getaffinity(0))
