"""What a video costs of which one frame in six is looked at: grabbed, and not converted.

It would be worth it from half of the cost of decoding all on. The video is encoded anew for each
codec with ffmpeg, at 30 frames a second; the three ways take turns and the least CPU time of each
counts. With FFmpeg `grab` decodes, and only the conversion to BGR is saved; so what can be saved
depends on the codec.

    python benchmarks/grab.py VIDEO
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

CODECS = {
    "mpeg4": ("-c:v", "mpeg4", "-q:v", "5"),
    "h264": ("-c:v", "libx264", "-preset", "veryfast"),
    "mjpeg": ("-c:v", "mjpeg", "-q:v", "4"),
}
EVERY = 6
WORTH = 0.5
ROUNDS = 3


def cpu_ms(video: Path, every: int) -> float:
    """CPU milliseconds a frame when every so manieth is converted; 0: none."""
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    count, began = 0, time.process_time()
    while capture.grab():
        if every and count % every == 0:
            capture.retrieve()
        count += 1
    return (time.process_time() - began) / max(count, 1) * 1000


def one(name: str, video: Path) -> None:
    rounds = [[cpu_ms(video, every) for every in (1, EVERY, 0)] for _ in range(ROUNDS)]
    whole, some, none = (min(each) for each in zip(*rounds, strict=True))
    print(f"{name}: all {whole:.2f}, every sixth {some:.2f}, none {none:.2f} CPU-ms a frame")
    verdict = "worth it" if some <= WORTH * whole else "not worth it: it decodes while it grabs"
    print(f"  converting 1 in {EVERY} costs {some / whole:.2f} of all: {verdict}")


def main(video: Path) -> None:
    one("as it is", video)
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed: no other codec was tried")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, options in CODECS.items():
            target = Path(folder, f"{name}.mkv")
            command = ["ffmpeg", "-v", "error", "-i", str(video), "-r", "30", *options, str(target)]
            subprocess.run(command, check=True)
            one(name, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
