"""The tables of docs/configuration.md, made from the schema.

`python -m edge_agent.config.reference docs/configuration.md` writes them anew between the two
marks; a test fails when they are not the ones that stand there.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path

from edge_agent.config.keys import ANY_ITEM, Key, every_key

BEGIN = "<!-- made by: python -m edge_agent.config.reference docs/configuration.md -->"
END = "<!-- end of what was made -->"

_HEADER = "| key | allowed | default | meaning |\n|---|---|---|---|"


def tables() -> str:
    """One table for each mapping of the file, in the order of the schema."""
    parts = []
    for (parent, kind), keys in groupby(_documented(), key=lambda key: (key.path[:-1], key.kind)):
        rows = "\n".join(map(_row, keys))
        parts.append(f"### {_title(parent, kind)}\n\n{_HEADER}\n{rows}\n")
    return "\n".join(parts)


def renewed(text: str) -> str:
    """The document with the tables of this version. Raises ValueError where the marks are not."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError("the document lacks the two marks between which the tables stand")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _documented() -> list[Key]:
    """Keys grouped by their mapping. `defaults` has those of a rule, which stand there once."""
    keys = [key for key in every_key() if "defaults" not in key.path[:-1]]
    mappings = list(dict.fromkeys((key.path[:-1], key.kind) for key in keys))
    return sorted(keys, key=lambda key: mappings.index((key.path[:-1], key.kind)))


def _title(parent: tuple[str, ...], kind: str) -> str:
    path = ".".join(name for name in parent if name != ANY_ITEM)
    title = f"`{path}`" if path else "The file"
    return f"{title} with `kind: {kind}`" if kind else title


def _row(key: Key) -> str:
    default = "required" if key.default is None else f"`{key.default}`"
    default = default if key.default != "" else "its keys' own"
    return f"| `{key.path[-1]}` | {_cell(key.allowed)} | {default} | {_cell(key.meaning)} |"


def _cell(text: str) -> str:
    """On one line of a table; the keys of a mapping have a table of their own."""
    return re.sub(r"a mapping with \w+(, \w+)*", "a mapping", text).replace("|", "or")


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
