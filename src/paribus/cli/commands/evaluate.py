"""Reload a run and compute its test metrics again; or compute further metrics of finished runs (--metrics f1,auroc)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paribus.base.commands import Command
from paribus.base.errors import UserError
from paribus.base.terminal import show

SECTION = "Look"

if TYPE_CHECKING:
    from paribus.config.measures import Measures
    from paribus.config.run import Run
    from paribus.store.store import Store


@click.command(cls=Command)
@click.argument("what", nargs=-1, required=True)
@click.option(
    "--metrics",
    help="Options of the group metrics, such as f1,auroc, or what the module of task=lightning logs in its test: "
    "computed from the kept weights of a run, or of all finished runs of ablation=NAME, and added to the records.",
)
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Use another checkpoint file of the same network.")
@click.option(
    "--trust", is_flag=True, help="Reload an imported run, which calls the code that its configuration names."
)
@click.option("--outputs", type=click.Path(file_okay=False), help="The folder of the records (default: as for train).")
def command(
    what: tuple[str, ...], metrics: str | None, checkpoint: str | None, trust: bool, outputs: str | None
) -> None:
    from paribus.config.outputs import outputs_folder, store_of
    from paribus.store.store import Store

    overrides = [each for each in what if "=" in each]
    ids = [each for each in what if "=" not in each]
    if overrides:
        if ids or checkpoint or outputs:
            given = ids[0] if ids else "--checkpoint" if checkpoint else "--outputs"
            raise UserError(
                f"ablation=NAME evaluates the finished runs of an ablation, and {given} is of single runs. Leave it "
                "out; the folder of the records is paths.outputs=DIR"
            )
        _add(_of_ablation(overrides, metrics), Store(outputs_folder(overrides)), trust)
    elif metrics:
        if checkpoint:
            raise UserError("--metrics adds to records, whose weights are their own. Leave --checkpoint out")
        store = store_of(outputs)
        _add(_of_runs([store.find(each).id for each in ids], metrics, store), store, trust)
    else:
        for each in ids:
            _repeat(each, store_of(outputs), checkpoint, trust)


def _repeat(run: str, store: Store, checkpoint: str | None, trust: bool) -> None:
    record = store.find(run)
    from paribus.run.evaluate import evaluate_record

    results = evaluate_record(record, store, Path(checkpoint) if checkpoint else None, trust=trust)
    agree = True
    for key, value in results.items():
        recorded = record.metrics.get(key)
        same = recorded == value or (recorded is not None and recorded != recorded and value != value)
        agree = agree and same
        note = "as recorded" if same else f"recorded: {recorded}"
        show(f"{key} {value!r}  ({note})")
    if checkpoint is None and not agree:
        raise UserError(
            f"run {record.id} does not reproduce its recorded test metrics. They are exact on the same hardware and "
            "versions; the record's provenance says which"
        )


def _of_runs(ids: list[str], metrics: str, store: Store) -> dict[str, Measures]:
    """Run -> what is asked of it: options of the group, or what its module logs."""
    from paribus.config.composer import Composer
    from paribus.config.run import recorded
    from paribus.run.drivers import driver_of

    runs = {id: recorded(store.config(id))[0] for id in ids}
    asked = {id: _logged(run, metrics) for id, run in runs.items() if driver_of(run) is not None}
    if len(asked) < len(ids):
        asked |= dict.fromkeys(runs.keys() - asked.keys(), Composer()([f"metrics=[{metrics}]"]).run.metrics)
    return asked


def _logged(run: Run, metrics: str) -> Measures:
    """What a module logs itself, with what its configuration declares of it."""
    from paribus.base.metrics import Metrics
    from paribus.config.measures import Measures

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    return Measures({name: {} for name in names}, Metrics(run.declared[name] for name in names if name in run.declared))


def _of_ablation(overrides: list[str], metrics: str | None) -> dict[str, Measures]:
    """Run -> what is asked of it, of all runs of an ablation."""
    from paribus.config.composer import Composer
    from paribus.config.outputs import outputs_folder
    from paribus.evidence.plans import plans_of
    from paribus.report.collect import names_ablation
    from paribus.run.drivers import driver_of
    from paribus.store.store import Store

    if not names_ablation(overrides):
        raise UserError(f"evaluate takes runs, or ablation=NAME, got {overrides[0]}. List runs: paribus runs")
    store = Store(outputs_folder(overrides))
    driven = driver_of(Composer()(overrides).run) is not None
    added = [f"metrics=[{metrics}]"] if metrics and not driven else []
    cells = [cell for plan in plans_of([*overrides, *added], store.read) for cell in plan.cells]
    if metrics and driven:
        return {cell.id: _logged(cell.run, metrics) for cell in cells}
    asked = {cell.id: cell.run.metrics.only(list(cell.run.measures)) for cell in cells}
    if not any(measures.nodes for measures in asked.values()):
        raise UserError(f"nothing is asked for: name metrics, paribus evaluate --metrics f1,auroc {overrides[0]}")
    return asked


def _add(asked: dict[str, Measures], store: Store, trust: bool) -> None:
    """Compute what the records lack, and show it. Raises UserError that names the runs that stay without."""
    from paribus.run.later import add_metrics

    found = add_metrics(asked, store.root, trust=trust)
    for id, names in found.added.items():
        record = store.read(id)
        assert record is not None, "it has just been written"
        keys = [key for name in names for key in (f"test/{name}", name) if key in record.metrics]
        values = [f"{key} {record.metrics[key]!r}" for key in keys]
        show(f"{id} {record.arm or 'run'} seed {record.seed}: {', '.join(values)}")
    kept = [id for id in asked if id not in found.added and id not in found.without]
    finished = [id for id in kept if (record := store.read(id)) is not None and record.has_result]
    show(
        f"{len(found.added)} runs have new metrics; {len(finished)} had them, or diverged; "
        f"{len(kept) - len(finished)} are not finished"
    )
    if found.without:
        reasons = "; ".join(f"{id}: {reason}" for id, reason in list(found.without.items())[:5])
        raise UserError(
            f"{len(found.without)} runs stay without: {reasons}. Train them again in another folder (paths.outputs=DIR)"
        )
