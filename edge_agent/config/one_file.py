"""One YAML file of a kind of its own (a policy, a rollout plan), read as the configuration is.

The way is that of `load.py`: every mistake of syntax, schema and agreement, in the order of the
file, each as `file:line:column: path: what is wrong, what is allowed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from edge_agent.config.known import part_of
from edge_agent.config.load import Mistake, in_file_order, mistake, refusal, text_of
from edge_agent.config.mistakes import schema_faults
from edge_agent.config.part import Invalid, Part
from edge_agent.config.yaml_text import Fault, Marks, Tree, parse
from edge_agent.frozen import frozen

Model = TypeVar("Model", bound=Part)
#: What keys must say of one another, of the plain values.
Agreement = Callable[[object, Marks], Iterable[Fault]]


@frozen
class OneFile(Generic[Model]):
    """What it holds. `value` is there exactly when there are no mistakes; so is `text`."""

    value: Model | None
    mistakes: tuple[Mistake, ...]
    text: str = ""


@frozen
class Sort(Generic[Model]):
    """A kind of file: `name` for sentences ("a policy"), its schema, its agreement."""

    name: str
    model: type[Model]
    agreement: Agreement

    def read(self, path: Path) -> OneFile[Model]:
        """Never raises for what stands in the file."""
        text = text_of(path, self.name)
        tree = parse(text) if isinstance(text, str) else Tree(None, Marks(), (text,))
        faults, value = list(tree.faults), None
        if tree.data is not None:
            said = list(self.agreement(tree.data, tree.marks))
            try:
                value = part_of(self.model, tree.data)
            except Invalid as error:
                known = {fault.path for fault in said}  # what agreement says there says more
                found = schema_faults(error, tree.data, tree.marks, self.model)
                faults += [fault for fault in found if fault.path not in known]
            faults += said
        mistakes = in_file_order(mistake(path, fault, tree.marks) for fault in faults)
        if mistakes or value is None or not isinstance(text, str):
            return OneFile(None, mistakes)
        return OneFile(value, (), text)

    def load(self, path: Path, next_step: str) -> Model:
        """Raises UsageError with the first mistake and the number of the others."""
        found = self.read(path)
        if found.value is None:
            raise refusal(path, found.mistakes, next_step)
        return found.value
