"""Your own healthy machine becomes an anomaly bundle: from CSV or WAV, with a threshold.

    PYTHONPATH=. python models/recipes/anomaly/train.py --healthy monday.wav tuesday.wav --out pump

Run from the checkout. The network learns what healthy sounds like, and repeats nothing else well;
the last fifth of each recording is held out, and the threshold chosen by it. Nothing here has seen
your machine fail: how to find out what it is worth then stands in docs/recipes.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent.errors import Refused, UsageError
from edge_agent.pipeline.features import Featurizer, feature_shape
from edge_agent.sources.csv_lines import Wanted
from edge_agent.sources.signal import Framing, Samples, Signal, UnknownRate
from edge_agent.sources.signal_csv import CsvFile
from edge_agent.sources.signal_wav import WavFile
from edge_agent.types import Broken, Features, SignalSpec, TensorSpec
from models.recipes.autoencoder import HEALTHY_PART, MARGIN, Fitted, features_of, fit
from models.recipes.bundle_writer import Draft, floats, may_write, write
from models.recipes.command import run, say

HELD_OUT = 0.2  # the last part of each recording
#: A recording of which more than this part cannot be read is no ground for anything.
MOST_SPOILT = 0.1
GOLDEN = 5
EPOCHS = 60

CARD = """\
# {name} 1.0.0

Says how unlike healthy a window of the signal is: the higher, the stranger. Trained on recordings
of one healthy machine by `models/recipes/anomaly` of edge-agent.

| | |
|---|---|
| family | `anomaly`: an autoencoder, int8; the score is its mean squared error |
| input | {window} samples every {hop}, {channels}, {rate:g} samples a second |
| features | {features} |
| size | {kilobytes:.0f} kB |
| threshold | {threshold:g} |

## Data

{files}

{trained} windows were learnt from, the last {part:.0%} of each recording ({held_out}) held out.

## How good it is

On the held-out healthy windows, which the training never saw:

| | before int8 | int8 |
|---|---|---|
| median score | {float_median:.4g} | {median:.4g} |
| 99 % are below | {float_99:.4g} | {p99:.4g} |
| highest | {float_highest:.4g} | {highest:.4g} |
| above the threshold | {float_above} of {held_out} | {above} of {held_out} |

The threshold is {healthy_part:.1%} of the held-out scores, int8, times {margin:g}.

## Limits

- **It has never seen a fault.** How early it notices one, and whether at all, only a recording of a
  worn machine tells: `edge-agent models eval {name} --truth FILE`.
- What is healthy but was not recorded (another load, another speed, cold, a neighbour) is strange
  to it too. Record all of it; a day is better than an hour.
- One machine, one sensor, one place of mounting: for another one train again.
- A single window above the threshold happens. A rule with `for_s` waits for several in a row.
"""


@dataclass(frozen=True)
class Recording:
    """One file, cut into windows (n, samples, channels)."""

    file: Path
    windows: np.ndarray
    rate_hz: float
    spoilt: int

    @property
    def split(self) -> int:
        """How many windows are learnt from; the rest is held out."""
        return len(self.windows) - round(len(self.windows) * HELD_OUT)


def read(file: Path, framing: Framing, columns: tuple[str, ...]) -> Recording:
    """Raises UsageError for what cannot be read or learnt from."""
    signal = Signal(file.name, _samples(file, columns), framing)
    windows, faults = [], []
    try:
        rate_hz = (signal.open().fps or 0.0) * framing.hop
    except UnknownRate as fault:
        raise UsageError(fault.message, "say it with --rate-hz, as in --rate-hz 8000") from None
    while (item := signal.read()) is not None:
        if isinstance(item, Broken) and item.counted:
            faults.append(item.reason)
        elif isinstance(item, Broken):
            say(f"{file}: {item.reason}")
        else:
            windows.append(item.data)
    signal.close()
    if not windows or len(faults) > MOST_SPOILT * (len(windows) + len(faults)):
        raise UsageError(
            f"{file}: {len(faults)} of {len(windows) + len(faults)} windows cannot be used: "
            f"{faults[0] if faults else 'it holds no samples'}",
            "record it again, or leave the file out",
        )
    if faults:
        say(f"{file}: {len(faults)} windows are left out, the first: {faults[0]}")
    return Recording(file, np.stack(windows), rate_hz, len(faults))


def _samples(file: Path, columns: tuple[str, ...]) -> Samples:
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    match file.suffix.lower():
        case ".csv":
            return CsvFile(file.name, file, Wanted(columns, ""))
        case ".wav":
            return WavFile(file.name, file, tuple(int(each) for each in columns))
    raise UsageError(f"{file} is neither .csv nor .wav", "convert it to one of them")


def check_alike(recordings: Sequence[Recording]) -> None:
    """Raises UsageError where the recordings are of different sensors."""
    first = recordings[0]
    for other in recordings[1:]:
        channels = [each.windows.shape[2] for each in (first, other)]
        if channels[0] != channels[1]:
            raise UsageError(
                f"{first.file} has {_channels(channels[0])}, {other.file} {_channels(channels[1])}",
                "choose the same with --columns",
            )
        if abs(other.rate_hz / first.rate_hz - 1) > 0.05:
            raise UsageError(
                f"{first.file} has {first.rate_hz:g} samples a second, {other.file} "
                f"{other.rate_hz:g}"
            )


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def spec_of(recording: Recording, hop: int, kind: str) -> SignalSpec:
    """What the model sees: four spectra a window, in as many mel bands as they can fill.

    Raises UsageError when the window is too short for spectra.
    """
    window, channels = recording.windows.shape[1:]
    rate = float(f"{recording.rate_hz:.6g}")
    spec = SignalSpec(window, hop, rate, channels, Features("raw"))
    n = window // 4
    if kind == "raw":
        return spec
    if kind == "fft":
        return SignalSpec(window, hop, rate, channels, Features("fft", n=n, hop=n, log=True))
    for mels in (32, 24, 16, 12, 8):
        bands = Features("logmel", n=n, hop=n, log=True, mels=mels, fmin=0.0, fmax=rate / 2)
        spec = SignalSpec(window, hop, rate, channels, bands)
        try:
            count = int(np.prod(feature_shape(spec)))
            Featurizer(spec, TensorSpec(0, "", (1, count), "float32"))
        except Refused:
            continue
        return spec
    raise UsageError(
        f"a window of {window} samples at {rate:g} a second is too short for mel bands",
        "choose a longer --window, or --features raw",
    )


def card(name: str, fitted: Fitted, recordings: Sequence[Recording]) -> str:
    spec, scores, floats = fitted.spec, fitted.scores, fitted.float_scores
    files = "\n".join(
        f"- `{each.file.name}`: {len(each.windows)} windows"
        + (f", {each.spoilt} left out as damaged" if each.spoilt else "")
        for each in recordings
    )
    return CARD.format(
        name=name,
        window=spec.window,
        hop=spec.hop,
        channels=_channels(spec.channels),
        rate=spec.rate_hz,
        features=_described(spec.features),
        kilobytes=len(fitted.content) / 1000,
        threshold=fitted.threshold,
        files=files,
        trained=sum(each.split for each in recordings),
        held_out=len(scores),
        part=HELD_OUT,
        median=np.median(scores),
        p99=np.quantile(scores, 0.99),
        highest=scores.max(),
        above=int((scores > fitted.threshold).sum()),
        float_median=np.median(floats),
        float_99=np.quantile(floats, 0.99),
        float_highest=floats.max(),
        float_above=int((floats > fitted.threshold).sum()),
        healthy_part=HEALTHY_PART,
        margin=MARGIN,
    )


def _described(features: Features) -> str:
    if features.kind == "raw":
        return "the samples themselves"
    bands = f"{features.mels} mel bands" if features.kind == "logmel" else "magnitudes"
    return f"{bands} of spectra over {features.n} samples, their logarithm"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--healthy", type=Path, nargs="+", required=True, help="CSV or WAV files")
    options.add_argument(
        "--out", type=Path, required=True, help="the bundle's folder, and its name"
    )
    options.add_argument("--force", action="store_true", help="replace the bundle that is there")
    options.add_argument("--rate-hz", type=float, help="of a CSV without a column of times")
    options.add_argument("--columns", default="", help="a,b of a CSV, 1,2 of a WAV; all of them")
    options.add_argument("--window", type=int, default=4096, help="samples; about half a second")
    options.add_argument("--hop", type=int, help="samples from window to window: the window")
    options.add_argument("--features", choices=("logmel", "fft", "raw"), default="logmel")
    options.add_argument("--epochs", type=int, default=EPOCHS)
    chosen = options.parse_args()
    name, hop = may_write(chosen.out, force=chosen.force), chosen.hop or chosen.window
    framing = Framing(window=chosen.window, hop=hop, rate_hz=chosen.rate_hz)
    columns = tuple(filter(None, chosen.columns.split(",")))
    recordings = [read(file, framing, columns) for file in chosen.healthy]
    check_alike(recordings)
    spec = spec_of(recordings[0], hop, chosen.features)
    learnt = np.concatenate([each.windows[: each.split] for each in recordings])
    held_out = np.concatenate([each.windows[each.split :] for each in recordings])
    fitted = fit(spec, features_of(spec, learnt), held_out, chosen.epochs)
    draft = Draft(
        name=name,
        version="1.0.0",
        family="anomaly",
        input=fitted.spec,
        output={"threshold": fitted.threshold},
        content=fitted.content,
        golden=held_out[:: max(1, len(held_out) // GOLDEN)][:GOLDEN].astype(np.float32),
        source="trained by models/recipes/anomaly",
        card=card(name, fitted, recordings),
    )
    written = write(chosen.out, draft)
    floats(chosen.out).write_bytes(fitted.as_float)
    print(f"{written}: threshold {fitted.threshold:g}, {len(held_out)} healthy windows held out")
    print(f"next: edge-agent models import {written}")


if __name__ == "__main__":
    raise SystemExit(run(main))
