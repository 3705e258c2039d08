"""The record of a run: as it begins, where it is there already, and where the run failed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from paribus.ablation.inputs import Inputs
from paribus.base.atomic import write_atomically
from paribus.base.errors import RankFailed, StandsStill, StorageFailed, UserError, is_storage
from paribus.base.metrics import kind
from paribus.base.plain_yaml import DUMPER
from paribus.base.redaction import redacted, redacted_override, redacted_text
from paribus.base.terminal import say
from paribus.config.chosen import chosen
from paribus.config.parts import with_digest
from paribus.config.run import Run
from paribus.run.later import lacking, measured_again
from paribus.run.reuse import usable
from paribus.store.declared import main_metric
from paribus.store.provenance import project_state, provenance, versions_of
from paribus.store.record import Record
from paribus.store.registration import hash_of
from paribus.store.store import Store


def already(run: Run, store: Store, id: str) -> Record | None:
    """The record of a run that is finished. One whose files were changed since counts as not trained: what is damaged,
    and what would go on from it, is put aside.

    Raises UserError where what it was trained with has changed, and on_change is stop.
    """
    record = store.read(id)
    if record is None:
        return None
    kept, remark = usable(record, run, store)
    if remark:
        say(f"{id}: {remark}")
    if not kept or not record.has_result:
        return None
    if not (damaged := store.damage(record)):
        return with_metrics(record, run, store)
    say(f"{id} is {record.status}, but its {' and '.join(damaged)} differs from the record, so it is trained again")
    if "history.csv" in damaged:
        store.put_aside(id, ["history.csv", "checkpoints/last.ckpt"])
    return None


def with_metrics(record: Record, run: Run, store: Store) -> Record:
    """The record of a finished run with the metrics that are asked for now, as far as its weights are kept."""
    if not (names := lacking(record, run.metrics.only(run.measures))):
        return record
    try:
        record = measured_again(record, store, run.metrics.only(names))
    except UserError as error:
        say(f"{record.id} was trained without metrics={','.join(names)} and stays without it: {error}")
        return record
    store.write(record)
    say(f"{record.id} was trained without metrics={','.join(names)}, which was computed from its weights")
    return record


def new_record(run: Run, choices: Mapping[str, Any], overrides: Sequence[str]) -> Record:
    """The record of a run that begins."""
    inputs = Inputs(Path(run.paths.outputs))(run)
    source = provenance(command=repeating([*map(redacted_override, overrides)]), world_size=run.processes)
    if any(label.startswith("code ") for label in inputs):
        source["project"] = project_state(Path.cwd())
    return Record(
        id=run.id,
        status="running",
        ablation=redacted(run.group),
        arm=redacted(run.arm),
        seed=run.seed,
        choices=redacted(chosen(run, choices, overrides)),
        evaluated=run.evaluation.checkpoint,
        declared=declared(run, {}),
        comparable=run.comparable(),
        provenance={**source, "inputs": inputs, **hash_of(Path(run.paths.outputs), run.group)},
        created=now(),
    )


def declared(run: Run, chance: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """What its record keeps of its metrics: direction, unit and chance of each.

    chance: what the task knows from its data and loss, where nothing is declared.
    """
    found = run.declared.plain()
    for name, each in found.items():
        if each["chance"] is None:
            each["chance"] = chance.get(name)
    return found


def used_versions(run: Run, record: Record) -> dict[str, str]:
    """The versions of what the run's targets and the user's own modules come from, once they have been imported."""
    packages = {target.partition(".")[0] for target in targets_of(run.resolved)}
    own = [name.removeprefix("code ") for name in record.provenance.get("inputs", {}) if name.startswith("code ")]
    for name in own:
        for item in list(vars(sys.modules[name]).values()) if name in sys.modules else ():
            home = item.__name__ if isinstance(item, ModuleType) else getattr(item, "__module__", None)
            if isinstance(home, str):
                packages.add(home.partition(".")[0])
    return versions_of(packages - {name.partition(".")[0] for name in own} - {"paribus", "torch", "pytorch_lightning"})


def targets_of(node: Any) -> Iterator[str]:
    """Every target within a value of the config."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_" and isinstance(value, str):
                yield value
            else:
                yield from targets_of(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from targets_of(item)


def named(error: Exception) -> str:
    """The message of a failure; the name of an exception says nothing where the message was written for people."""
    for_people = isinstance(error, UserError | StorageFailed | RankFailed)
    return str(error) if for_people else f"{type(error).__name__}: {error}"


def brief(error: BaseException) -> str:
    """The first sentence."""
    return f"{type(error).__name__}: {error}".partition("\n")[0].partition(". ")[0][:160]


def failed(record: Record, type: str, message: str, run: Run) -> Record:
    """The record, of a run that failed now. Secrets of its configuration are left out of the message."""
    failure = {"type": type, "message": redacted_text(message, run.resolved)}
    return replace(record, status="failed", failure=failure, finished=now())


def write_config(folder: Path, run: Run) -> None:
    text = yaml.dump(redacted(with_digest(run.resolved)), Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.yaml", text, "any")


def failure_type(error: BaseException) -> str:
    """out_of_memory, timeout, storage (a full or read-only disk), killed, still (training moves no weights), or bug for
    what has no better name."""
    if isinstance(error, RankFailed):
        return error.kind
    if isinstance(error, StandsStill):
        return "still"
    if type(error).__name__ == "UncompletedJobError":  # submitit's, raised where a run is when a job's last time is up
        return "timeout"
    text = f"{type(error).__name__} {error}".lower()
    signs = ("outofmemory", "out of memory", "memoryerror", "can't allocate memory")
    if any(sign in text for sign in signs):
        return "out_of_memory"
    return "storage" if is_storage(error) else "bug"


def repeating(overrides: Sequence[str]) -> str:
    """The command that repeats this run: labels are left out."""
    return shlex.join(["paribus", "train", *(item for item in overrides if not item.startswith(("group=", "arm=")))])


def summary(record: Record) -> str:
    """The metrics that a person asks for first, in one line."""
    shown = []
    main = main_metric(record)
    for key in dict.fromkeys([main, f"val/{kind(main)}", "test/loss", "train/loss"]):
        value = record.metrics.get(key)
        if value is not None:
            shown.append(f"{key} {value * 100:.2f} %" if record.known.of(key).is_percent else f"{key} {value:.4g}")
    return ", ".join(shown[:3]) or "no metrics"


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
