"""What the reading commands do: records of an ablation or a sweep in, text and pictures out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paribus.errors import UserError
from paribus.store.record import Record
from paribus.store.store import Store

DEFAULT_METRICS = ("test/acc", "test/loss", "val/acc", "ms_per_update")


def outputs_folder(overrides: Sequence[str]) -> Path:
    """Where records lie: paths.outputs of the command line, PARIBUS_OUTPUTS, or ./outputs."""
    for override in overrides:
        if override.startswith("paths.outputs="):
            return Path(override.partition("=")[2])
    return Path(os.environ.get("PARIBUS_OUTPUTS", "outputs"))


def collect(
    overrides: Sequence[str], by: Sequence[str] = (), mix: Sequence[str] = ()
) -> tuple[str, dict[str, list[Record | None]], str | None]:
    """(name, arm -> records, metric) of the ablation that is named, or of the newest sweep; None is a missing run.

    by: choices to form arms by, over the runs of the sweep, or over all records where there was no sweep.
    """
    store = Store(outputs_folder(overrides))
    if any(item.startswith("ablation=") for item in overrides):
        from paribus.plan.cells import ablation_of, plan_ablation

        ablation = ablation_of(overrides)
        assert ablation is not None
        plan = plan_ablation(ablation, overrides)
        arms = {arm: [store.read(cell.id) for cell in cells] for arm, cells in plan.arms().items()}
        return plan.name, arms, plan.metric
    if unknown := [item for item in overrides if not item.startswith("paths.outputs=")]:
        raise UserError(
            f"{unknown[0]}: without ablation=NAME the table is of the newest sweep and takes no overrides. Use --by"
        )
    from paribus.report.aggregate import arms_by

    sweep = newest_sweep(store)
    if by:
        ids = [id for ids in sweep["arms"].values() for id in ids] if sweep else None
        records = [r for r in (map(store.read, ids) if ids else store.scan()) if r is not None]
        return (sweep["name"] if sweep else "all runs"), arms_by(records, by, mix), None
    if sweep is None:
        raise UserError(
            f"there is no sweep in {store.root}. Name an ablation (ablation=demo) or the keys to compare by (--by norm)"
        )
    return (
        sweep["name"],
        {arm or "all runs": [store.read(id) for id in ids] for arm, ids in sweep["arms"].items()},
        None,
    )


def newest_sweep(store: Store) -> dict[str, Any] | None:
    """The content of the newest sweep.json."""
    found = sorted((store.root / "sweeps").glob("*/sweep.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(found[-1].read_text()) if found else None


def write_table(
    overrides: Sequence[str],
    form: str,
    metrics: Sequence[str],
    by: Sequence[str],
    mix: Sequence[str],
    output: str | None,
) -> None:
    from paribus.report.aggregate import aggregate
    from paribus.report.table import FORMATS

    name, arms, metric = collect(overrides, by, mix)
    if not metrics:
        metrics = tuple(dict.fromkeys((metric or DEFAULT_METRICS[0], *DEFAULT_METRICS)))
    write(FORMATS[form](aggregate(name, arms, metrics, mix)), output)


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


def write_figures(overrides: Sequence[str], output: str) -> None:
    from paribus.report.figures import learning_curves, save

    name, arms, _ = collect(overrides)
    store = Store(outputs_folder(overrides))
    histories: Mapping[str, list[Any]] = {
        arm: [store.history(r.id) for r in records if r is not None and r.status in ("done", "diverged")]
        for arm, records in arms.items()
    }
    if not any(histories.values()):
        raise UserError(f"{name}: no run is done yet. Train them first: paribus train -m ...")
    figure = learning_curves(name, {arm: runs for arm, runs in histories.items() if runs})
    for path in save(figure, Path(output) / "learning_curves"):
        print(path, file=sys.stderr)


def print_plan(overrides: Sequence[str]) -> None:
    from paribus.plan.cells import ablation_of, plan_ablation, plan_sweep
    from paribus.plan.compose import hydra_context, parse_overrides, user_errors
    from paribus.plan.sweep import combinations, varied_keys

    with hydra_context(), user_errors():
        parsed = parse_overrides(overrides)
        products, keys = combinations(parsed), varied_keys(parsed)
        ablations = [ablation_of(product) for product in products]
    store = Store(outputs_folder(overrides))
    plans = [plan_ablation(found, product) for found, product in zip(ablations, products, strict=True) if found]
    plain = [product for found, product in zip(ablations, products, strict=True) if not found]
    if plain:
        plans.append(plan_sweep(plain, keys))
    for plan in plans:
        for arm, cells in plan.arms().items():
            states = [record.status if (record := store.read(cell.id)) else "missing" for cell in cells]
            counted = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
            print(f"{arm or 'run'}: {counted}  ({' '.join(cell.id for cell in cells)})")
        done = sum(1 for cell in plan.cells if (r := store.read(cell.id)) and r.status in ("done", "diverged"))
        print(f"{plan.name}: {len(plan.cells)} runs, {done} done, {len(plan.cells) - done} to train")


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
