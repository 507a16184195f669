"""From what a person writes (`model: ...`) to a bundle: a name, a folder, a .tar, a bare .tflite.

A name is looked for among the installed models of the state directory, then among the shipped
ones; a path is relative to `beside` (the configuration's folder, or the working directory).
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from edge_agent.bundles.bare import open_bare
from edge_agent.bundles.bundle import Bundle, open_bundle
from edge_agent.bundles.guess import NO_WISH, Wish
from edge_agent.bundles.shipped import shipped_folders
from edge_agent.bundles.slots import active_folders, installed_names
from edge_agent.bundles.unpack import unpacked
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen


class Kind(Enum):
    BARE = "a bare .tflite"
    FOLDER = "a bundle's folder"
    ARCHIVE = "a bundle's .tar"
    SHIPPED = "a bundle that came with the package"


@frozen
class Place:
    """Where a model lies, and as what."""

    path: Path
    kind: Kind

    def open(self, wish: Wish = NO_WISH) -> Bundle:
        """Raises Refused when it is damaged or incompatible, UsageError when the person says
        something of a bundle that the bundle says itself."""
        if self.kind is Kind.BARE:
            return open_bare(self.path, wish)
        if wish != NO_WISH:
            raise UsageError(
                f"{self.path} is {self.kind.value}, which says its name, family and labels itself",
                "leave out --name, --family and --labels, or change its manifest.yaml",
            )
        folder = unpacked(self.path) if self.kind is Kind.ARCHIVE else self.path
        return open_bundle(folder, shipped=self.kind is Kind.SHIPPED)


def find(reference: str, state: Path | None, beside: Path) -> Bundle:
    """The bundle that `reference` names. Raises UsageError when there is none, Refused when it is
    damaged or incompatible."""
    return locate(reference, state, beside).open()


def locate(reference: str, state: Path | None, beside: Path) -> Place:
    """Where the model is that `reference` names. Raises UsageError when there is none."""
    active = active_folders(state) if state is not None else {}
    if reference in active:
        return Place(active[reference], Kind.FOLDER)
    shipped = shipped_folders()
    if reference in shipped:
        return Place(shipped[reference], Kind.SHIPPED)
    if place := locate_file(beside / Path(reference).expanduser()):
        return place
    if state is not None and reference in installed_names(state):
        raise UsageError(
            f"no version of the model {reference!r} is active",
            f"edge-agent models activate {reference}",
        )
    raise UsageError(f"there is no model {reference!r}", _hint(reference, {*active, *shipped}))


def locate_file(path: Path) -> Place | None:
    """A model outside of the state directory; None when there is neither file nor folder."""
    if path.is_dir():
        return Place(path, Kind.FOLDER)
    if path.is_file():
        return Place(path, Kind.ARCHIVE if path.suffix.lower() == ".tar" else Kind.BARE)
    return None


def _hint(reference: str, names: set[str]) -> str:
    import difflib  # only where something is wrong

    close = difflib.get_close_matches(reference, sorted(names), n=1)
    if close:
        return f"did you mean {close[0]}? see: edge-agent models list"
    return "give a bundle's name (edge-agent models list), its folder or .tar, or a .tflite"
