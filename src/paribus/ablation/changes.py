"""Changes since a run was trained: inputs of a finished run that are not what they were, though its id is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paribus.ablation.cells import Plan, Read
from paribus.ablation.inputs import Inputs, is_place
from paribus.base.errors import UserError
from paribus.config.run import Run
from paribus.store.record import Record

_LISTED = 10
REMEDY = (
    "train them again with on_change=retrain (keeps their folders in outputs/replaced), or use their results with "
    "on_change=reuse"
)


@dataclass(frozen=True)
class Changed:
    """A finished run, what it is called, what has changed since, in words, and what is to be done then."""

    id: str
    name: str
    what: tuple[str, ...]
    on_change: str = "stop"


def changed_inputs(record: Record, now: Mapping[str, str], run: Run) -> list[str]:
    """The inputs whose digests differ from the record's, in words.

    Not named: what a record of before says nothing of, what is gone (it can be no other), and the folder of a data set
    of fixed content, whose samples may lie there in another form (`moved_data`).
    """
    then = record.provenance.get("inputs")
    if not isinstance(then, Mapping):
        return []
    return [
        in_words(label, run)
        for label, digest in now.items()
        if then.get(label, None if label.startswith(("code ", "file data.")) else digest) != digest
        and not is_place(label, run)
    ]


def moved_data(record: Record, now: Mapping[str, str], run: Run) -> bool:
    """Whether the folder of a data set of fixed content holds other files than when the run was trained."""
    then = record.provenance.get("inputs")
    return isinstance(then, Mapping) and any(is_place(label, run) and then.get(label) != now[label] for label in now)


def in_words(label: str, run: Run) -> str:
    kind, _, name = label.partition(" ")
    if kind == "code":
        return f"the source of {name}"
    return f"the {'data' if name.startswith('data.') else 'file'} of {name}={run.at(name)}"


def changed_runs(plans: Sequence[Plan], read: Read, inputs: Inputs) -> list[Changed]:
    """The finished runs of the plans whose inputs have changed."""
    found = []
    for cell in {cell.id: cell for plan in plans for cell in plan.cells}.values():
        now = inputs(cell.composed)  # most runs have no inputs: they need not be parsed
        record = read(cell.id) if now else None
        if record is None or not record.has_result:
            continue
        if what := changed_inputs(record, now, cell.run):
            found.append(Changed(cell.id, name_of(cell.arm, cell.seed), tuple(what), cell.run.on_change))
    return found


def listed(found: Sequence[Changed]) -> str:
    """The runs and what has changed, as lines of a message."""
    lines = [f"{each.id} ({each.name}): {' and '.join(each.what)}" for each in found[:_LISTED]]
    more = [f"and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return "\n  ".join(["", *lines, *more])


def name_of(arm: str | None, seed: int) -> str:
    return f"{arm} seed {seed}" if arm else f"seed {seed}"


def refuse(found: Sequence[Changed]) -> UserError:
    """What a training says that would have to mix runs of before and after a change."""
    return UserError(
        f"{len(found)} finished runs of this command were trained with other code, files or data than those of today:"
        f"{listed(found)}\nRemedy: {REMEDY}"
    )
