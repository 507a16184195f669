"""The reference of the speed claims: the plain loop that a person writes first, one process.

Decode a video, letterbox, RGB, invoke on LiteRT with one thread, decode the YOLO head, NMS. No
gate, no tracker, no rules, no store, no report. Usage: python plain_loop.py VIDEO MODEL
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(video: str, model: str) -> int:
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    output = interpreter.get_output_details()[0]["index"]
    _, side, _, _ = tensor["shape"]
    capture = cv2.VideoCapture(video)
    found = frames = 0
    while True:
        good, image = capture.read()
        if not good:
            break
        height, width = image.shape[:2]
        scale = side / max(height, width)
        size = (round(width * scale), round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        picture = np.full((side, side, 3), 114, np.uint8)
        top, left = (side - size[1]) // 2, (side - size[0]) // 2
        picture[top : top + size[1], left : left + size[0]] = small
        interpreter.set_tensor(tensor["index"], cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[None])
        interpreter.invoke()
        head = interpreter.get_tensor(output)[0].T
        head = head[head[:, 4] > 0.25]
        boxes = np.column_stack([head[:, :2] - head[:, 2:4] / 2, head[:, 2:4]])
        found += len(cv2.dnn.NMSBoxes(boxes.tolist(), head[:, 4].tolist(), 0.25, 0.45))
        frames += 1
    print(frames, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
