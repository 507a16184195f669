"""A configuration meets what it names: models, their labels and families, sources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.service.check import Report, check

SITE = """
sources: {{yard: {{kind: scene}}}}
pipelines:
  p:
    source: yard
    model: {model}
    {keys}
"""
LABELS = ("person", "forklift", "van", "dog")


def _bundle(folder: Path, family: str = "yolo", labels: tuple[str, ...] = LABELS) -> Path:
    """A bundle that is right on the outside: `check` never runs a model."""
    folder.mkdir(parents=True)
    model = b"not run here"
    (folder / "model.tflite").write_bytes(model)
    (folder / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    (folder / "manifest.yaml").write_text(
        f"name: {folder.name}\nversion: '1'\nfamily: {family}\nmin_score: 0.3\n"
        "input: {kind: image, size: [64, 64]}\n"
        f"labels: [{', '.join(labels)}]\n"
        f"sha256: {hashlib.sha256(model).hexdigest()}\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Report]:
    """Checks the keys of one pipeline, whose model lies beside the file."""

    def run(keys: str = "", model: str = "objects", **bundle: object) -> Report:
        if not (tmp_path / "objects").exists():
            _bundle(tmp_path / "objects", **bundle)  # type: ignore[arg-type]
        path = tmp_path / "site.yaml"
        path.write_text(SITE.format(model=model, keys=keys), encoding="utf-8")
        return check(path, None)

    return run


def _said(report: Report) -> list[str]:
    return [str(mistake).split("site.yaml:", 1)[1] for mistake in report.mistakes]


def test_labels_that_the_model_has_are_right(checked: Callable[..., Report]) -> None:
    report = checked("rules: [{name: a, label: person}, {name: b, label: [van, dog]}]")
    assert report.mistakes == ()
    assert report.config is not None


def test_a_label_that_the_model_does_not_have_is_named_with_the_nearest(
    checked: Callable[..., Report],
) -> None:
    report = checked("rules: [{name: a, label: preson}, {name: b, label: [van, cat]}]")
    assert _said(report) == [
        '7:30: pipelines.p.rules[0].label: model objects has no label "preson", allowed: '
        "person, forklift, van, dog (did you mean person?)",
        '7:62: pipelines.p.rules[1].label[1]: model objects has no label "cat", allowed: '
        "person, forklift, van, dog",
    ]
    assert report.config is None


def test_a_wrong_label_among_the_defaults_is_named_there_once(
    checked: Callable[..., Report],
) -> None:
    report = checked("defaults: {label: 人}\n    rules: [{name: a}, {name: b}]")
    assert [mistake.path for mistake in report.mistakes] == ["pipelines.p.defaults.label"]


def test_a_wrong_label_is_named_beside_the_mistakes_of_the_file(
    checked: Callable[..., Report],
) -> None:
    report = checked("enigne: auto\n    rules: [{name: a, label: cat, cooldown: 5}]")
    assert [mistake.path for mistake in report.mistakes] == [
        "pipelines.p.enigne",
        "pipelines.p.rules[0].label",
        "pipelines.p.rules[0].cooldown",
    ]


def test_of_many_labels_the_first_are_named(checked: Callable[..., Report]) -> None:
    many = tuple(f"class{number}" for number in range(1001))
    (said,) = _said(checked("rules: [{name: a, label: zebra}]", labels=many))
    assert said.endswith("class10, class11 and 989 more")


def test_a_model_without_labels_has_indexes(checked: Callable[..., Report]) -> None:
    report = checked("rules: [{name: a, label: 0}, {name: b, label: person}]", labels=())
    assert _said(report) == [
        '7:51: pipelines.p.rules[1].label: model objects has no label "person", allowed: '
        "the index of a class, such as 0 (it has no labels)"
    ]


def test_a_classification_has_no_objects_to_follow(checked: Callable[..., Report]) -> None:
    report = checked(
        "rules: [{name: a, label: dog}, {name: b, score_above: 0.5}]", family="classification"
    )
    assert _said(report) == [
        "7:13: pipelines.p.rules[0]: model objects is of family classification, there are no "
        "objects to follow, allowed: rules with score_above or switched"
    ]


def test_a_model_that_is_not_there_is_named_at_its_line(checked: Callable[..., Report]) -> None:
    (said,) = _said(checked(model="people"))
    assert said.startswith("6:12: pipelines.p.model: there is no model 'people'")


def test_a_damaged_model_is_named_at_its_line(
    checked: Callable[..., Report], tmp_path: Path
) -> None:
    _bundle(tmp_path / "objects")
    (tmp_path / "objects/model.tflite").write_bytes(b"cut sho")
    (said,) = _said(checked())
    assert said.startswith("6:12: pipelines.p.model: model objects is damaged")


@pytest.mark.parametrize("name", ["m" * 300, '"a\\0b"', "a/" * 600 + "b", "..", "/", '"人"'])
def test_a_name_that_no_model_can_have_is_a_mistake(
    checked: Callable[..., Report], name: str
) -> None:
    paths = {mistake.path for mistake in checked(model=name).mistakes}
    assert paths == {"pipelines.p.model"}


def test_a_scene_that_does_not_exist_is_named_at_its_line(tmp_path: Path) -> None:
    _bundle(tmp_path / "objects")
    path = tmp_path / "site.yaml"
    path.write_text(
        'sources: {s: {kind: scene, uri: "built-in:?sed=7"}}\n'
        "pipelines: {p: {source: s, model: objects}}\n"
    )
    (said,) = _said(check(path, None))
    assert said.startswith("1:33: sources.s.uri: built-in:?sed=7: the built-in scene has no")


def test_footage_that_is_not_there_yet_is_a_warning(tmp_path: Path) -> None:
    _bundle(tmp_path / "objects")
    path = tmp_path / "site.yaml"
    path.write_text(
        "sources: {v: {kind: video, uri: a.mp4}, i: {kind: images, uri: shots}}\n"
        "pipelines: {p: {source: v, model: objects}}\n"
    )
    report = check(path, None)
    assert report.mistakes == ()
    assert [warning.path for warning in report.warnings] == ["sources.v.uri", "sources.i.uri"]


def test_updates_without_a_root_to_trust_are_a_warning(
    checked: Callable[..., Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.service.check_ota.ROOT", tmp_path / "root.json")
    keys = "\nota: {repository: https://models.example/tuf}"
    (warning,) = checked(keys).warnings
    assert warning.path == "ota"
    assert f"there is no {tmp_path / 'root.json'} here" in warning.message
    (tmp_path / "root.json").write_text("{}")
    assert checked(keys, model="again").warnings == ()


def test_models_are_looked_for_in_the_state_that_the_file_names(tmp_path: Path) -> None:
    from edge_agent.bundles.slots import active_folders

    version = _bundle(tmp_path / "state/models/objects/1-abc")
    (version / "../slots.json").resolve().write_text('{"active": "1-abc", "previous": null}')
    assert "objects" in active_folders(tmp_path / "state")
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(model="objects", keys="rules: [{name: a, label: van}]"))
    assert check(path, None).mistakes
    path.write_text(path.read_text() + "store: {path: state}\n")
    assert check(path, None).mistakes == ()


def test_a_rule_is_as_fast_as_the_slower_of_gate_and_source(checked: Callable[..., Report]) -> None:
    rules = "rules: [{name: a, confirm: [3, 5], priority: alert}]"
    (at_gate,) = checked(f"gate: {{max_fps: 5}}\n    {rules}").alerts
    (at_source,) = checked(f"gate: {{max_fps: 0}}\n    {rules}").alerts
    assert (at_gate.fps, at_gate.worst_s) == (5.0, pytest.approx(1.0))
    assert (at_source.fps, at_source.worst_s) == (10.0, pytest.approx(0.5))
    assert (at_gate.pipeline, at_gate.rule, at_gate.priority) == ("p", "a", "alert")


def test_of_a_video_only_the_file_knows_the_rate(tmp_path: Path) -> None:
    _bundle(tmp_path / "objects")
    path = tmp_path / "site.yaml"
    path.write_text(
        "sources: {v: {kind: video, uri: a.mp4}}\n"
        "pipelines: {p: {source: v, model: objects, gate: {max_fps: 0}, rules: [{name: a}]}}\n"
    )
    (alert,) = check(path, None).alerts
    assert (alert.fps, alert.worst_s) == (None, None)


_VALUES = st.recursive(
    st.sampled_from(["objects", "scene", "video", "person", "", "a\0b", "..", 5, True, None, 0.5]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "label", "score_above", "kind", "uri", "path", "name"]), inner
        )
    ),
    max_leaves=8,
)
_PARTS = st.dictionaries(
    st.sampled_from(["kind", "uri", "model", "source", "rules", "defaults", "zones"]), _VALUES
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(source=_PARTS | _VALUES, pipeline=_PARTS | _VALUES, store=_VALUES)
def test_whatever_stands_there_is_judged(
    tmp_path: Path, source: object, pipeline: object, store: object
) -> None:
    path = tmp_path / "any.yaml"
    tree = {"sources": {"s": source}, "pipelines": {"p": pipeline}, "store": store}
    path.write_text(json.dumps(tree), encoding="utf-8")
    report = check(path, None)
    assert (report.config is None) == bool(report.mistakes)
