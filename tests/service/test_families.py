"""Rules of every family, from the configuration to the event: what makes sense, and that it works.

`check` says which rules a model can answer; then pipelines made as the service makes them are shown
a film of model outputs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from edge_agent.config.explain import pipeline_spec
from edge_agent.config.load import load
from edge_agent.errors import UsageError
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.pipeline.rules import Ident
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances, Pipeline
from edge_agent.service.assemble import parts_of
from edge_agent.service.check import Report, check
from edge_agent.types import Event, Family, Frame, InputSpec, ModelSpec, TensorSpec

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
SITE = """
sources: {{yard: {{kind: scene}}}}
pipelines:
  p:
    source: yard
    model: the-model
    gate: {{max_fps: 0, motion: false}}
    zones:
      gate: [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]
      press: [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]
    lines: {{shoulder-height: {{from: [0, 0.5], to: [1, 0.5]}}}}
    {rules}
"""
#: The labels of a made bundle of each family.
LABELS: dict[Family, tuple[str, ...]] = {
    "yolo": ("person", "dog"),
    "ssd": ("person", "dog"),
    "fomo": ("person", "dog"),
    "segmentation": ("land", "water"),
    "pose": (),
    "classification": ("open", "closed"),
    "anomaly": (),
    "generic": ("temperature",),
}


def _site(tmp_path: Path, rules: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(rules=rules.replace("\n", "\n    ")), encoding="utf-8")
    return path


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Report]:
    """Checks rules against a bundle of that family."""

    def run(
        rules: str,
        family: Family,
        labels: Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> Report:
        folder = tmp_path / "the-model"
        folder.mkdir(exist_ok=True)
        (folder / "model.tflite").write_bytes(b"not run here")
        output = "" if threshold is None else f"output: {{threshold: {threshold}}}\n"
        named = LABELS[family] if labels is None else labels
        (folder / "manifest.yaml").write_text(
            f"name: the-model\nversion: '1'\nfamily: {family}\nmin_score: 0\n{output}"
            "input: {kind: image, size: [64, 64]}\n"
            f"labels: [{', '.join(named)}]\n"
            f"sha256: {hashlib.sha256(b'not run here').hexdigest()}\n",
            encoding="utf-8",
        )
        return check(_site(tmp_path, rules), None)

    return run


def _said(report: Report) -> list[str]:
    return [f"{mistake.path}: {mistake.message}" for mistake in report.mistakes]


# --- which rules make sense --------------------------------------------------------------------

EXAMPLES = [
    (family, block)
    for block in re.findall(r"```yaml\n(# .*?)```", PAGE, re.DOTALL)
    for family in re.findall(r"[a-z]+", block.split(":")[0])
]


def test_the_page_has_an_example_of_every_family() -> None:
    assert {family for family, _ in EXAMPLES} == set(LABELS)


@pytest.mark.parametrize(("family", "rules"), EXAMPLES)
def test_an_example_of_the_page_makes_sense_for_its_family(
    checked: Callable[..., Report], family: Family, rules: str
) -> None:
    report = checked(rules, family, threshold=2.5 if family == "anomaly" else None)
    assert _said(report) == []
    assert all(alert.worst_s is not None for alert in report.alerts)


@pytest.mark.parametrize(
    ("family", "rule", "mistake"),
    [
        ("anomaly", "", ": model the-model is of family anomaly, there are no objects to follow, "
         "allowed: rules with score_above"),
        ("generic", "count: 2", ".count: model the-model is of family generic, there are no "
         "objects to follow, allowed: rules with score_above"),
        ("classification", "absent_s: 5", ".absent_s: model the-model is of family "
         "classification, there are no objects to follow, allowed: rules with score_above or "
         "switched"),
        ("classification", "line: shoulder-height", ".line: model the-model is of family "
         "classification, there are no objects to follow, allowed: rules with score_above or "
         "switched"),
        ("pose", "switched: true", ".switched: model the-model is of family pose, not a "
         "classification, which alone has one class at a time"),
        ("anomaly", "switched: true", ".switched: model the-model is of family anomaly, not a "
         "classification, which alone has one class at a time"),
        ("pose", "min_area: 0.1", ".min_area: model the-model is of family pose, whose key points "
         "have no area, allowed: rules without min_area"),
        ("segmentation", "score_above: 20", ".score_above: model the-model is of family "
         "segmentation, whose scores are from 0 to 1"),
        ("yolo", "score_above: 0.5, clear_below: -1", ".clear_below: model the-model is of family "
         "yolo, whose scores are from 0 to 1"),
        ("anomaly", "score_above: -1", ".score_above: model the-model is of family anomaly, whose "
         "scores are 0 or more"),
        ("anomaly", "score_above: model", ".score_above: `score_above: model` needs a model with "
         "a threshold, allowed: a number (model the-model)"),
        ("pose", "label: left_fist", '.label: model the-model has no label "left_fist", allowed: '
         "nose, left_eye, right_eye, left_ear, right_ear, left_shoulder, right_shoulder, "
         "left_elbow, right_elbow, left_wrist, right_wrist, left_hip and 5 more "
         "(did you mean left_wrist?)"),
        ("anomaly", "label: bearing, score_above: 1", '.label: model the-model has no label '
         '"bearing", allowed: anomaly'),
        ("segmentation", "label: sky", '.label: model the-model has no label "sky", allowed: '
         "land, water"),
        ("generic", "label: humidity, score_above: 1", '.label: model the-model has no label '
         '"humidity", allowed: temperature'),
    ],
)  # fmt: skip
def test_a_rule_that_a_family_cannot_answer_is_a_mistake(
    checked: Callable[..., Report], family: Family, rule: str, mistake: str
) -> None:
    comma = ", " if rule else ""
    said = _said(checked(f"rules: [{{name: a{comma}{rule}}}]", family))
    assert said == [f"pipelines.p.rules[0]{mistake}"]


@pytest.mark.parametrize("family", ["segmentation", "yolo", "classification", "pose", "fomo"])
def test_a_score_that_is_never_reached_is_a_mistake(
    checked: Callable[..., Report], family: Family
) -> None:
    (said,) = _said(checked("rules: [{name: a, score_above: 1}]", family))
    assert said.endswith(f"is of family {family}, whose scores are never above 1")
    assert _said(checked("rules: [{name: a, score_above: 0.999}]", family)) == []


@pytest.mark.parametrize(
    ("family", "labels", "label", "allowed"),
    [
        ("segmentation", ("background", "cat", "犬"), "background", "cat, 犬"),
        ("segmentation", (), "0", "an index from 1 on"),
        ("fomo", ("background", "face"), "background", "face"),
        ("fomo", (), "0", "an index from 1 on"),
        ("ssd", ('"???"', "person"), '"???"', "person"),
    ],
)
def test_the_background_is_no_finding_and_a_rule_about_it_a_mistake(
    checked: Callable[..., Report],
    family: Family,
    labels: tuple[str, ...],
    label: str,
    allowed: str,
) -> None:
    (said,) = _said(checked(f"rules: [{{name: a, label: {label}}}]", family, labels))
    assert said.startswith("pipelines.p.rules[0].label: ")
    assert said.endswith(f"the background of model the-model, which is no finding, "
                         f"allowed: {allowed}")  # fmt: skip


@pytest.mark.parametrize(
    ("family", "labels", "label"),
    [("ssd", (), 0), ("segmentation", ("land", "background"), "background"),
     ("classification", ("background", "cat"), "background")],
)  # fmt: skip
def test_a_background_that_can_be_found_is_a_label(
    checked: Callable[..., Report], family: Family, labels: tuple[str, ...], label: object
) -> None:
    kind = ", score_above: 0.5" if family == "classification" else ""
    assert _said(checked(f"rules: [{{name: a, label: {label}{kind}}}]", family, labels)) == []


@pytest.mark.parametrize(
    ("family", "labels", "rule"),
    [
        ("pose", (), "label: left_wrist, zone: press"),
        ("pose", ("tip", "tail"), "label: tail"),
        ("pose", (), "label: 20"),  # not all poses have COCO's points
        ("anomaly", (), "label: anomaly, score_above: 0.5"),
        ("anomaly", ("wear",), "label: wear, score_above: 1e6"),
        ("generic", (), "label: whatever the output is called, score_above: -4"),
        ("segmentation", ("cat",), "label: cat, min_area: 0.2"),
        ("fomo", ("face",), "label: face, count: 3"),
        ("classification", (), "label: 3, switched: true"),
        ("yolo", ("person",), "switched: false"),
    ],
)
def test_a_rule_that_a_family_can_answer_is_right(
    checked: Callable[..., Report], family: Family, labels: tuple[str, ...], rule: str
) -> None:
    assert _said(checked(f"rules: [{{name: a, {rule}}}]", family, labels)) == []


def test_a_gap_above_the_models_threshold_is_a_mistake(checked: Callable[..., Report]) -> None:
    rules = "rules: [{name: a, score_above: model, clear_below: 3}]"
    assert _said(checked(rules, "anomaly", threshold=3.5)) == []
    (said,) = _said(checked(rules, "anomaly", threshold=2.5))
    assert "`clear_below` 3 is above `score_above` 2.5" in said


def test_a_kind_that_comes_from_the_defaults_is_a_mistake_of_the_rule(
    checked: Callable[..., Report],
) -> None:
    (said,) = _said(checked("defaults: {count: 2}\nrules: [{name: a}]", "anomaly"))
    assert said.startswith("pipelines.p.rules[0]: model the-model is of family anomaly")


# --- and they work -----------------------------------------------------------------------------

SIZE = 8


class Scripted:
    """An engine that answers as it was told, frame after frame."""

    name, version, threads = "scripted", "1", 1
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    operators: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.answer: tuple[np.ndarray, ...] = ()

    def invoke(self, tensor: np.ndarray) -> tuple[np.ndarray, ...]:
        return self.answer

    def reset(self) -> None: ...

    def close(self) -> None: ...


class Show:
    """A pipeline of a family, five frames a second, and what came of it."""

    def __init__(self, config: Path, model: ModelSpec) -> None:
        spec = pipeline_spec(load(config), "p")
        self.engine = Scripted()
        self.pipeline = Pipeline(parts_of(spec, model, self.engine, Ident()), lambda: 0.0)
        self.frame = 0
        self.opened: list[Event] = []
        self.closed: list[Event] = []

    def show(self, output: object, frames: int = 1) -> Show:
        self.engine.answer = (np.asarray(output, np.float32),)
        for _ in range(frames):
            frame = Frame("yard", self.frame, self.frame / 5, np.zeros((SIZE, SIZE, 3), np.uint8))
            self.outcome = self.pipeline.step(frame, Circumstances(Calendar(UTC)))
            self.opened += self.outcome.opened
            self.closed += self.outcome.closed
            self.frame += 1
        return self

    @property
    def told(self) -> list[tuple[int, str]]:
        return [(event.frame, event.text) for event in self.opened]


@pytest.fixture
def showing(tmp_path: Path) -> Callable[..., Show]:
    def make(
        family: Family, shape: tuple[int, ...], rules: str, labels: tuple[str, ...], **about: object
    ) -> Show:
        model = ModelSpec(
            name="the-model",
            version="1",
            family=family,
            sha256="0" * 64,
            input=InputSpec(SIZE, SIZE),
            input_tensor=TensorSpec(0, "in", (1, SIZE, SIZE, 3), "float32"),
            output_tensors=(TensorSpec(0, "out", shape, "float32"),),
            labels=labels,
            **{"min_score": 0.3, **about},  # type: ignore[arg-type]
        )
        return Show(_site(tmp_path, f"rules: [{rules}]"), model)

    return make


def test_fomo_follows_an_object_from_cell_to_cell(showing: Callable[..., Show]) -> None:
    rule = "{name: at-gate, label: face, zone: gate, anchor: center, confirm: [2, 3]}"
    show = showing("fomo", (1, 10, 10, 2), rule, ("face",))
    for x in range(10):
        heat = np.zeros((1, 10, 10, 2))
        heat[..., 0] = 1.0
        heat[0, 4, x] = (0.1, 0.9)
        show.show(heat)
    assert show.told == [(5, "face in gate")]
    assert {track.id for track in show.outcome.tracks} == {1}


def test_a_weak_cell_does_not_change_the_box_of_an_object(showing: Callable[..., Show]) -> None:
    show = showing("fomo", (1, 10, 10, 2), "{name: a}", ("face",))
    heat = np.zeros((1, 10, 10, 2))
    heat[0, 4, 4, 1], heat[0, 4, 5, 1] = 0.9, 0.2  # more than half of what counts
    heat[..., 0] = 1.0 - heat[..., 1]
    show.show(heat)
    assert show.outcome.tracks[0].box == pytest.approx((0.4, 0.4, 0.5, 0.5))


def _areas(*rows: int) -> np.ndarray:
    """A map of scores in which water fills these rows of ten."""
    scores = np.zeros((1, 10, 10, 2))
    scores[..., 0] = 0.5
    scores[0, list(rows), :, 1] = 1.0
    return scores


def test_segmentation_tells_of_the_area_of_a_class(showing: Callable[..., Show]) -> None:
    rules = (
        "{name: flood, label: water, score_above: 0.35, clear_below: 0.15}, "
        "{name: much, label: water, min_area: 0.35}, "
        "{name: dry, label: water, absent_s: 1}"
    )
    show = showing("segmentation", (1, 10, 10, 2), rules, ("land", "water"), min_score=0.05)
    show.show(_areas(0, 9)).show(_areas(0, 1, 9), 2)
    assert show.opened == []  # although the box around them is the whole picture
    show.show(_areas(0, 1, 8, 9)).show(_areas(0, 9)).show(_areas(0)).show(_areas(), 10)
    assert show.told == [
        (3, "water: score 0.40"),
        (3, "water in the picture"),
        (10, "no water in the picture for 1.0 s"),
    ]
    assert [event.closed for event in show.closed if event.rule == "flood"] == [1.0]


def _pose(**points: tuple[float, float, float]) -> np.ndarray:
    """x, y, score of key points of the 17; the others are not seen."""
    output = np.zeros((1, 1, 17, 3))
    for name, (x, y, score) in points.items():
        output[0, 0, COCO.index(name)] = (y, x, score)
    return output


def test_pose_tells_of_a_hand_in_the_press(showing: Callable[..., Show]) -> None:
    rules = (
        "{name: hand, label: [left_wrist, right_wrist], zone: press, anchor: center, "
        "confirm: [2, 3]}, "
        "{name: both, label: [left_wrist, right_wrist], zone: press, count: 2}, "
        "{name: raised, label: left_wrist, line: shoulder-height, direction: out}"
    )
    show = showing("pose", (1, 1, 17, 3), rules, ())
    show.show(_pose(left_wrist=(0.5, 0.8, 0.9), nose=(0.5, 0.5, 0.9)), 3)
    show.show(_pose(left_wrist=(0.5, 0.55, 0.9), right_wrist=(0.45, 0.5, 0.2)), 2)
    show.show(_pose(left_wrist=(0.5, 0.45, 0.9), right_wrist=(0.45, 0.5, 0.4)))
    assert show.told == [
        (4, "left_wrist in press"),
        (5, "2 x left_wrist or right_wrist in press"),
        (5, "left_wrist crossed shoulder-height (out)"),
    ]
    assert {event.track for event in show.opened} == {10, None}  # its place among the 17
    show.show(_pose(), 40)
    assert {(e.rule, e.close_reason) for e in show.closed} == {
        ("hand", "lost"), ("both", "cleared"), ("raised", "crossed"),
    }  # fmt: skip


def test_an_anomaly_is_an_error_above_the_models_threshold(showing: Callable[..., Show]) -> None:
    rule = "{name: wear, score_above: model, clear_below: 4, for_s: 0.4}"
    shape = (1, SIZE, SIZE, 3)
    show = showing("anomaly", shape, rule, (), min_score=0.0, output={"threshold": 6.0})
    for error in (0, 3, 3, 3, 2.1, 1.9):  # its square is the score: the picture is black
        show.show(np.full(shape, error))
    assert show.told == [(3, "wear: score 9.00")]
    (event,) = show.closed
    assert (event.label, event.closed, event.score_max) == ("anomaly", 1.0, pytest.approx(9.0))


def test_a_rule_that_wants_a_threshold_needs_a_model_with_one(showing: Callable[..., Show]) -> None:
    with pytest.raises(UsageError, match="rule wear of pipeline p: `score_above: model` needs"):
        showing("anomaly", (1, SIZE, SIZE, 3), "{name: wear, score_above: model}", ())


def test_an_output_of_a_generic_model_may_be_below_zero(showing: Callable[..., Show]) -> None:
    rule = "{name: thawing, label: out, score_above: -5, clear_below: -8}"
    show = showing("generic", (1, 1), rule, (), min_score=0.0)
    for value in (-20, -4, -7, -8, -8.1, -30, 2):
        show.show([[value]])
    assert show.told == [(1, "out: score -4.00"), (6, "out: score 2.00")]
    assert [event.closed for event in show.closed] == [0.8]


def test_a_classification_tells_of_the_switch_of_its_class(showing: Callable[..., Show]) -> None:
    rules = "{name: door, switched: true, confirm: [2, 3]}, {name: sure, score_above: 0.1}"
    show = showing("classification", (1, 2), rules, ("open", "closed"))
    for sure in (0.9, 0.9, 0.1, 0.9, 0.1, 0.1, 0.1):
        show.show([[1 - sure, sure]])
    assert show.told == [(0, "sure: score 0.90"), (4, "open after closed")]
    assert show.opened[1].score_max == pytest.approx(0.9)
    assert show.pipeline.tracks == ()
