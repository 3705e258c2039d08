"""What the reading commands do: records of an ablation or a sweep in, text and pictures out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paribus.errors import UserError
from paribus.plan.cells import Plan, Read
from paribus.store.record import Record
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.plan.composer import Composer

DEFAULT_METRICS = ("test/acc", "test/loss", "parameters", "ms_per_update", "fit_seconds")


def outputs_folder(overrides: Sequence[str]) -> Path:
    """Where records lie: paths.outputs of the command line, PARIBUS_OUTPUTS, or ./outputs."""
    for override in overrides:
        if override.startswith("paths.outputs="):
            return Path(override.partition("=")[2])
    return Path(os.environ.get("PARIBUS_OUTPUTS", "outputs"))


@dataclass(frozen=True)
class Collected:
    """The records of one table: arm -> records, None for a run that is missing.

    plan: what they are the records of, where an ablation is named: tuned values, hypotheses, smallest effect.
    """

    name: str
    arms: dict[str, list[Record | None]]
    metric: str | None = None
    plan: Plan | None = None


def collect(
    overrides: Sequence[str],
    by: Sequence[str] = (),
    mix: Sequence[str] = (),
    read: Read | None = None,
    composer: Composer | None = None,
) -> list[Collected]:
    """The records of the ablation that is named (one entry for each of its regimes), or of the newest sweep.

    by: choices to form arms by, over the runs of the sweep, or over all records where there was no sweep.
    read: of a record by its id, where the caller remembers them. composer: remembers compositions, for asking again.
    """
    store = Store(outputs_folder(overrides))
    read = read or store.read
    if any(item.startswith("ablation=") for item in overrides):
        from paribus.plan.command import plan_command

        return [
            Collected(
                plan.name,
                {arm: [read(cell.id) if cell else None for cell in cells] for arm, cells in plan.arms.items()},
                plan.metric,
                plan,
            )
            for plan in plan_command(overrides, read, composer)
        ]
    if unknown := [item for item in overrides if not item.startswith("paths.outputs=")]:
        raise UserError(
            f"{unknown[0]}: without ablation=NAME the table is of the newest sweep and takes no overrides. Use --by"
        )
    from paribus.report.aggregate import arms_by

    plans = newest_sweep(store)
    if by:
        ids = [id for plan in plans for ids in plan["arms"].values() for id in ids]
        records = [r for r in map(read, ids or store.ids()) if r is not None]
        return [Collected(plans[0]["name"] if plans else "all runs", arms_by(records, by, mix))]
    if not plans:
        raise UserError(
            f"there is no sweep in {store.root}. Name an ablation (ablation=demo) or the keys to compare by (--by norm)"
        )
    return [
        Collected(plan["name"], {arm or "all runs": [read(id) for id in ids] for arm, ids in plan["arms"].items()})
        for plan in plans
    ]


def newest_sweep(store: Store) -> list[dict[str, Any]]:
    """The plans of the newest sweep.json: name, keys and arms of each; none where nothing was swept."""
    found = sorted((store.root / "sweeps").glob("*/sweep.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(found[-1].read_text())["plans"] if found else []


def shown_metrics(found: Collected) -> tuple[str, ...]:
    """The metric that arms are compared by, and those that stand beside it."""
    return tuple(dict.fromkeys((found.metric or DEFAULT_METRICS[0], *DEFAULT_METRICS)))


def write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error}. Choose another file with -o") from error
    print(path, file=sys.stderr)


def evaluate_run(run: str, checkpoint: str | None, outputs: str | None) -> None:
    store = Store(Path(outputs) if outputs else outputs_folder(()))
    record = store.find(run)
    from paribus.train.evaluate import evaluate_record

    results = evaluate_record(record, store, Path(checkpoint) if checkpoint else None)
    agree = True
    for key, value in results.items():
        recorded = record.metrics.get(key)
        same = recorded == value or (recorded is not None and recorded != recorded and value != value)
        agree = agree and same
        note = "as recorded" if same else f"recorded: {recorded}"
        print(f"{key} {value!r}  ({note})")
    if checkpoint is None and not agree:
        raise UserError(
            f"run {record.id} does not give its recorded test metrics again. They are exact on the same hardware and "
            "versions; the record's provenance says which"
        )
