"""The repetition of a recorded run: train it again, and find the first difference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from paribus.base import archive
from paribus.base.errors import UserError
from paribus.run.evaluate import reloadable, undamaged
from paribus.run.execute import Ranks, train
from paribus.run.restored import with_secrets
from paribus.store.provenance import provenance
from paribus.store.record import Record
from paribus.store.store import Store

CLOCK = ("seconds",)  # columns of a history that depend on the machine's speed


@dataclass(frozen=True)
class Comparison:
    """What was compared, and where it differs first; `difference` is None for equal down to the last bit."""

    what: str
    size: str
    difference: str | None


def rerun(record: Record, store: Store, ranks: Ranks | None = None, folder: Path | None = None) -> list[Comparison]:
    """Train `record`'s run again in a temporary outputs folder (below `folder`), and compare the two.

    ranks: as of `train`.

    The record, its configuration and its checkpoints are only read. With as many threads as then, sums of floats have
    the same order and the same rounding.

    Raises UserError for a run that is not finished or whose configuration is missing, and for one with secrets that
    the environment lacks.
    """
    if not record.has_result:
        raise UserError(f"run {record.id} is {record.status}: there is nothing to compare with. Train it first")
    if "imported" in record.provenance:
        raise UserError(f"run {record.id} was imported, and rerun trains only runs of Paribus")
    run = with_secrets(reloadable(record, store, trust=False), record.id)
    undamaged(record, store, "history.csv")
    threads = run.trainer.threads or record.provenance.get("hardware", {}).get("threads")
    with tempfile.TemporaryDirectory(prefix="paribus-rerun-", dir=folder) as temporary:
        again = run.but({"paths.outputs": temporary, "trainer.threads": threads, "logger": {}})
        other = Store(temporary)
        new = train(again, record.choices, [], ranks)
        if new.id != record.id:
            raise UserError(
                f"the configuration of run {record.id} now means run {new.id}: it was edited, or comes from another "
                "version of Paribus"
            )
        return compare(record, store, new, other)


def compare(record: Record, store: Store, new: Record, other: Store) -> list[Comparison]:
    """Histories, final weights and metrics of two records of one run, in the order in which they arise."""
    found = [histories(store.history(record.id), other.history(new.id))]
    paths = [each.run_dir(record.id) / "checkpoints" / "last.ckpt" for each in (store, other)]
    if all(path.exists() for path in paths):
        found.append(weights(*(tensors(path) for path in paths)))
    else:
        found.append(Comparison("final weights", "not compared: there is no checkpoint", None))
    return [*found, metrics(record.metrics, new.metrics)]


def histories(old: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[float]]) -> Comparison:
    columns = [name for name in old if name not in CLOCK]
    rows = len(old.get("step", ()))
    size = f"{rows} rows of {len(columns)} columns"
    if set(old) != set(new):
        return Comparison("history", size, f"columns {sorted(set(old) ^ set(new))} are in one of the two only")
    for row in range(min(rows, len(new.get("step", ())))):
        for name in columns:
            if not same(old[name][row], new[name][row]):
                where = f"at step {old['step'][row]:.0f}, {name}"
                return Comparison("history", size, f"{where}: {old[name][row]!r} then, {new[name][row]!r} now")
    if rows != len(new.get("step", ())):
        return Comparison("history", size, f"{rows} rows then, {len(new.get('step', ()))} now")
    return Comparison("history", size, None)


def weights(old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> Comparison:
    size = f"{sum(tensor.numel() for tensor in old.values())} numbers in {len(old)} tensors"
    if list(old) != list(new):
        return Comparison("final weights", size, f"tensors {sorted(set(old) ^ set(new))} are in one of the two only")
    for name, tensor in old.items():
        if tensor.shape != new[name].shape or tensor.dtype != new[name].dtype:
            return Comparison("final weights", size, f"{name} has another shape or type")
        if not torch.equal(tensor, new[name]) and not torch.equal(bits(tensor), bits(new[name])):
            gap = (tensor.double() - new[name].double()).abs().max().item()
            return Comparison("final weights", size, f"{name} by up to {gap:.3g}")
    return Comparison("final weights", size, None)


def metrics(old: Mapping[str, float], new: Mapping[str, float]) -> Comparison:
    size = f"{len(old)} values"
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new or name not in old:
            return Comparison("metrics", size, f"{name} is in one of the two only")
        if not same(old[name], new[name]):
            return Comparison("metrics", size, f"{name}: {old[name]!r} then, {new[name]!r} now")
    return Comparison("metrics", size, None)


def same(old: float, new: float) -> bool:
    return old == new or (old != old and new != new)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor: weights of a run that diverged are nan, which equals nothing."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint: those that train and, where others are evaluated, those too."""
    try:
        content = archive.read(path)
        found = dict(content["state_dict"])
        found.update({f"evaluation.{name}": value for name, value in content.get("evaluation_weights", {}).items()})
    except Exception as error:  # zip, pickle and key errors: the file is damaged
        raise UserError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def changes(record: Record) -> list[str]:
    """How training it again differs from what the record says of code, versions, hardware and company."""
    now, then = provenance("", 1), record.provenance
    found = []
    for part, names in (("versions", now["versions"]), ("hardware", ("cpu", "platform"))):
        for name in names:
            before = then.get(part, {}).get(name)
            if before != now[part][name]:
                found.append(f"{name} {before} then, {now[part][name]} now")
    if then.get("commit") != now["commit"]:
        found.append(f"commit {then.get('commit')} then, {now['commit']} now")
    if then.get("dirty") or now["dirty"]:
        found.append("the code has uncommitted changes")
    return found + interruptions(record)


def interruptions(record: Record) -> list[str]:
    """In what company and on what a run was trained, where that was not alone and on one from beginning to end."""
    segments = record.provenance.get("segments")
    if segments is None:  # of an earlier version
        together = record.timing.get("stack", 1)
        segments = [{"from": 0, "to": record.timing.get("steps", 0), "stack": int(together)}]
    found = []
    if any(each["stack"] != 1 for each in segments):
        kinds = {None: "in unknown company", 1: "alone"}
        how = [(each, kinds.get(each["stack"], f"in a stack of {each['stack']}")) for each in segments]
        parts = ", ".join(f"updates {each['from']:.0f} to {each['to']:.0f} {words}" for each, words in how)
        found.append(f"it was not trained alone ({parts}), and stacks round differently; stack=off gives equal bits")
    for key in ("threads", "device", "torch"):
        values = list(dict.fromkeys(str(each[key]) for each in segments if key in each))
        if len(values) > 1:
            found.append(f"it was interrupted, and trained with {key} {' and then '.join(values)}")
    return found
