"""`edge-agent check` for people and for scripts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge_agent.cli import obey

RIGHT = """
sources: {yard: {kind: scene}}
pipelines:
  people:
    source: yard
    model: objects
    rules:
      - {name: 侵入, label: 人, confirm: [3, 5], dwell_s: 2, priority: alert}
      - {name: nobody, label: 人, absent_s: 600}
"""


def _bundle(folder: Path, name: str, labels: str) -> None:
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"not run here")
    digest = hashlib.sha256(b"not run here").hexdigest()
    (folder / "manifest.yaml").write_text(
        f"name: {name}\nversion: '1'\nfamily: yolo\nmin_score: 0.3\nlabels: [{labels}]\n"
        f"input: {{kind: image, size: [64, 64]}}\nsha256: {digest}\n",
        encoding="utf-8",
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    _bundle(tmp_path / "objects", "objects", "人")
    path = tmp_path / "site.yaml"
    path.write_text(RIGHT, encoding="utf-8")
    return path


def test_of_a_right_file_the_worst_times_are_printed(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert obey(["check", "-c", str(site)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, *lines = out.splitlines()
    assert first == f"{site}: no mistakes"
    assert "people: worst time from what happens to its event at 5 frames/s" in lines
    head = ["rule", "priority", "worst", "time", "hot,", "0.5/s"]
    assert any(line.split() == head for line in lines)
    assert any(line.split() == ["侵入", "alert", "3.0", "s", "12.0", "s"] for line in lines)
    ten = ["10", "min", "0", "s"]
    assert any(line.split() == ["nobody", "notice", *ten, *ten] for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_of_a_signal_windows_are_told_and_the_shipped_model_knows_the_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "motor.yaml"
    path.write_text(
        'sources: {motor: {kind: signal, uri: "built-in:?seed=7"}}\n'
        "pipelines:\n  振動:\n    source: motor\n    model: machine-anomaly\n"
        "    rules: [{name: 異常, score_above: model, for_s: 2, priority: alert}]\n",
        encoding="utf-8",
    )
    assert obey(["check", "-c", str(path)]) == 0
    out = capsys.readouterr().out
    assert "振動: worst time from what happens to its event at " in out
    assert " windows/s" in out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("異常")]
    assert (row[1], row[-1]) == ("alert", "s")
    assert float(row[2]) < 5


def test_mistakes_are_one_line_each_on_stderr_and_exit_2(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write_text(RIGHT.replace("人,", "犬,").replace("name: nobody", "nam: x"), encoding="utf-8")
    assert obey(["check", "-c", str(site)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split(": ")[0] for line in lines[:4]] == [
        f"{site}:8:27",
        f"{site}:9:9",
        f"{site}:9:10",
        f"{site}:9:25",
    ]
    assert lines[4:] == [
        f"edge-agent: {site} has 4 mistakes",
        "next: correct the file and check it again",
    ]


def test_json_is_one_document_and_one_error(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert obey(["check", "-c", str(site), "--json"]) == 0
    right = json.loads(capsys.readouterr().out)
    assert right["schema"] == "check/1"
    assert right["ok"] is True
    assert [alert["rule"] for alert in right["alerts"]] == ["侵入", "nobody"]

    site.write_text("sources: 5\n")
    assert obey(["check", "-c", str(site), "--json"]) == 2
    out, err = capsys.readouterr()
    wrong = json.loads(out)
    assert wrong["ok"] is False
    assert [mistake["path"] for mistake in wrong["mistakes"]] == ["pipelines", "sources"]
    assert json.loads(err)["error"]["code"] == "usage"


def test_the_document_is_what_its_schema_says(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert obey(["schema", "check"]) == 0
    schema = json.loads(capsys.readouterr().out)
    obey(["check", "-c", str(site), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert set(document) == set(schema["required"]) == set(schema["properties"])
    alert = schema["properties"]["alerts"]["items"]
    assert set(document["alerts"][0]) == set(alert["required"]) == set(alert["properties"])


def test_the_configuration_of_the_environment_is_checked(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(site))
    assert obey(["check"]) == 0
    assert capsys.readouterr().out.startswith(f"{site}: no mistakes")


@pytest.mark.parametrize(
    ("name", "said"),
    [("absent.yaml", "there is no configuration"), ("", "1:1: is a folder, a configuration is")],
)
def test_a_file_that_is_none_is_one_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert obey(["check", "-c", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err


def test_the_example_of_the_document_is_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    models = tmp_path / "state/models/scene-detector"
    _bundle(models / "1-abc", "scene-detector", "person, forklift, van, dog")
    (models / "slots.json").write_text('{"active": "1-abc", "previous": null}')
    monkeypatch.chdir(tmp_path)
    text = (root / "configs/minimal.yaml").read_text(encoding="utf-8")
    text = text.replace("kind: scene", "kind: scen").replace("label: person", "label: preson")
    Path("site.yaml").write_text(text, encoding="utf-8")
    assert obey(["check", "-c", "site.yaml", "--state", "state"]) == 2
    document = (root / "docs/configuration.md").read_text(encoding="utf-8")
    assert f"$ edge-agent check -c site.yaml\n{capsys.readouterr().err}```" in document
