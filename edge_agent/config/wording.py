"""How mistakes speak: what stands there, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_LONGEST = 40
_FEW = 12


def shown(value: object) -> str:
    """What stands in the file, as a person would say it; control characters are escaped."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        text = "[" + ", ".join(map(shown, value[:_LONGEST])) + "]"
        return text if len(text) <= _LONGEST else "a list"
    return str(value)


def quoted(text: str) -> str:
    """In quotes, on one line, cut where it is long."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return '"' + printable(cut) + '"'


def printable(text: str) -> str:
    """Nothing that could move a terminal's cursor; letters of every script stay."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def dotted(path: Iterable[str | int]) -> str:
    """`pipelines.people.rules[0].label`, as `check` prints it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part.replace("-", "").replace("_", "").isalnum()
            text += ("." if text else "") + (part if plain else quoted(part))
    return text


def listed(names: Sequence[str]) -> str:
    """The names, or the first of many and how many more there are."""
    few = ", ".join(map(printable, names[:_FEW]))
    return few if len(names) <= _FEW else f"{few} and {len(names) - _FEW} more"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was meant, where one comes near."""
    import difflib  # only where something is wrong

    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean fps?)`, or nothing where no known word comes near."""
    meant = closest(word, known)
    return "" if meant is None else f" (did you mean {meant}?)"
