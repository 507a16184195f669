"""The bundles that came with the package: in the wheel, or beside the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
#: In a wheel `models/` lies inside the package; an editable install finds it beside it.
_PLACES = (_PACKAGE / "_models", _PACKAGE.parent / "models")


def shipped_folders() -> dict[str, Path]:
    """Name -> folder of every shipped bundle."""
    for place in _PLACES:
        found = {
            manifest.parent.name: manifest.parent
            for manifest in sorted(place.glob("*/manifest.yaml"))
        }
        if found:
            return found
    return {}
