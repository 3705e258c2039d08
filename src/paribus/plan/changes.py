"""Changes since a run was trained: inputs of a finished run that are not what they were, though its id is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.errors import UserError
from paribus.plan.cells import Cell, Plan, Read
from paribus.plan.inputs import Inputs, is_place
from paribus.store.record import Record

_LISTED = 10
REMEDY = (
    "train them again with on_change=retrain (their folders are kept in outputs/replaced), or use their results with "
    "on_change=reuse"
)


@dataclass(frozen=True)
class Changed:
    """A finished run of a plan, and what has changed since, in words."""

    cell: Cell
    what: tuple[str, ...]


def changed_inputs(record: Record, now: Mapping[str, str], config: Mapping[str, Any]) -> list[str]:
    """The inputs whose digests differ from the record's, in words.

    Not named: what a record of before says nothing of, what is gone (it can be no other), and the folder of a data set
    of fixed content, whose samples may lie there in another form (`moved_data`).
    """
    then = record.provenance.get("inputs")
    if not isinstance(then, Mapping):
        return []
    return [
        in_words(label, config)
        for label, digest in now.items()
        if then.get(label, None if label.startswith(("code ", "file data.")) else digest) != digest
        and not is_place(label, config)
    ]


def moved_data(record: Record, now: Mapping[str, str], config: Mapping[str, Any]) -> bool:
    """Whether the folder of a data set of fixed content holds other files than when the run was trained."""
    then = record.provenance.get("inputs")
    return isinstance(then, Mapping) and any(is_place(label, config) and then.get(label) != now[label] for label in now)


def in_words(label: str, config: Mapping[str, Any]) -> str:
    kind, _, name = label.partition(" ")
    if kind == "code":
        return f"the source of {name}"
    node: Any = config
    for part in name.split("."):
        node = node[int(part)] if isinstance(node, list | tuple) else node[part]
    return f"the {'data' if name.startswith('data.') else 'file'} of {name}={node}"


def changed_runs(plans: Sequence[Plan], read: Read, inputs: Inputs) -> list[Changed]:
    """The finished runs of the plans whose inputs have changed."""
    found = []
    for cell in {cell.id: cell for plan in plans for cell in plan.cells}.values():
        now = inputs(cell.config)
        record = read(cell.id) if now else None
        if record is None or not record.has_result:
            continue
        if what := changed_inputs(record, now, cell.config):
            found.append(Changed(cell, tuple(what)))
    return found


def listed(found: Sequence[Changed]) -> str:
    """The runs and what has changed, as lines of a message."""
    lines = [f"{each.cell.id} ({name_of(each.cell)}): {' and '.join(each.what)}" for each in found[:_LISTED]]
    more = [f"and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return "\n  ".join(["", *lines, *more])


def name_of(cell: Cell) -> str:
    return f"{cell.arm} seed {cell.seed}" if cell.arm else f"seed {cell.seed}"


def refuse(found: Sequence[Changed]) -> UserError:
    """What a training says that would have to mix runs of before and after a change."""
    return UserError(
        f"{len(found)} finished runs of this command were trained with something else than what is there now:"
        f"{listed(found)}\nRemedy: {REMEDY}"
    )
