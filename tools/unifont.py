"""Makes edge_agent/service/unifont.npz, the letters in annotated pictures, of GNU Unifont's source.

    python tools/unifont.py unifont.hex edge_agent/service/unifont.npz

`unifont.hex` is in Debian's package `unifont` (15.0.01 was taken): a line for each character of
Unicode's Basic Multilingual Plane, its number and a bitmap of 16 rows of 8 or 16 pixels, in hex.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(source: Path, target: Path) -> None:
    codes: dict[int, list[int]] = {8: [], 16: []}
    rows: dict[int, list[bytes]] = {8: [], 16: []}
    for line in source.read_text("ascii").splitlines():
        code, bitmap = line.split(":")
        width = len(bitmap) // 4
        codes[width].append(int(code, 16))
        rows[width].append(bytes.fromhex(bitmap))
    np.savez_compressed(
        target,
        **{f"codes_{width}": np.array(codes[width], np.uint16) for width in codes},
        **{
            f"rows_{width}": np.frombuffer(b"".join(rows[width]), np.uint8).reshape(
                -1, 16, width // 8
            )
            for width in rows
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
