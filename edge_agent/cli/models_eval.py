"""`edge-agent models eval`: how good a model is, on inputs whose truth somebody wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli import say_error
from edge_agent.cli.names import complete_model
from edge_agent.cli.options import config_option, json_option, state_directory, state_option

if TYPE_CHECKING:
    from edge_agent.service.evaluate import Evaluation

#: What is told of a model, and in which words.
WORDS = {
    "accuracy": "accuracy",
    "mean_iou": "mean IoU",
    "auc": "ROC AUC",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
}
#: A confusion of more classes fits no terminal: --json has it.
MOST_CLASSES = 6


@click.command("eval")
@click.argument("name", shell_complete=complete_model)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV or JSON lines: file,label or file,label,x0,y0,x1,y1 or file,label,x,y or file,mask "
    "or file,anomaly,from,to.",
)
@click.option("--against", help="Another model on the same inputs: a bundle, or a bare .tflite.")
@config_option
@state_option
@json_option
def evaluate(
    name: str,
    truth: Path,
    against: str | None,
    config: Path | None,
    state: Path | None,
    as_json: bool,
) -> int:
    """Judge NAME by a truth file: F1 of detections and key points, confusion of classes, IoU of
    areas, AUC of anomalies.

    A bare .tflite behind --against is taken for the same network in other numbers (float and
    int8): the manifest of NAME applies to it too.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service.evaluate import evaluate as judged
    from edge_agent.service.evaluate import evaluation_document, offered, twin
    from edge_agent.service.truth import read_truth

    folder = state_directory(state, config)
    bundle = offered(name, folder)
    cases = read_truth(truth, bundle.manifest.family)
    other = None if against is None else twin(bundle, against, folder)
    first = judged(bundle, cases, folder)
    second = None if other is None else judged(other, cases, folder)
    for reason in first.unread:
        say_error("failed", reason, "", as_json)
    if as_json:
        click.echo(dump(evaluation_document(first, second)))
    else:
        _say(first, second)
    return 1 if first.unread else 0


# --- below: words ------------------------------------------------------------------------------


def _say(first: Evaluation, second: Evaluation | None) -> None:
    from edge_agent.cli.render import table

    columns = ["", _called(first)]
    rows = [[WORDS[key], _number(value)] for key, value in first.headline.items()]
    if second is not None:
        from edge_agent.service.evaluate import delta

        columns += [_called(second), "difference"]
        differences = delta(first, second)
        for row, key in zip(rows, first.headline, strict=True):
            row += [_number(second.headline[key]), _number(differences[key], "+")]
    table(columns, rows)
    _say_counts(first.opened.spec.family, first)
    _say_labels(first.metrics.get("labels", {}))
    if "confusion" in first.metrics:
        _say_confusion(first.metrics["confusion"])


def _say_counts(family: str, judged: Evaluation) -> None:
    metrics = judged.metrics
    if family == "anomaly":
        threshold = "none" if metrics["threshold"] is None else f"{metrics['threshold']:g}"
        click.echo(
            f"{metrics['anomalies']} windows of anomalies, {metrics['healthy']} healthy, "
            f"threshold {threshold}"
        )
    else:
        click.echo(f"{judged.items} pictures" if judged.items != 1 else "1 picture")


def _say_labels(labels: Mapping[str, Mapping[str, Any]]) -> None:
    from edge_agent.cli.render import table

    if not labels:
        return
    ratios = {"f1": "F1", "iou": "IoU", "precision": "precision", "recall": "recall"}
    ratios = {key: word for key, word in ratios.items() if key in next(iter(labels.values()))}
    counts = ("hits", "false", "missed")
    rows = [
        (
            label or "nothing",
            *(_number(told[key]) for key in ratios),
            *(str(told[key]) for key in counts),
        )
        for label, told in labels.items()
    ]
    table(("label", *ratios.values(), *counts), rows, fold="label")


def _say_confusion(confusion: Mapping[str, Any]) -> None:
    from edge_agent.cli.render import table

    labels: Sequence[str] = [label or "nothing" for label in confusion["labels"]]
    if len(labels) > MOST_CLASSES:
        return
    click.echo("what is true, by line, and what was said")
    rows = [
        (label, *map(str, counts))
        for label, counts in zip(labels, confusion["counts"], strict=True)
    ]
    table(("", *labels), rows)


def _called(judged: Evaluation) -> str:
    """The model, and in which numbers it takes its input."""
    spec = judged.opened.spec
    return f"{spec.name} {spec.version} ({spec.input_tensor.dtype})"


def _number(value: float | None, sign: str = "") -> str:
    return "unknown" if value is None else f"{value:{sign}.4f}"
