"""`edge-agent infer`: one model on pictures or windows, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli import say_error
from edge_agent.cli.names import complete_model
from edge_agent.cli.options import (
    config_option,
    family_option,
    json_option,
    state_directory,
    state_option,
)
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.bundles.guess import Wish
    from edge_agent.config.signal_uri import SignalUri
    from edge_agent.policy.inference import Inferred
    from edge_agent.service.inference import Input
    from edge_agent.service.models import Opened
    from edge_agent.types import Detection, ModelSpec, Numbers

#: What the map of a segmentation's classes ends with.
CLASSES = ".classes.png"


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@family_option
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
    """Run MODEL (a bundle's name, folder or .tar, or a bare .tflite) on pictures or signals.

    An INPUT is a picture, for a model of signals a .csv, .wav or .npy file; or a folder of them, or
    a pattern; csv:FILE?columns=a,b and wav:FILE?channels=1 choose channels. Those that cannot be
    read are named; the others are done, and the exit code is 1.
    """
    from edge_agent.service.models import Demand, open_named

    state, as_json = state_directory(options["state"], options["config"]), options["as_json"]
    demand = Demand(options["engine"], options["threads"] or "auto")
    opened = open_named(model, wish(options), demand, state)
    found, absent = _find(inputs, opened.spec)
    drawings = _drawings([each.path for each in found], options["out"], opened.spec)
    unread = [*absent, *_each(opened, found, drawings, as_json)]
    for reason in unread:
        say_error("failed", reason, "", as_json)
    if not as_json:
        if options["out"] and not drawings:
            _say_wrapped(f"nothing is drawn of a signal: {options['out']} was left alone")
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


def _find(given: Sequence[str], spec: ModelSpec) -> tuple[list[Input], list[str]]:
    """Every file that is there, and a sentence for each input that is not."""
    from edge_agent.service.inference import Input
    from edge_agent.sources import images, recordings
    from edge_agent.types import SignalSpec

    signals = isinstance(spec.input, SignalSpec)
    what = "signal" if signals else "picture"
    kinds = "a .csv, .wav or .npy file" if signals else "a picture"
    suffixes = recordings.SUFFIXES if signals else images.SUFFIXES
    inputs: list[Input] = []
    absent: list[str] = []
    for each in given:
        if found := images.find(each, suffixes):
            inputs += [Input(click.format_filename(path), path) for path in found]
        elif (uri := _recording(each)) is not None:
            inputs.append(Input(each, Path(uri.place), uri))
        else:
            absent.append(f"there is no {what} at {click.format_filename(each)}")
    if not inputs:
        raise UsageError(absent[0], f"give {kinds}, a folder of them, or a pattern")
    return inputs, absent


def _recording(given: str) -> SignalUri | None:
    """A file with its kind, as a source's `uri` has it. Raises UsageError for one that is wrong, or
    of a kind that is no file."""
    from edge_agent.config.signal_uri import FILES, KINDS, parse

    kind = given.partition(":")[0]
    if kind == given or kind not in KINDS:
        return None
    if kind not in FILES:
        raise UsageError(
            f"{given}: infer reads files, and {kind}: is none", f"edge-agent sources test {given}"
        )
    uri = parse(given)
    uri.refuse(("follow",), "infer")
    return uri if Path(uri.place).exists() else None


def _drawings(pictures: Sequence[Path], out: Path | None, spec: ModelSpec) -> dict[Path, Path]:
    """Where the annotated picture of each input goes. Raises UsageError where one would be lost."""
    from edge_agent.types import SignalSpec

    if out is None or isinstance(spec.input, SignalSpec):
        return {}
    drawings = {picture: out / f"{picture.stem}.png" for picture in pictures}
    sources = {drawing: picture for picture, drawing in drawings.items()}
    for picture, drawing in drawings.items():
        for made in (drawing, drawing.with_suffix(CLASSES)):
            if made.exists() and any(made.samefile(other) for other in pictures):
                raise UsageError(f"the drawing {made} would replace an input", "say another --out")
        if sources[drawing] != picture:
            raise UsageError(
                f"{picture} and {sources[drawing]} would both be drawn to {drawing}",
                "run them one after the other, with an --out each",
            )
    return drawings


def _each(
    opened: Opened, inputs: Iterable[Input], drawings: Mapping[Path, Path], as_json: bool
) -> list[str]:
    """Run the model on every input and say what it found; a sentence for each unreadable one. What
    harmed no window is told as it comes."""
    from edge_agent.policy.documents import dump
    from edge_agent.policy.inference import inference_document
    from edge_agent.service.draw import drawn, write_picture
    from edge_agent.service.inference import inference, items
    from edge_agent.types import Broken

    spec, ask = opened.spec, inference(opened, drawn=bool(drawings))
    unread = []
    for each, window, item in items(opened, inputs):
        name, path = each.name, each.path
        if isinstance(item, Broken):
            reason = f"{name}: {item.reason[:1].lower()}{item.reason[1:]}"
            if item.counted:
                unread.append(reason)
            else:
                say_error("damaged", reason, "", as_json)
            continue
        inferred = replace(ask(name, item.data), window=window)
        if as_json:
            click.echo(dump(inference_document(spec, inferred)))
        else:
            _say(inferred, spec)
        if path in drawings:
            made = {drawings[path]: drawn(item.data, spec, inferred)}
            if inferred.classes is not None:
                made[drawings[path].with_suffix(CLASSES)] = inferred.classes
            for place, picture in made.items():
                write_picture(place, picture)
                if not as_json:
                    click.echo(f"  drawn: {click.format_filename(place)}")
    return unread


# --- below: words ------------------------------------------------------------------------------


def _say(inferred: Inferred, spec: ModelSpec) -> None:
    which = "" if inferred.window is None else f" window {inferred.window}"
    click.echo(f"{inferred.input}{which}")
    shown = [each for each in inferred.found if each.score >= spec.min_score]
    for each in shown:
        click.echo(f"  {_described(each, spec)}")
    if spec.family == "pose":
        click.echo(f"  {len(shown)} of {len(inferred.found)} key points above {spec.min_score:g}")
    elif not shown:
        click.echo(f"  {_NOTHING.get(spec.family) or f'nothing above {spec.min_score:g}'}")


#: What it means that nothing was found, where it is no question of a score.
_NOTHING = {
    "segmentation": "nothing but the background",
    "anomaly": "no score: the output is not a number",
    "generic": "the outputs hold no number",
}


def _described(found: Detection, spec: ModelSpec) -> str:
    """One line of 78 columns."""
    from edge_agent.policy.documents import significant

    x0, y0, x1, y1 = found.box
    match spec.family:
        case "classification":
            return f"{found.score:.3f}  {found.label}"
        case "pose":
            return f"{found.score:.3f}  {_name(found)}  {x0:.3f},{y0:.3f}"
        case "anomaly":
            threshold = spec.output.get("threshold")
            verdict = "" if threshold is None else f"  (threshold {threshold:g})"
            return f"{significant(found.score):g}  {found.label}{verdict}"
        case "generic":
            shape = ",".join(map(str, found.extra["shape"]))
            least, most = found.extra["min"], found.extra["max"]
            about = f"{found.extra['dtype']}[{shape}]"
            return f"{found.score:<12.6g}  {_output(found)}  {least:.4g} to {most:.4g}  {about}"
    return f"{found.score:.3f}  {_name(found)}  {x0:.3f},{y0:.3f} to {x1:.3f},{y1:.3f}"


def _name(found: Detection) -> str:
    """The label in 24 columns."""
    from rich.cells import set_cell_size

    return set_cell_size(found.label, 24)


def _output(found: Detection) -> str:
    """The name of a tensor in 24 columns: names differ at their end."""
    from rich.cells import cell_len

    name, cut = found.label, found.label
    while cell_len(cut) > 24 - (cut != name):
        cut = cut[1:]
    shown = cut if cut == name else f"…{cut}"
    return shown + " " * (24 - cell_len(shown))


def _say_wrapped(text: str) -> None:
    import textwrap

    click.echo(textwrap.fill(text, 80, subsequent_indent="  "))
