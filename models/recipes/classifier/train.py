"""Folders of your own pictures, one a class, become a classifier bundle, int8.

    PYTHONPATH=. python models/recipes/classifier/train.py --images pictures --out ripe

Run from the checkout; `pictures/` holds `green/`, `ripe/`, ... A small network is trained from
nothing, so it learns what fills the picture and differs plainly: a lamp on or off, a gate open or
shut, a part there or missing. It has never seen the world: for anything finer take a network that
has, and bring it in with `edge-agent models import`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_agent.bundles.labels import clean
from edge_agent.errors import UsageError
from edge_agent.pipeline.preprocess import Preprocessor
from edge_agent.policy.statistics import Confusion, confusion
from edge_agent.sources.images import find, read_picture
from edge_agent.types import Broken, InputSpec, TensorSpec
from models.recipes.bundle_writer import Draft, floats, may_write, write
from models.recipes.command import SEED, run, say, seeded
from models.recipes.tflite import Asked, as_tflite

HELD_OUT = 0.2
FEWEST = 10  # pictures of a class
EPOCHS = 40
BATCH = 16
GOLDEN = 6

CARD = """\
# {name} 1.0.0

Says which of {count} classes a picture is: {labels}. Trained on your own pictures by
`models/recipes/classifier` of edge-agent.

| | |
|---|---|
| family | `classification`, int8 |
| input | {size} x {size} RGB, int8 = pixel - 128; stretched, by area |
| size | {kilobytes:.0f} kB |

## Data

| class | learnt from | held out |
|---|---|---|
{data}

One picture in five was held out, by chance, class by class.

## How good it is

On the held-out pictures, which the training never saw: {right} of {held_out} right, an accuracy of
**{accuracy:.3f}**; before int8 {float_accuracy:.3f}.

| true \\ said | {head} |
|---|{dashes}|
{rows}

## Limits

- **Held-out pictures are sisters of the learnt ones**: same camera, same days. Somewhere else, in
  other light, it is worse; record that too, and look with `edge-agent models eval {name} --truth
  FILE`.
- It always says one of its classes, of a picture of anything. Give it a class for nothing.
- With few held-out pictures the accuracy is a rough number: {held_out} here.
- A small network from nothing: it tells apart what differs plainly, and no kinds of bird.
"""


@dataclass(frozen=True)
class Pictures:
    """All pictures in the model's size: (n, size, size, 3) uint8 RGB, and the class of each."""

    labels: tuple[str, ...]
    images: np.ndarray
    classes: np.ndarray
    frames: tuple[np.ndarray, ...]  # BGR, as they were read

    def part(self, places: np.ndarray) -> Pictures:
        frames = tuple(self.frames[place] for place in places)
        return Pictures(self.labels, self.images[places], self.classes[places], frames)


def read(folder: Path, spec: InputSpec) -> Pictures:
    """Raises UsageError for what cannot be read or learnt from."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    files = {entry.name: find(str(entry)) for entry in sorted(folder.iterdir()) if entry.is_dir()}
    files = {name: found for name, found in files.items() if found}
    if len(files) < 2:
        raise UsageError(
            f"{folder} holds pictures of {len(files)} class{'es' * (len(files) != 1)}, and a "
            "classifier tells at least two apart",
            "put the pictures of each class into a folder of its name",
        )
    few = min(files, key=lambda name: len(files[name]))
    if len(files[few]) < FEWEST:
        raise UsageError(
            f"{folder / few} holds {len(files[few])} pictures, at least {FEWEST} are needed",
            "take more, or leave the class out",
        )
    shape = (1, spec.height, spec.width, 3)
    prepare = Preprocessor(spec, TensorSpec(0, "picture", shape, "uint8"))
    frames = [_picture(file) for found in files.values() for file in found]
    counts = [len(found) for found in files.values()]
    return Pictures(
        labels=tuple(clean(name, place) for place, name in enumerate(files)),
        images=np.concatenate([prepare(frame).tensor for frame in frames]),
        classes=np.repeat(np.arange(len(counts)), counts),
        frames=tuple(frames),
    )


def _picture(file: Path) -> np.ndarray:
    item = read_picture(file, Broken("", 0, 0.0, file.name, ""))
    if isinstance(item, Broken):
        raise UsageError(f"{file}: {item.reason}", "repair it or take it out")
    return item.data


def split(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places to learn from, and held-out ones: every class in the same parts."""
    rng = np.random.default_rng(SEED)
    learnt, held_out = [], []
    for label in np.unique(classes):
        places = rng.permutation(np.flatnonzero(classes == label))
        count = round(len(places) * HELD_OUT)
        held_out.append(places[:count])
        learnt.append(places[count:])
    return np.sort(np.concatenate(learnt)), np.sort(np.concatenate(held_out))


def network(size: int, classes: int) -> Any:
    """Convolutions of 3 x 3 that halve the picture four times, then a mean over all places."""
    import tensorflow as tf

    layers = tf.keras.layers
    given = x = layers.Input((size, size, 3))
    for filters in (16, 24, 32, 48):
        x = layers.Conv2D(filters, 3, 2, "same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.DepthwiseConv2D(3, 1, "same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return tf.keras.Model(given, layers.Dense(classes, "softmax")(x))


def train(pictures: Pictures, epochs: int) -> Any:
    seeded()
    import tensorflow as tf

    model = network(pictures.images.shape[1], len(pictures.labels))

    steps = epochs * -(-len(pictures.images) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, steps, 0.01)
    model.compile(tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(SEED)
    counts = np.bincount(pictures.classes)
    weights = (counts.mean() / counts)[pictures.classes]
    say(f"training on {len(pictures.images)} pictures, {epochs} epochs")
    for _ in range(epochs):
        images = np.stack([varied(image, rng) for image in pictures.images])
        order = rng.permutation(len(images))
        rows = images[order].astype(np.float32) / 255
        model.fit(
            rows, pictures.classes[order], batch_size=BATCH, sample_weight=weights[order],
            shuffle=False, verbose=0,
        )  # fmt: skip
    return model


def varied(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As another picture of the same might be: shifted, larger, lighter. Never mirrored: left and
    right may be what matters."""
    size = image.shape[0]
    zoom, (dx, dy) = rng.uniform(0.9, 1.15), rng.uniform(-0.08, 0.08, 2) * size
    middle = size / 2 * (1 - zoom)
    moved = cv2.warpAffine(
        image,
        np.array([[zoom, 0, middle + dx], [0, zoom, middle + dy]]),
        (size, size),
        borderMode=cv2.BORDER_REFLECT,
    )
    light = moved.astype(np.float32) * rng.uniform(0.75, 1.25) + rng.uniform(-20, 20)
    return light.clip(0, 255).astype(np.uint8)


def judge(content: bytes, spec: InputSpec, held_out: Pictures) -> Confusion:
    """What the device would say of the held-out pictures."""
    labels = held_out.labels
    asked = Asked(content, "classification", spec, labels)
    said = [asked(frame)[0].label for frame in held_out.frames]
    true = [labels[place] for place in held_out.classes]
    return confusion(zip(true, said, strict=True), labels)


def card(
    name: str, size: int, model: bytes, counts: Sequence[np.ndarray], judged: Sequence[Confusion]
) -> str:
    """`counts`: classes of the pictures learnt from and held out; `judged`: before int8, int8."""
    before, after = judged
    labels = after.labels
    data = zip(labels, *(np.bincount(each, minlength=len(labels)) for each in counts), strict=True)
    right = sum(after.counts[place][place] for place in range(len(labels)))
    return CARD.format(
        name=name,
        count=len(labels),
        labels=", ".join(labels),
        size=size,
        kilobytes=len(model) / 1000,
        data="\n".join(f"| {label} | {learnt} | {kept} |" for label, learnt, kept in data),
        right=right,
        held_out=len(counts[1]),
        accuracy=after.accuracy,
        float_accuracy=before.accuracy,
        head=" | ".join(labels),
        dashes="---|" * (len(labels) - 1) + "---",
        rows="\n".join(
            f"| {label} | {' | '.join(map(str, row))} |"
            for label, row in zip(labels, after.counts, strict=True)
        ),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=Path, required=True, help="a folder of a folder a class")
    options.add_argument(
        "--out", type=Path, required=True, help="the bundle's folder, and its name"
    )
    options.add_argument("--force", action="store_true", help="replace the bundle that is there")
    options.add_argument("--size", type=int, default=96, help="of the model's picture, a square")
    options.add_argument("--epochs", type=int, default=EPOCHS)
    chosen = options.parse_args()
    name = may_write(chosen.out, force=chosen.force)
    if not 32 <= chosen.size <= 320:
        raise UsageError(f"--size {chosen.size} is not in 32 to 320")
    spec = InputSpec(chosen.size, chosen.size, interpolation="area")
    pictures = read(chosen.images, spec)
    places, kept = split(pictures.classes)
    learnt, held_out = pictures.part(places), pictures.part(kept)
    model = train(learnt, chosen.epochs)
    # Black and white fix the input's range, so that its quantized value is pixel - 128.
    size = (1, chosen.size, chosen.size, 3)
    ends = np.concatenate([np.zeros(size), np.full(size, 255)])
    calibration = np.concatenate([ends, learnt.images[:: max(1, len(learnt.images) // 200)]]) / 255
    as_float, content = as_tflite(model, None), as_tflite(model, calibration)
    zero_to_one = InputSpec(
        chosen.size, chosen.size, mean=(0.0,), std=(255.0,), interpolation="area"
    )
    judged = judge(as_float, zero_to_one, held_out), judge(content, spec, held_out)
    draft = Draft(
        name=name,
        version="1.0.0",
        family="classification",
        input=spec,
        content=content,
        golden=golden(held_out, chosen.size),
        labels=pictures.labels,
        source="trained by models/recipes/classifier",
        card=card(name, chosen.size, content, (learnt.classes, held_out.classes), judged),
    )
    written = write(chosen.out, draft)
    floats(chosen.out).write_bytes(as_float)
    print(f"{written}: {judged[1].accuracy:.3f} of {len(kept)} held-out pictures are right")
    print(f"next: edge-agent models import {written}")


def golden(held_out: Pictures, size: int) -> np.ndarray:
    """A few pictures in the model's size: what they were in is of no matter to it."""
    step = max(1, len(held_out.images) // GOLDEN)
    return held_out.images[::step][:GOLDEN, :, :, ::-1].copy()


if __name__ == "__main__":
    raise SystemExit(run(main))
