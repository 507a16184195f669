"""`edge-agent infer`: one model on pictures, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli import say_error
from edge_agent.cli.names import complete_model
from edge_agent.cli.options import config_option, json_option, state_directory, state_option
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.bundles.guess import Wish
    from edge_agent.service.models import Opened
    from edge_agent.types import Detection, Image, Numbers

#: Says what the model found in a picture, and how many milliseconds `invoke` took.
Look = Callable[["Image"], "tuple[tuple[Detection, ...], float]"]


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--family", help="classification, yolo or ssd. [guessed]")
@click.option("--labels", type=click.Path(path_type=Path), help="A label file. [the model's own]")
@click.option("--out", type=click.Path(path_type=Path), help="Annotated pictures to DIR.")
@click.option(
    "--engine", type=click.Choice(["auto", "litert", "tflite-runtime"]), default="auto",
    help="[auto: as measured by `models bench`, else litert]",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 64), help="[as measured, else 1]")
@config_option
@state_option
@json_option
def command(model: str, inputs: tuple[str, ...], **options: Any) -> int:
    """Run MODEL (a bundle's name, folder or .tar, or a bare .tflite) on pictures.

    An INPUT is a picture, a folder of pictures or a pattern. Those that cannot be read are named;
    the others are done, and the exit code is 1.
    """
    from edge_agent.service.models import Demand, open_named

    state, as_json = state_directory(options["state"], options["config"]), options["as_json"]
    pictures, absent = _find(inputs)
    drawings = _drawings(pictures, options["out"])
    demand = Demand(options["engine"], options["threads"] or "auto")
    opened = open_named(model, wish(options), demand, state)
    unread = [*absent, *_each(opened, pictures, drawings, as_json)]
    for reason in unread:
        say_error("failed", reason, "", as_json)
    if not as_json:
        engine = opened.engine
        _say_wrapped(f"engine: {engine.name} {engine.version}, threads: {engine.threads}")
        say_guesses(opened.spec.guessed)
    return 1 if unread else 0


def wish(said: Mapping[str, Any]) -> Wish:
    """What the options --name, --family and --labels say. Raises UsageError."""
    from edge_agent.bundles.guess import Wish
    from edge_agent.bundles.labels import read_label_file

    labels = None if said["labels"] is None else read_label_file(said["labels"])
    return Wish(said.get("name"), said["family"], labels)


def say_guesses(guessed: Numbers) -> None:
    """The defaults that stand in for what the model's file does not say."""
    if guessed:
        _say_wrapped("guessed: " + ", ".join(f"{key} {value}" for key, value in guessed.items()))


def _find(inputs: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Every picture that is there, and a sentence for each input that is not."""
    from edge_agent.sources.images import find

    pictures: list[Path] = []
    absent: list[str] = []
    for given in inputs:
        if found := find(given):
            pictures += found
        else:
            absent.append(f"there is no picture at {click.format_filename(given)}")
    if not pictures:
        raise UsageError(absent[0], "give a picture, a folder of pictures or a pattern")
    return pictures, absent


def _drawings(pictures: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Where the annotated picture of each input goes. Raises UsageError where one would be lost."""
    if out is None:
        return {}
    drawings = {picture: out / f"{picture.stem}.png" for picture in pictures}
    sources = {drawing: picture for picture, drawing in drawings.items()}
    for picture, drawing in drawings.items():
        if drawing.exists() and any(drawing.samefile(other) for other in pictures):
            raise UsageError(f"the drawing {drawing} would replace an input", "say another --out")
        if sources[drawing] != picture:
            raise UsageError(
                f"{picture} and {sources[drawing]} would both be drawn to {drawing}",
                "run them one after the other, with an --out each",
            )
    return drawings


def _each(
    opened: Opened, pictures: Iterable[Path], drawings: Mapping[Path, Path], as_json: bool
) -> list[str]:
    """Run the model on every picture and say what it found; a sentence for each unreadable one."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.draw import annotated, write_picture
    from edge_agent.sources.images import read_picture
    from edge_agent.types import Broken

    look = _look(opened)
    unread = []
    for path in pictures:
        name = click.format_filename(path)
        item = read_picture(path, Broken("infer", 0, 0.0, path.name, ""))
        if isinstance(item, Broken):
            unread.append(f"{name}: {item.reason.lower()}")
            continue
        found, invoke_ms = look(item.data)
        if as_json:
            click.echo(dump(_document(opened, name, invoke_ms, found)))
        else:
            _say(name, found, opened)
        if path in drawings:
            write_picture(drawings[path], annotated(item.data, found, opened.spec.labels))
    return unread


def _look(opened: Opened) -> Look:
    from edge_agent.pipeline.decode import decoder
    from edge_agent.pipeline.preprocess import Preprocessor

    spec, engine = opened.spec, opened.engine
    preprocess, decode = Preprocessor(spec.input, spec.input_tensor), decoder(spec)

    def look(image: Image) -> tuple[tuple[Detection, ...], float]:
        prepared = preprocess(image)
        began = time.perf_counter()
        outputs = engine.invoke(prepared.tensor)
        invoke_ms = (time.perf_counter() - began) * 1000
        return decode(outputs, prepared.geometry), invoke_ms

    return look


# --- below: words ------------------------------------------------------------------------------


def _document(
    opened: Opened, name: str, invoke_ms: float, found: tuple[Detection, ...]
) -> dict[str, Any]:
    """`inference/1`."""
    from edge_agent.policy.documents import DIGITS, detection_document

    document: dict[str, Any] = {
        "schema": "inference/1",
        "input": name,
        "model": opened.spec.name,
        "engine": opened.engine.name,
        "family": opened.spec.family,
        "invoke_ms": round(invoke_ms, 3),
        "guessed": dict(opened.spec.guessed),
    }
    if opened.spec.family == "classification":
        document["top"] = [
            {"index": each.extra["index"], "label": each.label, "score": round(each.score, DIGITS)}
            for each in found
        ]
    else:
        document["detections"] = [detection_document(each) for each in found]
    return document


def _say(name: str, found: tuple[Detection, ...], opened: Opened) -> None:
    click.echo(name)
    for each in found:
        click.echo(f"  {_described(each, opened.spec.family)}")
    if not found:
        click.echo(f"  nothing above {opened.spec.min_score:g}")


def _described(detection: Detection, family: str) -> str:
    from rich.cells import set_cell_size

    if family == "classification":
        return f"{detection.score:.3f}  {detection.label}"
    x0, y0, x1, y1 = detection.box
    label = set_cell_size(detection.label, 24)
    return f"{detection.score:.3f}  {label}  {x0:.3f},{y0:.3f} to {x1:.3f},{y1:.3f}"


def _say_wrapped(text: str) -> None:
    import textwrap

    click.echo(textwrap.fill(text, 80, subsequent_indent="  "))
