"""Captures that misbehave, for the child of a camera: in place of cv2.VideoCapture."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import cv2
import numpy as np

PERIOD_S = 0.02
FOR_EVER_S = 3600.0


class Counting:
    """Picture n is as bright as n; 64 x 48, fifty a second."""

    size = (48, 64)

    def __init__(self, order: Any) -> None:
        self.order = order
        self.number = -1

    def isOpened(self) -> bool:
        return True

    def get(self, prop: int) -> float:
        height, width = self.size
        return {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: 1 / PERIOD_S,
        }.get(prop, 0.0)

    def grab(self) -> bool:
        time.sleep(PERIOD_S)
        self.number += 1
        return True

    def retrieve(self, image: Any = None) -> tuple[bool, Any]:
        return True, np.full((*self.size, 3), self.number % 256, np.uint8)


class HangingOpen(Counting):
    def __init__(self, order: Any) -> None:
        super().__init__(order)
        time.sleep(FOR_EVER_S)


class HangingRead(Counting):
    """Three pictures, then nothing, in a call that never returns."""

    def grab(self) -> bool:
        if self.number == 2:
            time.sleep(FOR_EVER_S)
        return super().grab()


class RaisingOpen(Counting):
    def __init__(self, order: Any) -> None:
        raise cv2.error(f"a driver that knows {order['address']}")


class RaisingRead(Counting):
    def grab(self) -> bool:
        raise MemoryError


class Crashing(Counting):
    """One picture, then as a decoder does that believes what it reads."""

    def grab(self) -> bool:
        if self.number == 0:
            time.sleep(10 * PERIOD_S)  # the picture is on its way
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().grab()


class Empty(Counting):
    """It opens, and what it sends holds no picture."""

    def grab(self) -> bool:
        return False


class Ending(Counting):
    def grab(self) -> bool:
        return self.number < 2 and super().grab()


class Garbage(Counting):
    """Every second picture is none, each time in another way."""

    wrong = (
        None,
        "a text",
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((), np.uint8),
    )

    def retrieve(self, image: Any = None) -> tuple[bool, Any]:
        if self.number % 2:
            return True, self.wrong[self.number // 2 % len(self.wrong)]
        return super().retrieve(image)


class OnlyGarbage(Counting):
    def retrieve(self, image: Any = None) -> tuple[bool, Any]:
        return False, None


class Changing(Counting):
    """Another size after every fourth picture, smaller and larger ones."""

    sizes = ((48, 64), (24, 32), (480, 640), (48, 64))

    def retrieve(self, image: Any = None) -> tuple[bool, Any]:
        size = self.sizes[self.number // 4 % len(self.sizes)]
        return True, np.full((*size, 3), self.number % 256, np.uint8)
