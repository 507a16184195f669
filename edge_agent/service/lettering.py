"""Text as pixels, for any script: OpenCV's own letters end with ASCII.

The glyphs are GNU Unifont's (`unifont.npz`, its licence beside it): 16 rows, 8 columns or, for wide
letters such as 人, 16. Enlarged by whole numbers only, so that they stay sharp. Scripts that join
their letters or run from right to left come letter by letter, from left to right.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows of every glyph, before it is enlarged.
HEIGHT = 16
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def lettered(text: str, enlarged: int = 1) -> NDArray[np.bool_]:
    """The text's pixels: (16 x enlarged, width), true where a letter is."""
    columns = np.zeros((HEIGHT, 0), np.bool_)
    for letter in unicodedata.normalize("NFC", text):
        glyph = _glyph(letter)
        if unicodedata.combining(letter) and columns.shape[1] >= glyph.shape[1]:
            columns[:, -glyph.shape[1] :] |= glyph
        else:
            columns = np.hstack([columns, glyph])
    return columns.repeat(enlarged, axis=0).repeat(enlarged, axis=1)


@cache
def _glyph(letter: str) -> NDArray[np.bool_]:
    for width in (8, 16):
        codes, rows = _font()[width]
        place = int(np.searchsorted(codes, min(ord(letter), 0xFFFF)))
        if place < len(codes) and codes[place] == ord(letter):
            return np.unpackbits(rows[place], axis=1).astype(np.bool_)
    return _glyph(_UNKNOWN)


@cache
def _font() -> dict[int, tuple[NDArray[np.uint16], NDArray[np.uint8]]]:
    """Width -> numbers of the characters, rising, and their rows of bits."""
    file = resources.files("edge_agent") / "service" / "unifont.npz"
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        return {width: (stored[f"codes_{width}"], stored[f"rows_{width}"]) for width in (8, 16)}
