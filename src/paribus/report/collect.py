"""The records that a command line names: of an ablation, or of the newest sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paribus.ablation.cells import Plan, Read
from paribus.ablation.changes import Changed, changed_inputs, changed_runs, listed, name_of
from paribus.ablation.inputs import Inputs
from paribus.base.errors import UserError
from paribus.base.metrics import kind
from paribus.base.terminal import say
from paribus.config.outputs import outputs_folder
from paribus.config.run import recorded
from paribus.evidence.arms import arms_by
from paribus.evidence.registered import sentences
from paribus.store.declared import main_metric
from paribus.store.names import bounded, is_id, read_bounded
from paribus.store.reader import Reader
from paribus.store.record import Record
from paribus.store.store import Store

if TYPE_CHECKING:
    from paribus.config.composer import Composer
    from paribus.report.study import Study

SWEEP_BYTES = 256 << 20
COSTS = ("parameters", "ms_per_update", "fit_seconds")


def names_ablation(overrides: Sequence[str]) -> bool:
    return any(key_of(item) == "ablation" for item in overrides)


def key_of(override: str) -> str:
    return override.partition("=")[0].strip().lstrip("+~")


def is_setting(item: str) -> bool:
    """Whether a word on the command line says where the records lie."""
    return "=" in item and key_of(item).split(".")[0] == "paths"


def only_settings(overrides: Sequence[str], remedy: str) -> None:
    """Without an ablation nothing is composed, so no override could have an effect. Raises UserError for the first."""
    if others := [item for item in overrides if not is_setting(item)]:
        raise UserError(f"{others[0]} has no effect without ablation=NAME. {remedy}")


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
    if not names_ablation(overrides):
        only_settings(overrides, "The newest sweep is shown; choose its rows with --by KEY")
    elif by:
        raise UserError(
            f"--by {by[0]} has no effect with an ablation, whose arms are the rows. Drop --by, or ablation=NAME"
        )
    store = Store(outputs_folder(overrides, composer))
    read = read or Reader(store)
    if names_ablation(overrides):
        from paribus.evidence.plans import plans_of

        planned = plans_of(overrides, read, composer)
        for plan in planned:
            plan.registered = sentences(plan, read)
        note_changes(changed_runs(planned, read, Inputs(store.root)))
        return [
            Collected(
                plan.name,
                {arm: [read(cell.id) if cell else None for cell in cells] for arm, cells in plan.arms.items()},
                plan.metric,
                plan,
            )
            for plan in planned
        ]
    plans = newest_sweep(store)
    if by:
        ids = [id for plan in plans for ids in plan["arms"].values() for id in ids]
        if not ids and isinstance(read, Reader):
            read.all()
        records = [r for r in map(read, ids or store.ids()) if r is not None and r.status != "pruned"]
        note_changes(changed_records(records, store))
        return [Collected(plans[0]["name"] if plans else "all runs", arms_by(records, by, mix))]
    if not plans:
        raise UserError(
            f"there is no sweep in {store.root}. Name an ablation (ablation=demo) or the keys to compare by (--by norm)"
        )
    collected = [
        Collected(plan["name"], {arm or "all runs": [read(id) for id in ids] for arm, ids in plan["arms"].items()})
        for plan in plans
    ]
    note_changes(changed_records((r for each in collected for runs in each.arms.values() for r in runs), store))
    return collected


def note_changes(found: Sequence[Changed]) -> None:
    """The numbers are those of what was trained then; what is there now would give others."""
    if found:
        said = f"{len(found)} of these runs use code, files or data that have changed since"
        say(f"note: {said}:{listed(found)}")


def changed_records(records: Iterable[Record | None], store: Store) -> list[Changed]:
    """The same for runs that no plan names: their own configurations say what they use."""
    found, inputs = [], Inputs(store.root)
    for record in records:
        if record is not None and record.provenance.get("inputs"):
            try:
                config = store.config(record.id)
            except UserError:  # the record alone was handed on
                continue
            try:
                run, _ = recorded(config)
                what = changed_inputs(record, inputs(run), run)
            except UserError as error:
                what = [f"what a configuration may hold, and so this version can't read its own ({error})"]
            if what:
                found.append(Changed(record.id, name_of(record.arm, record.seed or 0), tuple(what)))
    return found


def newest_sweep(store: Store) -> list[dict[str, Any]]:
    """The plans of the newest sweep.json: name, keys and arms of each; none where nothing was swept."""
    found = sorted((store.root / "sweeps").glob("*/sweep.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        return []
    try:
        plans = bounded(json.loads(read_bounded(found[-1], SWEEP_BYTES)))["plans"]
        if not all(isinstance(plan["name"], str) and _is_arms(plan["arms"]) for plan in plans):
            raise ValueError("it lists no arms")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(
            f"{found[-1]}, the list of the newest sweep, can't be read ({error}). Run the sweep "
            "again, or remove its folder"
        ) from error
    result: list[dict[str, Any]] = plans
    return result


def _is_arms(arms: Any) -> bool:
    """arm -> ids of runs, which nobody else may have written."""
    return isinstance(arms, dict) and all(isinstance(ids, list) and all(map(is_id, ids)) for ids in arms.values())


def default_metrics(records: Iterable[Record | None], compared: str | None = None) -> tuple[str, ...]:
    """The metric that arms are compared by, and those that stand beside it: the main one, the loss, and what runs cost.

    compared: the first one, where something names it. The others are those that some run has.
    """
    present = [record for record in records if record is not None]
    main = next((main_metric(record) for record in present if record.has_result), None)
    main = main or next(map(main_metric, present), "test/acc")
    has = {key for r in present for key in (*r.metrics, *r.timing, *(["parameters"] if r.parameters else []))}
    wanted = [main, f"test/{kind(main)}", "test/loss", *COSTS]
    return tuple(dict.fromkeys([compared or main, *(metric for metric in wanted if metric in has)]))


def shown_metrics(found: Collected) -> tuple[str, ...]:
    """The same of what was collected."""
    return default_metrics((record for of in found.arms.values() for record in of), found.metric)


def studies(
    overrides: Sequence[str],
    mix: Sequence[str] = (),
    by: Sequence[str] = (),
    composer: Composer | None = None,
    metrics: Sequence[str] = (),
) -> list[Study]:
    """What the command line names, ready to be drawn: one entry for each regime.

    composer: remembers what it composed, for those who ask again. metrics: arms are compared by the first one (default:
    that of the ablation, and what `default_metrics` shows beside it).
    """
    from paribus.report.study import study

    read = Reader(Store(outputs_folder(overrides, composer)))
    return [
        study(
            found.name,
            found.arms,
            tuple(metrics) or shown_metrics(found),
            found.plan,
            read,
            read.store.history,
            mix,
            read.store.curves,
        )
        for found in collect(overrides, by, mix, read, composer)
    ]


def chosen(store: Store, overrides: Sequence[str], composer: Composer) -> list[Record]:
    """All records, or those of an ablation with its tuning runs."""
    if not names_ablation(overrides):
        only_settings(overrides, "It always takes all runs. To list some of them: paribus runs KEY=VALUE")
        return list(store.scan())
    found: dict[str, Record] = {}
    for each in collect(overrides, composer=composer):
        cells = each.plan.cells if each.plan else []
        present = [record for cell in cells if (record := store.read(cell.id)) is not None]
        present += [record for arm in each.arms.values() for record in arm if record is not None]
        found |= {record.id: record for record in present}
    return list(found.values())
