"""Trains the shipped scene detector and writes it as int8: model.tflite and its manifest's hash.

    PYTHONPATH=../../.. python train.py --out build            (about twelve minutes on two cores)

Rules: every random number comes from `SEED`; the pictures come from the built-in scene, seeds
1000 and up, so that 0..999 stay unseen. The network is small: nine convolutions of 3 x 3, and two
heads, so that a person before a van and the van each have a cell of their own. Its output is that
of YOLOv8: [1, 4 + classes, cells], cx, cy, w, h in 0..1 and a score per class. `evaluate.py`
judges the result.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from edge_agent.sources.scene import LABELS, Scene, SceneSpec, Truth

SEED = 20261
WIDTH, HEIGHT = 192, 112
CLASSES = len(LABELS)
CLEAR = 0.4  # an object less visible than this is neither asked for nor punished
REACH = 2.0  # a cell may place the box's middle this many cells away
TRAIN_SEEDS = range(1000, 1064)
FRAMES_A_SEED = 160
EPOCHS = 11
BATCH = 32


@dataclass(frozen=True)
class Level:
    """One head: a grid of cells that answers for some of the classes."""

    stride: int
    labels: tuple[str, ...]

    @property
    def cols(self) -> int:
        return WIDTH // self.stride

    @property
    def rows(self) -> int:
        return HEIGHT // self.stride


LEVELS = (Level(8, ("person", "dog")), Level(16, ("forklift", "van")))


# --- pictures and what to say of them --------------------------------------------------------


def pictures(seed: int, frames: int) -> tuple[np.ndarray, list[tuple[Truth, ...]]]:
    """Frames spread over an hour of one scene: (n, HEIGHT, WIDTH, 3) uint8 RGB, and their truth."""
    scene = Scene("train", SceneSpec(seed=seed))
    rng = np.random.default_rng(SEED + seed)
    indices = rng.choice(36_000, frames, replace=False)
    images = np.stack([model_input(scene.picture(int(i))) for i in indices])
    return images, [scene.truth(int(i)) for i in indices]


def model_input(frame: np.ndarray) -> np.ndarray:
    """A BGR frame as the manifest says: stretched by area, RGB."""
    small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)


def target(truths: tuple[Truth, ...]) -> np.ndarray:
    """What every cell of both levels should say: (cells, 2 * CLASSES + 5) float32."""
    grids = [level_target(level, truths) for level in LEVELS]
    return np.concatenate([grid.reshape(-1, grid.shape[-1]) for grid in grids])


def level_target(level: Level, truths: tuple[Truth, ...]) -> np.ndarray:
    """(rows, cols, 2 * CLASSES + 5): per class the score and its weight; the box and its weight.

    A cell is asked for an object when the object's middle is within 0.75 cells, so that a middle
    between cells is claimed by each of them, and nothing is asked of the class within 1.5 cells.
    Truths come farthest first: the nearer object takes the cell, and its box.
    """
    want = np.zeros((level.rows, level.cols, 2 * CLASSES + 5), np.float32)
    score, weight = want[..., :CLASSES], want[..., CLASSES : 2 * CLASSES]
    box, boxed = want[..., 2 * CLASSES : -1], want[..., -1]
    weight[:] = 1.0
    ys, xs = np.mgrid[0 : level.rows, 0 : level.cols] + 0.5
    for truth in truths:
        if truth.label not in level.labels:
            continue
        x0, y0, x1, y1 = truth.box
        x, y, kind = (x0 + x1) / 2, (y0 + y1) / 2, LABELS.index(truth.label)
        away = np.maximum(abs(xs - x * level.cols), abs(ys - y * level.rows))
        weight[(away <= 1.5) & (score[..., kind] == 0), kind] = 0.0
        if truth.visible < CLEAR:
            continue
        claimed = away <= 0.75
        weight[claimed & score.any(axis=-1)] = 0.0  # of a farther object there nothing is asked
        score[claimed] = np.eye(CLASSES)[kind]
        weight[claimed, kind] = 1.0
        near = claimed | ((away <= 1.5) & (boxed == 0))
        box[near] = x, y, x1 - x0, y1 - y0
        boxed[near] = 1.0
    return want


def golden_frames() -> np.ndarray:
    """(4, 360, 640, 3) uint8 BGR of an unseen seed: by day, by night, crowded, empty."""
    scene = Scene("golden", SceneSpec(seed=7))
    count = [len(scene.truth(i)) for i in range(1800)]
    light = [scene.light(i) for i in range(1800)]
    day = next(i for i in range(1800) if light[i] == 1 and count[i] == 2)
    night = next(i for i in range(1800) if light[i] == 0 and count[i] == 2)
    crowded, empty = int(np.argmax(count)), count.index(0, 1)
    return np.stack([scene.picture(i) for i in (day, night, crowded, empty)])


# --- the network -----------------------------------------------------------------------------


def network() -> tf.keras.Model:
    """Pixels 0..1 (HEIGHT, WIDTH, 3) to (cells, 4 + CLASSES): cx, cy, w, h, scores."""
    layers = tf.keras.layers
    pixels = layers.Input((HEIGHT, WIDTH, 3))
    x = _conv(pixels, 24, 4, stride=4)
    x = _conv(x, 48, 3, stride=2)
    fine = _residual(x)
    x = _conv(fine, 64, 3, stride=2)
    coarse = _residual(_residual(x))
    wide = layers.UpSampling2D(2, interpolation="bilinear")(_conv(coarse, 48, 1))
    fine = _conv(layers.Add()([fine, wide]), 64, 3)
    coarse = _conv(coarse, 64, 3)
    heads = [_head(x, level) for x, level in zip((fine, coarse), LEVELS, strict=True)]
    return tf.keras.Model(pixels, layers.Concatenate(axis=1)(heads))


def _head(x: tf.Tensor, level: Level) -> tf.Tensor:
    """One level's cells, (rows * cols, 4 + CLASSES): sigmoids, the middle counted from the cell."""
    layers = tf.keras.layers

    def sigmoids(filters: int, bias: float) -> tf.Tensor:
        start = tf.keras.initializers.Constant(bias)
        return layers.Conv2D(filters, 1, activation="sigmoid", bias_initializer=start)(x)

    grid = np.float32([level.cols, level.rows])
    cells = np.stack(np.meshgrid(np.arange(level.cols), np.arange(level.rows)), -1)[None]
    corner = ((cells + 0.5 - REACH) / grid).astype(np.float32)
    middle = layers.Lambda(lambda offset: offset * (2 * REACH / grid) + corner)(sigmoids(2, 0.0))
    said = layers.Concatenate()([middle, sigmoids(2, -2.0), sigmoids(CLASSES, -4.0)])
    return layers.Reshape((level.rows * level.cols, 4 + CLASSES))(said)


def _residual(x: tf.Tensor) -> tf.Tensor:
    return tf.keras.layers.Add()([x, _conv(x, x.shape[-1], 3)])


def _conv(x: tf.Tensor, filters: int, size: int, stride: int = 1) -> tf.Tensor:
    layers = tf.keras.layers
    x = layers.Conv2D(filters, size, stride, "same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))


# --- training --------------------------------------------------------------------------------


def loss(want: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the scores, which keeps them calibrated, and distance-IoU of the boxes."""
    score, weight = want[..., :CLASSES], want[..., CLASSES : 2 * CLASSES]
    p = tf.clip_by_value(said[..., 4:], 1e-6, 1 - 1e-6)
    entropy = -(score * tf.math.log(p) + (1 - score) * tf.math.log(1 - p)) * weight
    boxed = want[..., -1]
    iou = _distance_iou(want[..., 2 * CLASSES : -1], said[..., :4])
    objects = tf.reduce_sum(score * weight) + 1.0
    return tf.reduce_sum(entropy) / objects + 2.0 * tf.reduce_sum((1 - iou) * boxed) / (
        tf.reduce_sum(boxed) + 1.0
    )


def _distance_iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """IoU less the squared distance of the middles over the hull's diagonal (arXiv 1911.08287)."""
    a0, a1 = a[..., :2] - a[..., 2:] / 2, a[..., :2] + a[..., 2:] / 2
    b0, b1 = b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2
    shared = tf.reduce_prod(tf.maximum(tf.minimum(a1, b1) - tf.maximum(a0, b0), 0.0), -1)
    union = tf.reduce_prod(a[..., 2:], -1) + tf.reduce_prod(b[..., 2:], -1) - shared
    hull = tf.reduce_sum((tf.maximum(a1, b1) - tf.minimum(a0, b0)) ** 2, -1)
    apart = tf.reduce_sum((a[..., :2] - b[..., :2]) ** 2, -1)
    return shared / (union + 1e-9) - apart / (hull + 1e-9)


def train(seeds: range, frames: int, epochs: int) -> tuple[tf.keras.Model, np.ndarray]:
    """A trained network, and pictures to calibrate its quantization with."""
    rendered = [pictures(seed, frames) for seed in seeds]
    images = np.concatenate([images for images, _ in rendered])
    wants = np.stack([target(truth) for _, truths in rendered for truth in truths])
    print(f"{len(images)} pictures of {len(seeds)} scenes", file=sys.stderr)
    model = network()
    steps = epochs * (len(images) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(1e-4, steps, 0.01, "warm", 4e-3, steps // 20)
    model.compile(tf.keras.optimizers.AdamW(rate, weight_decay=1e-3, clipnorm=5.0), loss)
    data = (
        tf.data.Dataset.from_tensor_slices((images, wants))
        .shuffle(len(images), seed=SEED, reshuffle_each_iteration=True)
        .batch(BATCH, drop_remainder=True)
        .map(lambda image, want: (tf.cast(image, tf.float32) / 255.0, want))
        .prefetch(2)
    )
    model.fit(data, epochs=epochs, verbose=2)
    return model, images[:: len(images) // 256]


# --- export ----------------------------------------------------------------------------------


def export(model: tf.keras.Model, samples: np.ndarray | None) -> bytes:
    """The network with YOLO's output as .tflite: int8 when calibrated by `samples`, else float."""
    pixels = tf.keras.layers.Input((HEIGHT, WIDTH, 3), batch_size=1)
    whole = tf.keras.Model(pixels, tf.keras.layers.Permute((2, 1))(model(pixels)))
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    if samples is not None:
        # Black and white fix the input's range, so that its quantized value is pixel - 128.
        ends = np.stack([np.zeros_like(samples[0]), np.full_like(samples[0], 255)])
        calibration = np.concatenate([ends, samples]).astype(np.float32) / 255.0
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("build"))
    options.add_argument("--scenes", type=int, default=len(TRAIN_SEEDS))
    options.add_argument("--epochs", type=int, default=EPOCHS)
    options.add_argument("--force", action="store_true", help="replace what is there")
    chosen = options.parse_args()
    if not chosen.force and (chosen.out / "model.tflite").exists():
        options.error(f"{chosen.out}/model.tflite is there already: another --out, or --force")
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    model, samples = train(TRAIN_SEEDS[: chosen.scenes], FRAMES_A_SEED, chosen.epochs)
    for name, content in (
        ("float.tflite", export(model, None)),
        ("model.tflite", export(model, samples)),
    ):
        (chosen.out / name).write_bytes(content)
        print(name, len(content), hashlib.sha256(content).hexdigest())
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
