"""What a value asks of this machine: whether a file is there, whether it knows a time zone.

Rule: what was asked is noted in the context of the judgement, because tomorrow's answer may be
another one: then what was found right has to be judged again (`known.py`).
"""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pydantic import ValidationInfo

#: What is asked, and about what.
Question: TypeAlias = tuple[str, str]


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


_ANSWERS: Mapping[str, Callable[[str], bool]] = {"file": os.path.isfile, "zone": _is_zone}


def is_so(question: Question) -> bool:
    what, about = question
    return what in _ANSWERS and _ANSWERS[what](about)


def is_file(path: str, info: ValidationInfo) -> bool:
    return _asked(("file", path), info)


def is_zone(name: str, info: ValidationInfo) -> bool:
    return _asked(("zone", name), info)


def _asked(question: Question, info: ValidationInfo) -> bool:
    if info.context is not None and "asked" in info.context:
        info.context["asked"].add(question)
    return is_so(question)
