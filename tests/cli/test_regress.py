"""Pinned cases: a good model passes, one that lost a class or a raised threshold is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.bundles.shipped import shipped_folders

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCENE = "built-in:?seed=11&frames=120"
CONFIG = """\
sources:
  yard: {kind: scene, uri: "built-in:?seed=11"}
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 5}
    rules:
      - {name: 侵入, label: person, confirm: [2, 3], priority: alert, cooldown_s: 60,
         evidence: [{clip: {pre_s: 3, post_s: 2}}]}
      - {name: seen, priority: record}
"""


@dataclass
class Site:
    """A store with events that kept clips, and the configuration behind them."""

    edge: Run
    config: Path
    store: Path
    event: str

    def __call__(self, *words: object, config: Path | None = None) -> Any:
        return self.edge(*words, "-c", config or self.config, "--state", self.store)

    def changed(self, old: str, new: str) -> Path:
        path = self.config.with_name("new.yaml")
        path.write_text(self.config.read_text().replace(old, new))
        assert path.read_text() != self.config.read_text()
        return path


@pytest.fixture(scope="module")
def recorded(
    tmp_path_factory: pytest.TempPathFactory, edge_in: Callable[[Path], Run]
) -> tuple[Run, Path, Path, str]:
    folder = tmp_path_factory.mktemp("site")
    edge = edge_in(folder)
    config = folder / "site.yaml"
    config.write_text(CONFIG)
    done = edge("replay", SCENE, "-c", config, "--store", folder / "store")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    event = next(each["id"] for each in events if each["rule"] == "侵入")
    return edge, config, folder / "store", event


@pytest.fixture
def site(recorded: tuple[Run, Path, Path, str]) -> Iterator[Site]:
    edge, config, store, event = recorded
    yield Site(edge, config, store, event)
    shutil.rmtree(store / "cases", ignore_errors=True)


def schema(name: str) -> Any:
    return json.loads((resources.files("edge_agent") / "schemas" / f"{name}.json").read_text())


def test_an_event_becomes_a_case_that_what_made_it_passes(site: Site) -> None:
    pinned = site("events", "pin", site.event[:8], "--note", "the gate", "--json")
    assert pinned.returncode == 0, pinned.stderr
    case = json.loads(pinned.stdout)
    jsonschema.validate(case, schema("case"))
    assert [alarm["rule"] for alarm in case["alarms"]] == ["侵入"]
    kept = json.loads((site.store / "cases" / site.event[:8] / "case.json").read_text())
    assert kept == case
    done = site("regress", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema("regress"))
    assert document["verdict"] == "passed"
    assert f"{site.event[:8]}  yard: 侵入 (person)" in site("regress", "--list").stdout


def test_a_raised_threshold_is_refused_and_the_case_is_named(site: Site) -> None:
    site("events", "pin", site.event)
    new = site.changed("label: person,", "label: person, min_score: 1,")
    done = site("regress", config=new)
    assert done.returncode == 4
    assert f"REFUSED  {site.event[:8]}: lost 侵入 (person)" in done.stdout
    assert "1 of 1 pinned cases of this site speak against it" in done.stderr
    assert f"events unpin {site.event[:8]}" in done.stderr


def test_a_model_that_lost_a_class_is_refused_and_a_good_one_passes(
    site: Site, tmp_path: Path
) -> None:
    site("events", "pin", site.event)
    good, worse = tmp_path / "good", tmp_path / "worse"
    for folder in (good, worse):
        shutil.copytree(shipped_folders()["scene-detector"], folder)
    labels = worse / "labels.txt"
    labels.write_text(labels.read_text().replace("person", "shadow"))
    assert site("regress", "--model", good).returncode == 0
    refused = site("regress", "--model", worse)
    assert refused.returncode == 4
    assert "lost 侵入 (person)" in refused.stdout


def test_a_false_alarm_is_pinned_as_nothing_and_mending_it_is_told(site: Site) -> None:
    pinned = site("events", "pin", site.event, "--nothing")
    assert "must raise nothing" in pinned.stdout
    assert "now it raises 侵入 (person)" in pinned.stdout
    assert site("regress").returncode == 0  # what is known is no reproach
    better = site("regress", config=site.changed("label: person,", "label: truck,"))
    assert better.returncode == 0
    assert "no longer raised wrongly: 侵入 (person)" in better.stdout


def test_a_recording_of_nothing_refuses_what_raises_something(site: Site, tmp_path: Path) -> None:
    clip = next((site.store / "evidence").rglob("*.mkv"))
    shutil.copy(clip, tmp_path / "quiet.mkv")
    quiet = site.changed("label: person,", "label: person, min_score: 1,")
    arguments = ("events", "pin", "--file", tmp_path / "quiet.mkv", "--pipeline", "yard")
    assert site(*arguments, config=quiet).returncode == 0
    assert site("regress", config=quiet).returncode == 0
    refused = site("regress")
    assert refused.returncode == 4
    assert "REFUSED  quiet: new 侵入 (person)" in refused.stdout


def test_a_rule_or_a_pipeline_that_is_gone_is_a_lost_alarm(site: Site) -> None:
    site("events", "pin", site.event)
    gone = site("regress", config=site.changed("  yard:\n    source", "  gate:\n    source"))
    assert gone.returncode == 4
    assert "there is no pipeline yard any more" in gone.stdout
    assert site("regress", config=site.changed("侵入", "intrusion")).returncode == 4


def test_what_cannot_be_pinned_says_why(site: Site, tmp_path: Path) -> None:
    def said(*words: object) -> tuple[int, str]:
        done = site(*words)
        return done.returncode, done.stderr

    assert said("events", "pin") == (
        2,
        "edge-agent: say what to pin\nnext: an event's ID, or --file RECORDING --pipeline P\n",
    )
    lines = site("events", "list", "--json", "--rule", "seen").stdout.splitlines()
    code, words = said("events", "pin", json.loads(lines[0])["id"])
    assert code == 2
    assert "kept no clip that could be replayed" in words
    site("events", "pin", site.event)
    code, words = said("events", "pin", site.event)
    assert (code, "there is a case" in words) == (2, True)
    code, words = said("events", "pin", "--file", tmp_path / "no.mkv", "--pipeline", "yard")
    assert (code, "there is no file" in words) == (2, True)
    assert said("events", "unpin", "../..")[0] == 2
    assert said("regress", "--model", "machine-anomaly")[0] == 2


def test_an_unpinned_case_is_no_longer_asked_for(site: Site) -> None:
    site("events", "pin", site.event)
    assert site("events", "unpin", site.event[:8]).returncode == 0
    assert "no case is pinned" in site("regress").stdout
    assert list((site.store / "cases").iterdir()) == []


def test_erasing_an_event_takes_its_case(site: Site, tmp_path: Path) -> None:
    site("events", "pin", site.event)
    copy = tmp_path / "copy"
    shutil.copytree(site.store, copy)
    done = site.edge("events", "erase", site.event, "--yes", "--state", copy)
    assert "1 pinned case" in done.stdout
    assert list((copy / "cases").iterdir()) == []


@pytest.mark.slow
def test_on_a_real_video_with_a_real_model(
    edge: Run, realdata: Callable[[str], Path], tmp_path: Path
) -> None:
    """A street: the model passes its own case; with a class lost, or a threshold raised, not."""
    model = tmp_path / "yolov8n"
    shutil.copy(realdata("models/yolov8n_192.tflite"), model.with_suffix(".tflite"))
    labels = tmp_path / "labels.txt"
    labels.write_text("person\n")
    imported = edge("models", "import", model.with_suffix(".tflite"), "--labels", labels)
    assert imported.returncode == 0, imported.stderr
    config = tmp_path / "street.yaml"
    config.write_text(
        CONFIG.replace("scene-detector", "yolov8n")
        .replace("kind: scene", "kind: video")
        .replace("built-in:?seed=11", str(realdata("video/vtest.avi")))
    )
    store = tmp_path / "street"
    state = tmp_path / "state"
    done = edge("replay", realdata("video/vtest.avi"), "-c", config, "--store", store)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    event = next(each["id"] for each in events if each["rule"] == "侵入")
    shutil.copytree(state / "models", store / "models")
    places = ("--state", store)
    assert edge("events", "pin", event, "-c", config, *places).returncode == 0
    assert edge("regress", "-c", config, *places).returncode == 0
    raised = tmp_path / "raised.yaml"
    raised.write_text(config.read_text().replace("label: person,", "label: person, min_score: 1,"))
    refused = edge("regress", "-c", raised, *places)
    assert (refused.returncode, f"case {event[:8]}: lost" in refused.stderr) == (4, True)
    blind = tmp_path / "blind"
    (installed,) = (store / "models" / "yolov8n").glob("*/")
    shutil.copytree(installed, blind)
    (blind / "labels.txt").write_text(labels.read_text().replace("person", "ghost"))
    refused = edge("regress", "-c", config, "--model", blind, *places)
    assert (refused.returncode, f"case {event[:8]}: lost" in refused.stderr) == (4, True)
