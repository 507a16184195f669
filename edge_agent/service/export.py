"""Events to a file that other programs read: CSV, JSON lines, or a zip with the evidence.

The file is complete or not there: written beside, renamed at the end. Nothing is held in memory
but the events themselves: a store may have more evidence than the board has memory.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeAlias

from edge_agent.durable import whole
from edge_agent.errors import EdgeError, NoRoom, UsageError, kind_of
from edge_agent.policy.documents import dump, event_document, evidence_word
from edge_agent.store.rows import StoredEvent

Events: TypeAlias = Sequence[StoredEvent]

COLUMNS = (
    "id",
    "opened",
    "closed",
    "close_reason",
    "priority",
    "pipeline",
    "source",
    "rule",
    "label",
    "zone",
    "score_max",
    "score_median",
    "track",
    "count",
    "text",
)
#: A zip cannot say "no time"; this is the earliest one it can.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_events(target: Path, events: Events, state: Path) -> Counter[str]:
    """The kind follows from the file's ending; how many pictures and windows went into a zip.

    Raises UsageError for another ending or a folder that is not there, NoRoom, EdgeError.
    """
    makers: dict[str, Callable[[IO[bytes], Events, Path], Counter[str]]] = {
        ".csv": _csv,
        ".jsonl": _jsonl,
        ".zip": _zip,
    }
    make = makers.get(target.suffix.lower())
    if make is None:
        raise UsageError(
            f"{target}: events are exported as .csv, .jsonl or .zip", "name the file so: --to x.csv"
        )
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "make it, or name another: --to")
    try:
        with whole(target) as draft, draft.open("wb") as file:
            return make(file, events, state)
    except OSError as fault:
        raise _refused(fault, target) from None


def _refused(fault: OSError, target: Path) -> EdgeError:
    kind = kind_of(fault)
    if kind is NoRoom:
        return NoRoom(f"there is no space left for {target}", "name another disk: --to FILE")
    return kind(f"{target} cannot be written: {fault.strerror}", "name another: --to FILE")


def _jsonl(file: IO[bytes], events: Events, state: Path) -> Counter[str]:
    for stored in events:
        line = dump(event_document(stored.event, stored.about))
        file.write(f"{line}\n".encode("utf-8", "replace"))
    return Counter()


def _csv(file: IO[bytes], events: Events, state: Path) -> Counter[str]:
    # With a mark, so that Excel reads 人 right.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for stored in events:
        document = event_document(stored.event, stored.about)
        scores = {f"score_{which}": value for which, value in document["score"].items()}
        writer.writerow([(document | scores)[column] for column in COLUMNS])
    text.detach()
    return Counter()


def _zip(file: IO[bytes], events: Events, state: Path) -> Counter[str]:
    """`events.jsonl`, and evidence under the paths that it names."""
    held: Counter[str] = Counter()
    # JPEG does not become smaller. A board without a clock writes files of 1970.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        with archive.open(zipfile.ZipInfo("events.jsonl", NO_TIME), "w") as lines:
            _jsonl(lines, events, state)
        for evidence, kind in _evidence(events, state):
            for kept in (evidence, evidence.with_suffix(".json")):
                if kept.is_file():  # retention may have taken it
                    archive.write(kept, str(kept.relative_to(state)))
                    held[kind] += kept == evidence
    return +held


def _evidence(events: Events, state: Path) -> Iterator[tuple[Path, str]]:
    """Where it lies, and the word for its kind."""
    for stored in events:
        for item in stored.event.evidence:
            yield state / str(item["path"]), evidence_word(item)
