"""The configuration that counts: the file, over it the policies in charge, over these what was set
by hand on this device.

What a technician sets stands in a file of its own beside the configuration: `config.local.yaml` of
`config.yaml`. It has the form of a policy without name and version. Everything is judged as one,
and each mistake is told in the file that it is in. Read `layers.py` first, `load.py` next.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.config.known import part_of
from edge_agent.config.layers import Laid, Layer, Overridden, lay
from edge_agent.config.load import Loaded, Mistake, in_file_order, judged, mistake, refusal, tree_of
from edge_agent.config.mistakes import schema_faults
from edge_agent.config.part import Invalid, Part, key
from edge_agent.config.policy import PolicyPipeline, elsewhere_faults, read_policy
from edge_agent.config.schema import Config
from edge_agent.config.values import Name
from edge_agent.frozen import frozen, frozen_by_name


@frozen_by_name
class Local(Part):
    """What was set by hand on this device. A rule changes the keys of the one of its name."""

    pipelines: dict[Name, PolicyPipeline] = key("By their names in the configuration.", {})


@frozen
class Overlay:
    """Which files lie over a configuration. `mistakes`: of those that cannot be used at all."""

    policies: tuple[Path, ...] = ()
    local: Path | None = None
    mistakes: tuple[Mistake, ...] = ()


NOTHING = Overlay()


@frozen
class Effective:
    """What counts, and what was set by hand in it."""

    loaded: Loaded
    overlay: Overlay = NOTHING
    overridden: tuple[Overridden, ...] = ()


def local_file(config: Path) -> Path:
    """Where a technician of this device writes; it need not be there."""
    return config.with_name(f"{config.stem}.local.yaml")


def read_effective(path: Path, overlay: Overlay, beside: Path | None = None) -> Effective:
    """The configuration in `path` with what lies over it. Never raises for what stands there."""
    beside = beside or path.absolute().parent
    base = tree_of(path, "a configuration")
    layers, found = [], list(overlay.mistakes)
    for file in overlay.policies:
        policy = read_policy(file)
        found += policy.mistakes
        if not policy.mistakes:
            layers.append(Layer(str(file), tree_of(file, "a policy")))
    if overlay.local is not None:
        layer, mistakes = _local(overlay.local)
        found += mistakes
        layers += [] if mistakes else [layer]
    laid = lay(str(path), base, tuple(layers))
    found += _of_layers(laid)
    loaded = judged(path, laid.tree, beside)
    if found:
        mistakes = in_file_order([*loaded.mistakes, *found])
        loaded = Loaded(None, mistakes, loaded.marks, data=loaded.data)
    return Effective(loaded, overlay, laid.overridden)


def load_effective(path: Path, overlay: Overlay) -> Config:
    """The same; raises UsageError with the first mistake and their number."""
    loaded = read_effective(path, overlay).loaded
    if loaded.config is None:
        raise refusal(path, loaded.mistakes)
    return loaded.config


def _local(file: Path) -> tuple[Layer, tuple[Mistake, ...]]:
    tree = tree_of(file, "what was set by hand")
    faults = list(tree.faults)
    if tree.data is not None:
        said = list(elsewhere_faults(tree.data, tree.marks))
        try:
            part_of(Local, tree.data)
        except Invalid as error:
            known = {fault.path for fault in said}
            found = schema_faults(error, tree.data, tree.marks, Local)
            faults += [fault for fault in found if fault.path not in known]
        faults += said
    mistakes = in_file_order(mistake(file, fault, tree.marks) for fault in faults)
    return Layer(str(file), tree, by_hand=True), mistakes


def _of_layers(laid: Laid) -> list[Mistake]:
    return [mistake(Path(layer.file), fault, layer.tree.marks) for layer, fault in laid.faults]
