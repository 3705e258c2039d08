"""Metrics that are asked for after a run has ended: computed from its kept weights, and added to its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paribus.base.errors import UserError
from paribus.base.metrics import Metrics
from paribus.config.measures import Measures
from paribus.run.drivers import driver_of
from paribus.store.declared import agreed
from paribus.store.record import Record
from paribus.store.store import Store


def lacking(record: Record, measures: Measures) -> list[str]:
    """Those of the metrics that a finished run was not asked for. A diverged run has none to compute.

    Raises UserError for one that the record has, computed otherwise.
    """
    for name in measures.nodes:
        agreed(measures.declared.key(f"test/{name}"), [record])
    had = record.metrics.keys()  # a module may log a name as it is
    return [name for name in measures.nodes if record.status == "done" and not {f"test/{name}", name} & had]


@dataclass(frozen=True)
class Later:
    """What became of the runs that were asked for a metric. added: id -> names. without: id -> why it has none."""

    added: Mapping[str, Sequence[str]]
    without: Mapping[str, str]


def add_metrics(asked: Mapping[str, Measures], root: Path, *, trust: bool = False) -> Later:
    """Evaluate runs again for metrics that their records lack. asked: id -> what is asked for."""
    store = Store(root)
    added: dict[str, Sequence[str]] = {}
    without: dict[str, str] = {}
    for id, measures in asked.items():
        try:
            with store.lock(id, blocking=True):
                record = store.read(id)
                if record is not None and (names := lacking(record, measures)):
                    store.write(measured_again(record, store, measures.only(names), trust=trust))
                    added[id] = names
        except UserError as error:
            without[id] = str(error)
    return Later(added, without)


def measured_again(record: Record, store: Store, measures: Measures, *, trust: bool = False) -> Record:
    """The record with further metrics of validation (by the last weights) and test (by the weights that it tested).

    Raises UserError where the weights are not kept, and for a metric that the run can't have.
    """
    from paribus.run import build
    from paribus.run.evaluate import reload, reloadable
    from paribus.run.evaluation import evaluate

    if driver_of(reloadable(record, store, trust)) is not None:
        return _logged_again(record, store, measures, trust)
    checkpoints = store.run_dir(record.id) / "checkpoints"
    if not (tested := checkpoints / f"{record.evaluated}.ckpt").exists():
        raise UserError(f"its weights are not kept ({tested})")
    found: dict[str, float] = {}
    for split, name in (("test", record.evaluated), ("val", "last")):
        path = checkpoints / f"{name}.ckpt"
        if not path.exists():
            continue
        reloaded = reload(record, store, None if name == record.evaluated else path, trust=trust)
        run = replace(reloaded.configured, metrics=measures)
        known = Metrics(run.declared[name] for name in measures.nodes)  # refuses those for other tasks
        evaluation = run.evaluation
        with reloaded.precision.val_step_context():
            values = evaluate(
                reloaded.network,
                reloaded.setting.task,
                reloaded.data.evaluation_batches(split, evaluation.batch_size),
                device=reloaded.device,
                batch_statistics=evaluation.statistics == "batch",
                measures=build.build_measures(run, reloaded.setting),
            )
        found |= {f"{split}/{name}": values[name] for name in measures.nodes if name in values}
    return _with(record, found, known)


def _logged_again(record: Record, store: Store, measures: Measures, trust: bool) -> Record:
    """The record of a module that logs its metrics itself, with what its test logs today by these names."""
    from paribus.run.evaluate import evaluate_record

    logged, had = evaluate_record(record, store, trust=trust), record.metrics
    if changed := [key for key, value in logged.items() if key in had and repr(had[key]) != repr(value)]:
        raise UserError(f"its test logs another {changed[0]} than after the training, so its code or data have changed")
    found = {name: {key: logged[key] for key in (f"test/{name}", name) if key in logged} for name in measures.nodes}
    if missing := [name for name, values in found.items() if not values]:
        raise UserError(f"its test logs no {missing[0]}, but {', '.join(sorted(logged))}")
    return _with(record, {key: value for values in found.values() for key, value in values.items()}, measures.declared)


def _with(record: Record, found: Mapping[str, float], known: Metrics) -> Record:
    """The record with further values and what is declared of them."""
    before = Metrics(metric for name in record.known if (metric := record.declaration(name)) is not None)
    return replace(record, metrics={**record.metrics, **found}, declared=(before | known).plain())
