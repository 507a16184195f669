"""A device that looks at a repository: its state directory, its root, its patience."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from signed_repository import NOW

from edge_agent.updates.budget import Budget
from edge_agent.updates.from_folder import FolderOpener
from edge_agent.updates.limits import Limits, Patience
from edge_agent.updates.line import Line
from edge_agent.updates.offer import Offer, Target
from edge_agent.updates.over_http import HttpOpener
from edge_agent.updates.place import Place
from edge_agent.updates.repository import Repository
from edge_agent.updates.source import Now
from edge_agent.updates.trust import Trust

#: A busy machine is not what most tests are about; the disk is not asked to be half empty.
LIMITS = Limits(free_mb=0)


@dataclass
class Box:
    """A device: its state directory, its root, where it looks."""

    state: Path
    bootstrap: bytes
    place: Place
    built: float = 0.0
    limits: Limits = LIMITS
    mb_per_day: float | None = None
    pauses: list[float] = field(default_factory=list)

    def repository(self, now: float = NOW) -> Repository:
        ota = self.state / "ota"
        trust = Trust(ota / "metadata", self.bootstrap, ota / "trusted.json", self.built)
        day = datetime.fromtimestamp(now, UTC)
        if self.place.folder is not None:
            line = Line(FolderOpener(self.place.folder), Budget(None, None, day), self.limits)
        else:
            budget = Budget(ota / "spent.json", self.mb_per_day, day)
            line = Line(HttpOpener(self.limits), budget, self.limits)
        line.patience = Patience(pause=self.pauses.append, random=lambda: 1.0)
        return Repository(self.place, trust, line)

    def check(self, now: float = NOW, *, synced: bool = True) -> Offer:
        with closing(self.repository(now)) as repository:
            return repository.refresh(Now(now, synced))

    def fetch(self, target: Target, now: float = NOW) -> Path:
        with closing(self.repository(now)) as repository:
            repository.refresh(Now(now))
            return repository.fetch(target, self.state / "staged")

    def look_at(self, folder: Path) -> None:
        self.place = Place.parse(str(folder))
