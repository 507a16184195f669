"""Signals at the command line: `infer`, `replay` and `run` on files, sockets and a broker."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.publish
import pytest
import signal_models
from running import Service

Ask = Callable[..., Any]
RULE = """rules:
      - {name: loud, score_above: 2, for_s: 0.1, clear_below: 1, priority: alert,
         evidence: [window]}
store: {flush_s: 1}"""


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Path]:
    """`site("tcp:127.0.0.1:5000", ", stall_s: 1")`: a configuration beside its model."""
    return lambda *source: signal_models.site(tmp_path, RULE, *source)


def hum(seconds: float = 5.0, loud: tuple[float, float] = (3.0, 4.0)) -> np.ndarray[Any, Any]:
    time_ = np.arange(int(seconds * 1000)) / 1000
    values = np.sin(2 * np.pi * 50 * time_)
    values[int(loud[0] * 1000) : int(loud[1] * 1000)] *= 3
    return np.asarray(values, np.float32)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "motor.csv"
    path.write_text("x\n" + "".join(f"{x:.5f}\n" for x in hum()), "utf-8")
    return path


# --- infer ---------------------------------------------------------------------------------------


def test_infer_scores_every_window_and_names_what_it_could_not_read(
    ask: Ask, site: Callable[..., Path], tmp_path: Path
) -> None:
    site()
    np.save(tmp_path / "two.npy", np.stack([np.zeros(64), np.full(64, 2.0)]))
    np.save(tmp_path / "nan.npy", np.full(64, np.nan))
    np.save(tmp_path / "object.npy", np.array([{}]))
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "short.csv").write_text("1\n2\n")
    (tmp_path / "three.csv").write_text("\n".join(["3"] * 96))
    names = ["two.npy", "nan.npy", "object.npy", "empty.npy", "short.csv", "three.csv", "none.csv"]
    done = ask("infer", "loud", *names, "--json")
    assert done.code == 1
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["input"], each["window"], each["score"]) for each in lines] == [
        ("two.npy", 0, 0.0),
        ("two.npy", 1, 4.0),
        ("three.csv", 0, 9.0),
        ("three.csv", 1, 9.0),
    ]
    said = [json.loads(line)["error"]["message"] for line in done.err.splitlines()]
    assert said == [
        "there is no signal at none.csv",
        "nan.npy: window 0: 64 of 64 samples are missing",
        "object.npy: not a NumPy file that can be read: damaged, cut short, or one of objects",
        "empty.npy: not a NumPy file that can be read: damaged, cut short, or one of objects",
        "short.csv: 2 samples are no window of 64",
    ]


def test_infer_tells_a_bad_line_and_counts_the_windows_only(
    ask: Ask, site: Callable[..., Path], tmp_path: Path
) -> None:
    site()
    lines = ["1"] * 200
    lines[70] = "oops"
    (tmp_path / "motor.csv").write_text("\n".join(lines))
    done = ask("infer", "loud", "motor.csv", "--json")
    assert done.code == 0
    assert [json.loads(line)["window"] for line in done.out.splitlines()] == [0, 1, 2, 3, 4]
    (said,) = done.err.splitlines()
    assert json.loads(said)["error"] == {
        "code": "damaged", "message": "motor.csv: line 71 is no sample", "next": None,
    }  # fmt: skip


def test_infer_says_in_one_sentence_what_a_file_really_is(
    ask: Ask, site: Callable[..., Path], tmp_path: Path
) -> None:
    site()
    png = b"\x89PNG\r\n\x1a\n" + b"\n,\n" * 5000
    (tmp_path / "yard.png").write_bytes(png)
    (tmp_path / "renamed.csv").write_bytes(png)
    (tmp_path / "wide.csv").write_bytes(("x\n" + "1\n" * 9000).encode("utf-16"))
    (tmp_path / "blob.csv").write_bytes(b"\0\1\n" * 9000)
    os.mkfifo(tmp_path / "pipe.csv")
    np.save(tmp_path / "fine.npy", np.ones(64))
    names = ["yard.png", "renamed.csv", "wide.csv", "blob.csv", "pipe.csv", "/dev/zero", "fine.npy"]
    done = ask("infer", "loud", *names)
    assert done.code == 1
    assert done.out.splitlines()[0] == "fine.npy window 0"
    assert done.err.splitlines() == [
        "edge-agent: yard.png: it is a picture; model loudness reads signals: .npy, .csv, .wav",
        "edge-agent: renamed.csv: it is a picture; model loudness reads signals: .npy, .csv, .wav",
        "edge-agent: wide.csv: it is UTF-16, save it as UTF-8",
        "edge-agent: blob.csv: it is binary, not lines of numbers",
        "edge-agent: pipe.csv: it is a named pipe, and files are read",
        "edge-agent: /dev/zero: it is a device, and files are read",
    ]
    assert ask("infer", "loud", "/dev/zero").code == 1


def test_infer_of_pictures_reads_files_only(ask: Ask, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "motor.csv").write_text("1\n")
    done = ask("infer", "scene-detector", "pipe.png", "/dev/zero", "motor.csv")
    assert done.code == 1
    assert done.err.splitlines() == [
        "edge-agent: pipe.png: it is a named pipe, and files are read",
        "edge-agent: /dev/zero: it is a device, and files are read",
        "edge-agent: motor.csv: it is a signal; model scene-detector reads pictures: .jpg, "
        ".png, ...",
    ]


def test_infer_of_several_columns_says_what_to_type_and_that_works(
    ask: Ask, site: Callable[..., Path], tmp_path: Path
) -> None:
    site()
    rows = "".join(f"{i / 1000},1,3\n" for i in range(64))
    (tmp_path / "two.csv").write_text("time,temp,x\n" + rows)
    done = ask("infer", "loud", "two.csv")
    assert done.code == 1
    assert done.err.splitlines() == [
        "edge-agent: two.csv: it has 2 channels (temp, x), the model wants 1, name 1 of them, as "
        'in "csv:two.csv?columns=temp"'
    ]
    done = ask("infer", "loud", "csv:two.csv?columns=x", "csv:two.csv?columns=temp", "--json")
    assert (done.code, done.err) == (0, "")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["input"], each["score"]) for each in found] == [
        ("csv:two.csv?columns=x", 9.0),
        ("csv:two.csv?columns=temp", 1.0),
    ]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("csv:none.csv?columns=x", 2, "there is no signal at csv:none.csv?columns=x"),
        ("csv:two.csv?column=x", 2, "csv: has no option 'column'"),
        ("csv:two.csv?follow=1", 2, "follow means nothing with infer"),
        ("csv:two.csv?columns=y", 1, "two.csv has no column 'y', it has: a, b"),
        ("tcp:localhost:4000", 2, "infer reads files, and tcp: is none"),
        ("csv:-", 2, "there is no signal at csv:-"),
    ],
)
def test_infer_names_what_is_wrong_with_a_choice(
    ask: Ask, site: Callable[..., Path], tmp_path: Path, given: str, code: int, said: str
) -> None:
    site()
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    done = ask("infer", "loud", given)
    assert done.code == code
    assert said in done.err


def test_infer_on_a_folder_takes_its_signals(
    ask: Ask, site: Callable[..., Path], tmp_path: Path
) -> None:
    site()
    (tmp_path / "shots").mkdir()
    np.save(tmp_path / "shots/a.npy", np.ones(64))
    (tmp_path / "shots/notes.txt").write_text("no signal")
    done = ask("infer", "loud", "shots")
    assert done.code == 0, done.err
    assert done.out.splitlines()[:2] == ["shots/a.npy window 0", "  1  loud"]


def test_a_signal_cannot_be_drawn(ask: Ask, site: Callable[..., Path], recording: Path) -> None:
    site()
    done = ask("infer", "loud", recording, "--out", "drawings")
    assert done.code == 0
    assert "nothing is drawn of a signal" in done.out
    assert not (recording.parent / "drawings").exists()


def test_an_imported_model_of_signals_is_held_against_its_golden_windows(
    ask: Ask, site: Callable[..., Path], tmp_path: Path
) -> None:
    site()
    done = ask("models", "import", "loud")
    assert done.code == 0, done.err
    assert ask("models", "test", "loudness").code == 0
    (golden,) = (tmp_path / "state").glob("models/loudness/*/golden.npz")
    frames = np.load(golden)["frames"]
    assert (frames.shape, frames.dtype.name) == ((3, 64, 1), "float32")


# --- replay --------------------------------------------------------------------------------------


def test_a_replayed_recording_gives_the_same_bytes_twice(
    ask: Ask, site: Callable[..., Path], recording: Path
) -> None:
    config = site()
    first, second = (ask("replay", recording, "-c", config) for _ in range(2))
    assert first.code == 0, first.err
    assert first.out == second.out
    (event,) = map(json.loads, first.out.splitlines())
    assert (event["rule"], event["close_reason"], event["input"]) == (
        "loud",
        "cleared",
        "motor.csv",
    )


def test_the_window_that_is_kept_gives_its_score_again(
    ask: Ask, site: Callable[..., Path], recording: Path, tmp_path: Path
) -> None:
    done = ask("replay", recording, "-c", site(), "--store", "kept")
    (event,) = map(json.loads, done.out.splitlines())
    (kept,) = event["evidence"]
    assert (kept["kind"], kept["samples"], kept["channels"]) == ("window", 64, 1)
    notes = json.loads((tmp_path / "kept" / kept["path"]).with_suffix(".json").read_text())
    again = ask("infer", "loud", f"kept/{kept['path']}", "--json")
    score = notes["detections"][0]["score"]
    assert json.loads(again.out)["score"] == pytest.approx(score, abs=1e-4)
    shown = ask("events", "show", event["id"][:8], "--state", "kept")
    assert f"  window  kept/{kept['path']}" in shown.out
    why = ask("why", event["id"][:8], "--state", "kept")
    assert f"window: kept/{kept['path']}" in why.out
    exported = ask("events", "export", "--to", "all.zip", "--state", "kept")
    assert "1 event and 1 window" in exported.out


def test_replay_takes_a_uri_that_chooses_and_says_what_to_type(
    ask: Ask, site: Callable[..., Path], recording: Path, tmp_path: Path
) -> None:
    rows = [f"9,{line}" for line in recording.read_text().splitlines()[1:]]
    (tmp_path / "two.csv").write_text("temp,x\n" + "\n".join(rows))
    config = site()
    done = ask("replay", "two.csv", "-c", config)
    assert done.code == 2
    assert done.err.splitlines()[-1] == 'next: name 1 of them, as in "csv:two.csv?columns=temp"'
    chosen = ask("replay", "csv:two.csv?columns=x", "-c", config)
    assert json.loads(chosen.out)["rule"] == "loud"
    assert ask("replay", "csv:none.csv?columns=x", "-c", config).code == 2


def test_a_video_is_no_signal(ask: Ask, site: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "yard.avi").write_bytes(b"RIFF")
    done = ask("replay", "yard.avi", "-c", site())
    assert done.code == 2
    assert "yard.avi is no signal, and the model reads signals" in done.err


# --- run -----------------------------------------------------------------------------------------


@pytest.fixture
def status(ask: Ask) -> Callable[[], dict[str, Any]]:
    return lambda: json.loads(ask("status", "--json").out or "{}")


@pytest.mark.slow
def test_a_live_sensor_alerts_is_lost_and_comes_back(
    site: Callable[..., Path],
    service: Callable[..., Service],
    status: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        port = listener.getsockname()[1]
        running = service(site(f"tcp:127.0.0.1:{port}", ", stall_s: 0.5"))
        with listener.accept()[0] as link:
            for value in (*hum(0.6, (0.2, 0.5)), "oops", 0.0):
                link.sendall(f"{value}\n".encode())
                time.sleep(0.001)
            eventually(lambda: running.said("event opened"), "the alert")
            eventually(lambda: running.said("gave no sample for 0.5 s"), "the stall")
        with listener.accept()[0] as link:
            link.sendall(b"0\n" * 100)
            facts = eventually(
                lambda: (status() or {"sources": {}})["sources"].get("motor", {}),
                "the source in status",
            )
            eventually(lambda: running.said("source delivers source=motor away_s="), "its return")
            assert facts["losses"] == 1
            assert facts["notes"]["bad_lines"] == 1
            code, took = running.stop()  # in the middle of a read
    assert code == 0
    assert took < 5


@pytest.mark.slow
def test_a_sensor_that_publishes_alerts_over_the_death_of_its_broker(
    site: Callable[..., Path],
    service: Callable[..., Service],
    new_mosquitto: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    broker = new_mosquitto().start()
    running = service(site(f"mqtt://127.0.0.1:{broker.port}/hall/motor"))
    eventually(lambda: running.said("started version"), "the start")

    def publish(value: float) -> bool:
        paho.mqtt.publish.single("hall/motor", json.dumps([value] * 64), 1, port=broker.port)
        return True

    eventually(lambda: publish(0) and running.said("source delivers"), "the first windows")
    broker.kill()
    eventually(lambda: running.said("source lost source=motor"), "the loss")
    broker.start()
    eventually(lambda: publish(9) and running.said("event opened"), "the alert behind it")
    code, took = running.stop()
    assert code == 0
    assert took < 5


@pytest.mark.slow
def test_a_recording_is_played_at_its_own_pace_and_ends(
    site: Callable[..., Path],
    service: Callable[..., Service],
    recording: Path,
    status: Callable[[], dict[str, Any]],
    eventually: Callable[..., Any],
) -> None:
    recording.write_text("x\n" + "0\n" * 2000, "utf-8")
    running = service(site())
    began = time.monotonic()
    eventually(lambda: running.said("source delivers"), "the first window")
    eventually(lambda: running.said("source ended"), "the end")
    assert time.monotonic() - began >= 1.5, "2 s of samples are not done in a moment"
    ledger = status()["pipelines"]["hum"]["ledger"]
    assert ledger["captured"] == 61
    assert ledger["inferred"] + sum(ledger["skipped"].values()) == 61
    assert running.stop()[0] == 0


def test_standard_input_is_a_source_that_ends(
    site: Callable[..., Path],
    service: Callable[..., Service],
    eventually: Callable[..., Any],
) -> None:
    """A pipe from any program: `sensor | edge-agent run`."""
    running = service(site("csv:-"), stdin=subprocess.PIPE)
    running.process.stdin.write(b"0\n" * 200)
    running.process.stdin.close()
    eventually(lambda: running.said("source ended source=motor"), "the end")
    assert running.stop()[0] == 0
