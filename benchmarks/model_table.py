"""What becomes of model files by `infer` and `models import`: the table of docs/models.md.

    python benchmarks/model_table.py FOLDER... [--input PICTURE]

Each file is asked once on the picture (a model of signals on a window of silence), in processes of
their own, in a throw-away state directory. A row says the family, what it answers, and whether it
was imported and gave its golden set's answers again on both engines; or the one sentence with which
it is refused.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

EDGE_AGENT = (sys.executable, "-m", "edge_agent")


def main() -> int:
    said = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    said.add_argument("folders", nargs="+", type=Path, help="folders with .tflite files")
    said.add_argument("--input", type=Path, help="the picture to ask about [grey]")
    options = said.parse_args()
    files = sorted({file for folder in options.folders for file in folder.rglob("*.tflite")})
    if not files:
        print("no .tflite there", file=sys.stderr)
        return 2
    print("| model | family, input | answer | import, golden set |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="edge-agent-table-") as folder:
        for file in files:
            cells = (file.stem, *row(file, options.input, Path(folder)))
            print(f"| {' | '.join(cells)} |", flush=True)
    return 0


def row(file: Path, picture: Path | None, folder: Path) -> tuple[str, str, str]:
    """Family with input, answer, and what import came to."""
    state = ("--state", str(folder / "state"))
    code, out, err = ask("models", "import", str(file), "--json", *state)
    if code:
        return "refused", refusal(err), f"exit {code}"
    (entry,) = json.loads(out)["models"]
    size = entry["size"]
    code, shown, _ = ask("models", "show", entry["name"], "--json", *state)
    model = json.loads(shown)
    given = picture or folder / "grey.png"
    if size is None:
        given = folder / "silence.npy"
        np.save(given, np.zeros((model["input"]["window"], 1), np.float32))
    elif picture is None:
        cv2.imwrite(str(given), np.full((480, 640, 3), 128, np.uint8))
    about = f"{size[0]}x{size[1]}" if size else f"window {model['input']['window']}"
    code, out, err = ask("infer", str(file), str(given), "--json", *state)
    answer = described(json.loads(out)) if code == 0 else refusal(err)
    code, out, _ = ask("models", "test", entry["name"], *state)
    return f"{model['family']}, {about}", answer, "yes" if code == 0 else "yes, but answers differ"


def ask(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([*EDGE_AGENT, *arguments], capture_output=True, text=True, check=False)
    if "Traceback" in done.stderr:
        raise SystemExit(done.stderr)
    return done.returncode, done.stdout, done.stderr


def refusal(err: str) -> str:
    return str(json.loads(err.splitlines()[-1])["error"]["message"])


def described(document: dict[str, Any]) -> str:
    """The findings of `inference/1` in a few words."""
    match document:
        case {"top": [best, *_]}:
            return f"{best['label']} {best['score']:.2f}"
        case {"detections": found}:
            best = [f"{each['label']} {each['score']:.2f}" for each in found[:3]]
            return f"{len(found)} found" + (f": {', '.join(best)}" if best else "")
        case {"keypoints": points}:
            return f"{sum(each['score'] >= 0.3 for each in points)} of {len(points)} key points"
        case {"areas": areas}:
            return ", ".join(f"{label} {area:.2f}" for label, area in areas.items()) or "background"
        case {"score": score}:
            return f"score {score:g}"
        case {"outputs": outputs}:
            return ", ".join(f"{each['name']} mean {each['mean']:.3g}" for each in outputs)
    return "nothing"


if __name__ == "__main__":
    sys.exit(main())
