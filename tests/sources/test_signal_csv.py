"""CSV files as people write them: headers, separators, times, and what is wrong in them."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.config.signal_uri import parse
from edge_agent.errors import UsageError
from edge_agent.sources.csv_lines import Wanted
from edge_agent.sources.signal import Framing, Signal
from edge_agent.sources.signal_csv import LINES, CsvFile
from edge_agent.sources.signal_kinds import Access, samples_of
from edge_agent.types import Broken, Frame


@pytest.fixture
def csv(tmp_path):
    """`csv(text, Wanted(...))`: the samples of a file with that text."""

    def make(text, wanted=None):
        path = tmp_path / "motor.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return CsvFile("motor", path, wanted or Wanted())

    return make


def values(items):
    return [each.data.tolist() for each in items if isinstance(each, Frame)]


def reasons(items):
    return [each.reason for each in items if isinstance(each, Broken)]


# --- how it is written -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1,10\n2,20\n",
        "x,y\n1,10\n2,20\n",
        "x;y\r\n1;10\r\n2;20\r\n",
        "x\ty\n1\t10\n2\t20",
        "﻿x,y\n1,10\n2,20\n",
        '"x","y"\n"1","10"\n"2","20"\n',
        "\n x , y \n 1 , 10 \n\n 2 , 20 \n\n",
        "x;y\n1,0;10,0\n2,0;20,0\n",
        "加速度,温度\n1,10\n2,20\n",
        "1e0,1e1\n+2,20.\n",
    ],
)
def test_the_same_samples_in_every_way_of_writing_them(csv, windows, text):
    found = windows(csv(text), window=2, rate_hz=100)
    assert values(found) == [[[1, 10], [2, 20]]]
    assert reasons(found) == []


def test_one_column_needs_no_separator(csv, windows):
    assert values(windows(csv("1.5\n2.5\n"), window=2, rate_hz=1)) == [[[1.5], [2.5]]]


def test_columns_are_chosen_by_name_in_the_order_of_the_choice(csv, windows):
    samples = csv("a,b,c\n1,2,3\n4,5,6\n", Wanted(("c", "a")))
    assert values(windows(samples, window=2, rate_hz=1)) == [[[3, 1], [6, 4]]]


def test_columns_without_a_header_have_numbers(csv, windows):
    samples = csv("1,2,3\n4,5,6\n", Wanted(("3",), time="1"))
    assert values(windows(samples, window=2)) == [[[3], [6]]]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted(("d",)), "no column 'd'"),
        (Wanted((), "clock"), "no column 'clock'"),
        (Wanted(("1",)), "no column '1'"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(csv, wanted, sentence):
    with pytest.raises(UsageError, match=sentence) as fault:
        csv("a,b,c\n1,2,3\n", wanted).open()
    assert fault.value.next == "it has: a, b, c"


def test_a_file_of_nothing_but_times_has_no_samples(csv):
    with pytest.raises(UsageError, match="no column beside the time"):
        csv("time\n1\n2\n").open()


# --- time ----------------------------------------------------------------------------------------


def test_a_column_named_time_is_the_time(csv, windows):
    text = "Time,x\n10.00,1\n10.01,2\n10.02,3\n10.03,4\n"
    found = windows(csv(text), window=2, origin=1000.0)
    assert [each.time for each in found] == pytest.approx([1010.01, 1010.03])


@pytest.mark.parametrize("zone", ["Z", "+00:00", ""])
def test_rfc_3339_times_are_kept_without_a_start(csv, windows, zone):
    text = "timestamp,x\n" + "".join(f"2026-03-01T00:00:0{i}{zone},{i}\n" for i in range(4))
    (found,) = windows(csv(text), window=4)
    assert found.time == 1772323203.0


def test_with_a_start_rfc_3339_times_count_from_the_first(csv, windows):
    text = "timestamp,x\n" + "".join(f"2026-03-01 00:00:0{i}+09:00,{i}\n" for i in range(4))
    (found,) = windows(csv(text), window=4, origin=50.0)
    assert found.time == 53.0


def test_without_times_the_rate_makes_them(csv, windows):
    found = windows(csv("1\n2\n3\n4\n"), window=2, rate_hz=10, origin=5.0)
    assert [each.time for each in found] == pytest.approx([5.1, 5.3])


def test_a_gap_begins_a_new_window_and_is_counted(csv):
    text = "time,x\n" + "".join(f"{t},{t}\n" for t in (0, 1, 2, 10, 11, 12, 13))
    source = Signal("motor", csv(text), Framing(4, 4, 1.0))
    source.open()
    assert source.read().data[:, 0].tolist() == [10, 11, 12, 13]
    assert source.read() is None
    assert source.notes == {"gaps": 1}


# --- what is wrong ---------------------------------------------------------------------------


def test_a_bad_line_is_named_counted_and_the_rest_is_read(csv):
    lines = [f"{i}" for i in range(40)]
    lines[10] = "1O"
    source = Signal("motor", csv("x\n" + "\n".join(lines)), Framing(40, 40, 100.0))
    source.open()
    window, broken = source.read(), source.read()
    assert window.data[:, 0].tolist() == list(range(40)), "on a straight line between the others"
    assert (broken.name, broken.reason) == ("motor.csv", "line 12 is no sample")
    assert (window.index, broken.index, broken.counted) == (0, 1, False), "it takes no place"
    assert source.notes == {"missing_samples": 1, "bad_lines": 1}
    assert source.read() is None


def test_a_bad_line_is_no_gap_in_time(csv, windows):
    lines = [f"{i / 100:.2f},{i}" for i in range(40)]
    lines[10:12] = ["0.1x,10", "0.11"]
    found = windows(csv("time,x\n" + "\n".join(lines)), window=40)
    assert values(found) == [[[i] for i in range(40)]]
    assert reasons(found) == ["lines 12 to 13 are no samples"]


def test_bad_lines_at_either_end_of_a_block_keep_their_times(csv, windows):
    lines = [f"{i},{i}" for i in range(2000)]
    assert LINES == 1024
    lines[LINES - 2] = lines[LINES - 1] = "?"  # behind a header: the last and the first of a block
    found = windows(csv("time,x\n" + "\n".join(lines)), window=2000)
    assert values(found) == [[[i] for i in range(2000)]]
    assert reasons(found) == ["lines 1024 to 1025 are no samples"]


def test_a_first_line_that_is_bad_is_named_and_left_out(csv, windows):
    found = windows(csv("time,x\n0;0\n1,1\n2,2\n"), window=2)
    assert values(found) == [[[1], [2]]]
    assert reasons(found) == ["line 2 is no sample"]


@pytest.mark.parametrize("word", ["", "nan", "NaN", "NA", "null", "None", "n/a"])
def test_what_is_missing_is_no_bad_line(csv, word):
    rows = [f"{i},{i}" for i in range(40)]
    rows[7] = f"7,{word}"
    source = Signal("motor", csv("\n".join(rows)), Framing(40, 40, 100.0))
    source.open()
    assert source.read().data[7].tolist() == [7, 7]
    assert source.notes == {"missing_samples": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no line of it is a sample"),
        ("\n\n", "no line of it is a sample"),
        ("hello\nworld\n", "line 2 is no sample"),
        ("hello\nworld\n\nagain\n", "no line of it is a sample"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\n" * 9999, "it is a picture, not lines"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\n" * 9999, "it is a picture, not lines"),
        (b"BM6\0\0\0\0\0\0\0" + b"\n" * 9999, "it is a picture, not lines of numbers"),
        (b"RIFF\x24\0\0\0WAVEfmt \0" + b"\n" * 9999, "it is a WAV file, name it .wav"),
        (b"\x93NUMPY\x01\0" + b"\n" * 9999, "it is a NumPy file, name it .npy"),
        (b"PK\x03\x04\0\0" + b"\n" * 9999, "a spreadsheet, save it as CSV in UTF-8"),
        (bytes(range(256)) * 99, "it is binary, not lines of numbers"),
        ("x\n1\n2\n3\n4\n".encode("utf-16"), "it is UTF-16, save it as UTF-8"),
        ("x\r\n1\r\n2\r\n3\r\n".encode("utf-16-le"), "it is UTF-16, save it as UTF-8"),
        ("x\n1\n2\n3\n4\n".encode("utf-16-be"), "it is UTF-16, save it as UTF-8"),
        ("a,b\n1\n2\n3\n", "lines 2 to 4 are no samples"),
        ("1\n2\n", "2 samples are no window of 4"),
    ],
)
def test_a_file_without_a_window_is_one_failure(csv, windows, text, reason):
    (only,) = windows(csv(text), rate_hz=1)
    assert isinstance(only, Broken)
    assert only.counted
    assert reason in only.reason


def test_of_many_bad_lines_a_few_are_told_and_the_others_counted(csv, windows):
    lines = [f"{i}" for i in range(3000)]
    for number in range(20, 2900, 50):
        lines[number] = "?"
    lines[21] = "?"
    found = windows(csv("\n".join(lines)), window=100, rate_hz=1)
    assert reasons(found)[-6:] == [
        *("lines 21 to 22 are no samples", "line 71 is no sample", "line 121 is no sample"),
        *("line 171 is no sample", "line 221 is no sample"),
        "and 53 more lines are no samples",
    ]
    assert sum(1 for each in found if isinstance(each, Broken) and not each.counted) == 6


def test_a_recording_without_a_window_is_not_begun_again(csv):
    source = Signal("motor", csv("1\n2\n"), Framing(4, 4, 10.0, loop=True))
    source.open()
    assert source.read().reason == "2 samples are no window of 4"
    assert source.read() is None
    assert source.read() is None


def test_a_file_without_a_sample_needs_no_rate(csv, windows):
    assert len(windows(csv(""))) == 1


def test_a_line_without_an_end_takes_no_more_than_its_share(csv, windows):
    found = windows(csv("1\n" + "9" * 200_000 + "\n2\n"), window=2, rate_hz=1)
    assert all("no sample" in reason or "missing" in reason for reason in reasons(found))


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        CsvFile("motor", tmp_path / "none.csv", Wanted()).open()


# --- the rate ------------------------------------------------------------------------------------


def test_a_rate_that_disagrees_with_the_times_is_refused_with_both(csv, windows):
    text = "time,x\n" + "".join(f"{i / 800:.6f},{i}\n" for i in range(100))
    with pytest.raises(UsageError, match=r"has 800 samples a second, .* says 1600"):
        windows(csv(text), rate_hz=1600)


def test_a_rate_within_a_twentieth_is_the_same(csv, windows):
    text = "time,x\n" + "".join(f"{i / 960:.6f},{i}\n" for i in range(8))
    assert len(windows(csv(text), rate_hz=1000)) == 2


def test_without_any_rate_it_must_be_said(csv, windows):
    with pytest.raises(UsageError, match="nothing says how many samples a second source motor has"):
        windows(csv("1\n2\n3\n4\n"))


def test_other_channels_than_the_model_wants_are_refused(csv, windows):
    with pytest.raises(UsageError, match=r"has 2 channels \(1, 2\), the model wants 1"):
        windows(csv("1,2\n3,4\n"), rate_hz=1, channels=1)


def test_what_to_type_to_choose_channels_is_said_and_works(csv, windows, tmp_path):
    text = "t,a b,c&d,e\n0,1,2,3\n1,4,5,6\n"
    with pytest.raises(UsageError) as fault:
        windows(csv(text, Wanted((), "t")), channels=2, window=2)
    said = fault.value.next.split('"')[1]
    assert said == f"csv:{tmp_path}/motor.csv?time=t&columns=a b,c%26d"
    chosen = samples_of("motor", parse(said), Access())
    assert values(windows(chosen, channels=2, window=2)) == [[[1, 2], [4, 5]]]
    with pytest.raises(UsageError) as fault:
        windows(csv(text, Wanted((), "t")), channels=4, window=2)
    assert fault.value.next == "record 4 channels, or use a model of 3"


# --- large files ---------------------------------------------------------------------------------


def test_a_long_file_is_cut_as_if_it_were_one_block(csv, windows):
    rows = np.arange(5000)
    found = windows(csv("x\n" + "\n".join(map(str, rows))), window=300, hop=70, rate_hz=10)
    starts = [int(each.data[0, 0]) for each in found]
    assert starts == list(range(0, 5000 - 300 + 1, 70))
    assert [each.index for each in found] == list(range(len(found)))


def test_a_loop_goes_on_in_time_without_a_gap(csv):
    source = Signal("motor", csv("1\n2\n3\n4\n5\n"), Framing(2, 2, 10.0, loop=True))
    source.open()
    found = [source.read() for _ in range(5)]
    assert [each.data[0, 0] for each in found] == [1, 3, 1, 3, 1]
    assert [each.time for each in found] == pytest.approx([0.1, 0.3, 0.6, 0.8, 1.1])
    assert source.notes == {}
