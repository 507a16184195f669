"""docs/recipes.md is run as it stands, small; and data that will not do costs one sentence.

What needs TensorFlow runs where it is at hand: in this Python, or in the one that
EDGE_AGENT_RECIPES_PYTHON names.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
PARTS = {
    title.splitlines()[0]: re.findall(r"```(\w+)\n(.*?)```", title, re.DOTALL)
    for title in PAGE.split("\n## ")
}
EAGER = ("--epochs", "6")  # so that the test is short; the guide's own number is the default


def recipe_python() -> str | None:
    named = os.environ.get("EDGE_AGENT_RECIPES_PYTHON")
    return named or (sys.executable if importlib.util.find_spec("tensorflow") else None)


needs_tensorflow = pytest.mark.skipif(
    recipe_python() is None,
    reason="no TensorFlow here; EDGE_AGENT_RECIPES_PYTHON may name a Python that has it",
)


def call(
    folder: Path, command: Sequence[str], code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDGE_AGENT_STATE": str(folder / "state")},
    )  # fmt: skip
    assert code is None or done.returncode == code, done.stderr
    return done


def edge(line: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent", *shlex.split(line)]


def run(folder: Path, language: str, text: str) -> str:
    """One block of the guide; what its last command said."""
    if language == "python":
        return call(folder, [sys.executable, "-c", text]).stdout
    said = ""
    for line in text.splitlines():
        if line.startswith("tf/bin/python "):
            script, *rest = shlex.split(line)[1:]
            command = [str(recipe_python()), str(ROOT / script), *rest, *EAGER]
            said = call(folder, command).stdout
        elif line.startswith("edge-agent "):
            said = call(folder, edge(line.removeprefix("edge-agent "))).stdout
        elif line.startswith("printf "):
            said = call(folder, ["sh", "-c", line]).stdout
        else:
            raise AssertionError(f"the guide says what no test runs: {line}")
    return said


@needs_tensorflow
def test_the_machine_of_the_guide_is_learnt_and_its_wear_is_heard(tmp_path: Path) -> None:
    said = ""
    for language, text in PARTS["A machine"]:
        if language == "yaml":
            (tmp_path / "vibration.csv").write_text("x\n1\n")
            (tmp_path / "config.yaml").write_text(text)
            call(tmp_path, edge("check -c config.yaml"))
        else:
            said = run(tmp_path, language, text)
    assert re.search(r"ROC AUC +1\.0000 +1\.0000", said), said
    card = (tmp_path / "pump" / "CARD.md").read_text("utf-8")
    for word in ("## Data", "before int8 | int8", "## Limits", "healthy.csv"):
        assert word in card
    assert (tmp_path / "pump" / "golden.npz").stat().st_size < 500_000


@needs_tensorflow
def test_the_pictures_of_the_guide_become_a_classifier(tmp_path: Path) -> None:
    for language, text in PARTS["Pictures"]:
        run(tmp_path, language, text)
    card = (tmp_path / "light" / "CARD.md").read_text("utf-8")
    accuracy = float(re.findall(r"\*\*(\d\.\d+)\*\*; before int8 \d\.\d+", card)[0])
    assert accuracy > 0.6  # of three classes, after a few rounds
    assert "## Limits" in card
    truth = tmp_path / "truth.csv"
    rows = [
        f"{each.relative_to(tmp_path)},{each.parent.name}" for each in tmp_path.glob("pictures/*/*")
    ]
    truth.write_text("\n".join(["file,label", *rows]), "utf-8")
    command = "models eval light --truth truth.csv --against light.float.tflite"
    said = call(tmp_path, edge(command)).stdout
    rates = re.search(r"accuracy +(\d\.\d+) +(\d\.\d+)", said)
    assert rates is not None, said
    assert abs(float(rates[1]) - float(rates[2])) <= 0.05  # the float one is asked rightly


def test_what_needs_no_tensorflow_says_what_the_guide_says(tmp_path: Path) -> None:
    shown = PARTS["How good is a model?"]
    assert [language for language, _ in shown] == ["python", "console"]
    run(tmp_path, *shown[0])
    command, wanted = shown[1][1].removeprefix("$ edge-agent ").split("\n", 1)
    assert call(tmp_path, edge(command)).stdout == wanted


# --- data that will not do -----------------------------------------------------------------------


def refused(folder: Path, recipe: str, *arguments: str | Path) -> str:
    """What a recipe says of it: one sentence, and what to do."""
    script = ROOT / "models" / "recipes" / recipe / "train.py"
    done = call(folder, [sys.executable, str(script), *map(str, arguments)], code=2)
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("train.py:")]) == 1
    assert not (folder / "out").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["x"] + ["1.5"] * 20_000,
            "3 windows to learn from and 1 to choose a threshold by are too",
        ),
        (
            ["x"] + ["nan"] * 20_000,
            "4 of 4 windows cannot be used: 4096 of 4096 samples are missing",
        ),
        (["x"] + ["1.5"] * 400_000, "the signal never changes"),
        (["x", "hello"], "cannot be used"),
    ],
)
def test_a_recording_that_teaches_nothing_is_refused(
    tmp_path: Path, lines: list[str], says: str
) -> None:
    (tmp_path / "a.csv").write_text("\n".join(lines))
    out = refused(tmp_path, "anomaly", "--healthy", "a.csv", "--rate-hz", "8000", "--out", "out")
    assert says in out


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    folder = tmp_path / "pump"
    folder.mkdir()
    (folder / "manifest.yaml").write_text("name: pump")
    for recipe, data in (("anomaly", ("--healthy", "a.csv")), ("classifier", ("--images", "."))):
        said = refused(tmp_path, recipe, *data, "--out", "pump")
        assert "pump is there already" in said
        assert "--force" in said
        assert "is there already" not in refused(
            tmp_path, recipe, *data, "--out", "pump", "--force"
        )
    (tmp_path / "fan.float.tflite").write_bytes(b"kept")
    said = refused(tmp_path, "anomaly", "--healthy", "a.csv", "--out", "fan")
    assert "fan.float.tflite is there already" in said
    assert (folder / "manifest.yaml").read_text() == "name: pump"


def test_recordings_of_different_sensors_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).standard_normal((20_000, 2))
    np.savetxt(tmp_path / "a.csv", noise[:, :1], header="x", comments="")
    np.savetxt(tmp_path / "b.csv", noise, header="x,y", comments="", delimiter=",")
    out = refused(
        tmp_path, "anomaly", "--healthy", "a.csv", "b.csv", "--rate-hz", "8000", "--out", "out"
    )
    assert "a.csv has 1 channel, b.csv 2 channels" in out
    assert "there is no file c.wav" in refused(
        tmp_path, "anomaly", "--healthy", "c.wav", "--out", "out"
    )


def test_pictures_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for label, count in (("on", 12), ("off", 3)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            grey = np.full((20, 20, 3), 20 * number, np.uint8)
            cv2.imwrite(str(folder / label / f"{number}.png"), grey)
    arguments = ("--images", folder, "--out", "out")
    assert "off holds 3 pictures, at least 10" in refused(tmp_path, "classifier", *arguments)
    for number in range(3, 12):
        (folder / "off" / f"{number}.png").write_bytes(b"no picture")
    assert "3.png: not a picture" in refused(tmp_path, "classifier", *arguments)
    for picture in (folder / "off").iterdir():
        picture.unlink()
    assert "pictures of 1 class" in refused(tmp_path, "classifier", *arguments)


def test_a_folder_that_is_no_bundle_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("keep me")
    script = ROOT / "models" / "recipes" / "classifier" / "train.py"
    command = [sys.executable, str(script), "--images", "mine", "--out", "mine"]
    assert "mine is there and is no bundle" in call(tmp_path, command, code=2).stderr
    assert (tmp_path / "mine" / "precious.txt").read_text() == "keep me"


def test_a_recording_that_does_not_say_its_rate_costs_a_sentence_with_the_option(
    tmp_path: Path,
) -> None:
    (tmp_path / "healthy.csv").write_text("x\n1\n2\n")
    script = str(ROOT / "models/recipes/anomaly/train.py")
    told = call(tmp_path, [sys.executable, script, "--healthy", "healthy.csv", "--out", "pump"], 2)
    assert told.stderr.splitlines() == [
        "train.py: nothing says how many samples a second source healthy.csv has",
        "next: say it with --rate-hz, as in --rate-hz 8000",
    ]
