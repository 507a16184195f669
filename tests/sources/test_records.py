"""Framing: bytes in any pieces give the same samples, and what is out of step is told."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.sources.csv_lines import Lines, Wanted
from edge_agent.sources.records import MOST_MISSING, BinaryRecords, BinarySpec, LineRecords
from edge_agent.sources.signal import Block, Damage

SYNC = bytes.fromhex("a55a")


def fed(records, data, sizes=()):
    """Samples and words of damage, the bytes dealt out in pieces."""
    rows, damage, begin = [], [], 0
    for size in [*sizes, len(data)]:
        for each in records.add(data[begin : begin + size]):
            if isinstance(each, Damage):
                damage.append(each.reason)
            else:
                assert isinstance(each, Block)
                rows += each.values.tolist()
        begin += size
    return rows, damage


pieces = st.lists(st.integers(0, 20), max_size=10)


@settings(max_examples=40)
@given(
    st.sampled_from(["i16le", "f32le"]),
    st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), max_size=20),
    st.sampled_from([b"", SYNC]),
    pieces,
)
def test_records_are_the_same_in_any_pieces(form, numbers, sync, sizes):
    code = "<2h" if form == "i16le" else "<2f"
    data = b"".join(sync + struct.pack(code, *pair) for pair in numbers)
    rows, damage = fed(BinaryRecords(BinarySpec(form, 2, sync)), data, sizes)
    assert rows == [list(map(float, pair)) for pair in numbers]
    assert damage == []


@settings(max_examples=40)
@given(st.lists(st.integers(-999, 999), max_size=20), pieces)
def test_lines_are_the_same_in_any_pieces(numbers, sizes):
    data = "".join(f"{number}\n" for number in numbers).encode()
    rows, damage = fed(LineRecords(Lines(Wanted(), "x")), data, sizes)
    assert rows == [[number] for number in numbers]
    assert damage == []


def test_numbers_are_multiplied_by_the_scale():
    rows, _ = fed(BinaryRecords(BinarySpec("i16le", 1, b"", 0.5)), struct.pack("<2h", 3, -4))
    assert rows == [[1.5], [-2.0]]


def record(number):
    return SYNC + struct.pack("<h", number)


def test_bytes_out_of_step_are_told_and_stand_for_missing_samples():
    records = BinaryRecords(BinarySpec("i16le", 1, SYNC))
    data = record(1) + record(2)[1:] + record(3) + record(4)
    rows, damage = fed(records, data, [3, 3])
    assert [row[0] for row in rows if np.isfinite(row[0])] == [1, 3, 4]
    assert sum(np.isnan(row[0]) for row in rows) == 1, "the cut record's place is kept"
    assert damage == ["3 bytes are out of step"]
    assert records.notes == {"bytes_out_of_step": 3}


def test_a_stream_that_is_entered_half_way_has_lost_nothing():
    records = BinaryRecords(BinarySpec("i16le", 1, SYNC))
    rows, damage = fed(records, record(1)[2:] + record(2) + record(3))
    assert (rows, damage) == ([[2], [3]], [])


def test_noise_without_a_sync_word_is_passed_over_and_not_kept():
    records = BinaryRecords(BinarySpec("i16le", 1, SYNC))
    fed(records, record(1))
    rows, _ = fed(records, b"\0" * 100_000)
    assert rows == []
    rows, damage = fed(records, record(7))
    assert rows[-1] == [7]
    assert damage == ["100000 bytes are out of step"]


def test_hours_of_noise_are_not_made_up_for_sample_by_sample():
    records = BinaryRecords(BinarySpec("i16le", 1, SYNC))
    fed(records, record(1))
    for _ in range(40):
        fed(records, b"\0" * 100_000)
    rows, damage = fed(records, record(7))
    assert damage == ["4000000 bytes are out of step"]
    assert len(rows) == MOST_MISSING + 1


@pytest.mark.filterwarnings("error")
def test_what_float32_cannot_hold_is_missing_and_no_word_on_stderr():
    records = BinaryRecords(BinarySpec("f32le", 1, b"", 1e12))
    rows, _ = fed(records, struct.pack("<3f", 1.0, 3e38, float("inf")))
    assert rows == [[pytest.approx(1e12)], [float("inf")], [float("inf")]]
    lines = LineRecords(Lines(Wanted(), "x"))
    assert fed(lines, b"1\n1e39\n1e400\n")[0] == [[1.0], [float("inf")], [float("inf")]]


def test_the_rest_of_a_line_in_the_middle_of_which_one_enters_is_no_sample():
    records = LineRecords(Lines(Wanted(), "x"), entered=True)
    rows, damage = fed(records, b"5.25\n1.5\n2.5\n", [2, 5])
    assert (rows, damage) == ([[1.5], [2.5]], [])


def test_a_line_that_does_not_end_is_one_bad_line_and_no_more_is_kept_of_it():
    records = LineRecords(Lines(Wanted(), "x"))
    for _ in range(40):
        fed(records, b"1" * 10_000)
    rows, damage = fed(records, b"1\n3\n")
    assert rows[-1] == [3]
    assert damage == ["line 1 is no sample"] or len(rows) == 1


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_a_record_is_the_sync_word_and_a_number_for_each_channel(channels):
    assert BinarySpec("i16le", channels, SYNC).length == 2 + 2 * channels
    assert BinarySpec("f32le", channels).length == 4 * channels


def test_the_last_line_needs_no_end_when_nothing_follows():
    records = LineRecords(Lines(Wanted(), "x"))
    (first,) = records.add(b"1\n2\n3")
    assert first.values.tolist() == [[1], [2]]
    (last,) = records.end()
    assert last.values.tolist() == [[3]]
    assert list(records.end()) == []


def test_a_piece_of_a_record_is_none():
    records = BinaryRecords(BinarySpec("i16le"))
    assert len(list(records.add(b"\1\0\2"))) == 1
    assert list(records.end()) == []
