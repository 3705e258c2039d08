"""The one aggregate behind every table: arms, their runs, means over seeds, differences from the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paribus.errors import UserError
from paribus.stats.intervals import Mean, mean_interval
from paribus.stats.multiple import holm
from paribus.stats.paired import Difference, paired_difference
from paribus.store.record import Record

HIGHER_IS_BETTER = {"acc": True, "acc_best": True, "loss": False, "loss_best": False, "ece": False, "ece_best": False}


@dataclass
class Row:
    """An arm. values[metric] has one number for each seed in `seeds`, of the runs that are done."""

    arm: str
    seeds: list[int | None]
    values: dict[str, list[float]]
    means: dict[str, Mean]
    diverged: int
    failed: int
    missing: int
    parameters: int | None
    ids: list[str]
    difference: Difference | None = None  # of the first metric, from the baseline
    p_adjusted: float = math.nan
    best: bool = False


@dataclass
class Aggregate:
    """What a table says. The first metric is the one that arms are compared by."""

    name: str
    metrics: list[str]
    rows: list[Row]
    facts: dict[str, Any] = field(default_factory=dict)  # what all runs share

    @property
    def baseline(self) -> Row:
        return self.rows[0]


def aggregate(
    name: str, arms: Mapping[str, Sequence[Record | None]], metrics: Sequence[str], mix: Sequence[str] = ()
) -> Aggregate:
    """arms: label -> records, None for a run that is not trained yet; the first arm is the baseline.

    mix: facts that the runs may differ in.

    Raises UserError where runs differ in what a table must not mix, and where nothing is done yet.
    """
    done = [record for records in arms.values() for record in records if record and record.status == "done"]
    if not done:
        raise UserError(f"{name}: no run is done yet. Train them first: paribus train -m ...")
    facts = shared_facts(done, mix)
    rows = [_row(arm, records, metrics) for arm, records in arms.items()]
    _compare(rows, metrics[0])
    return Aggregate(name, list(metrics), rows, facts)


def shared_facts(records: Sequence[Record], mix: Sequence[str]) -> dict[str, Any]:
    """What all records agree on among semantics, budget, data, world size, precision and evaluated checkpoint."""
    facts: dict[str, Any] = {}
    for key in sorted({key for record in records for key in record.comparable}):
        values = {str(record.comparable.get(key)): record for record in records}
        if len(values) > 1 and key not in mix:
            shown = "; ".join(f"{value} (run {record.id})" for value, record in sorted(values.items())[:3])
            raise UserError(
                f"a table compares runs that are equal in everything it does not vary, and these differ in {key}: {shown}. "
                f"Leave some out, or add --mix {key}"
            )
        facts[key] = next(iter(values)) if len(values) == 1 else "mixed"
    return facts


def _row(arm: str, records: Sequence[Record | None], metrics: Sequence[str]) -> Row:
    present = [record for record in records if record is not None]
    done = sorted((r for r in present if r.status == "done"), key=lambda r: (r.seed is None, r.seed or 0))
    values = {metric: [_value(record, metric) for record in done] for metric in metrics}
    return Row(
        arm=arm,
        seeds=[record.seed for record in done],
        values=values,
        means={metric: mean_interval([v for v in column if not math.isnan(v)]) for metric, column in values.items()},
        diverged=sum(record.status == "diverged" for record in present),
        failed=sum(record.status == "failed" for record in present),
        missing=sum(record is None or record.status == "running" for record in records),
        parameters=done[0].parameters if done else None,
        ids=[record.id for record in done],
    )


def _value(record: Record, metric: str) -> float:
    for table in (record.metrics, record.timing):
        if metric in table:
            return float(table[metric])
    return math.nan


def higher_is_better(metric: str) -> bool | None:
    """None for what is neither good nor bad."""
    return HIGHER_IS_BETTER.get(metric.rsplit("/", 1)[-1])


def _compare(rows: list[Row], metric: str) -> None:
    """Paired differences from the baseline with Holm's adjustment; and which arms may be printed bold: the arm with
    the best mean, and those that can't be told from it (paired t test at 5 %, after Holm).
    """
    better = higher_is_better(metric)
    base = rows[0]
    for row in rows[1:]:
        row.difference = _paired(row, base, metric)
    adjusted = holm([row.difference.p if row.difference else math.nan for row in rows[1:]])
    for row, p in zip(rows[1:], adjusted, strict=True):
        row.p_adjusted = p
    measured = [row for row in rows if row.means[metric].n >= 2]
    if better is None or len(measured) < 2:
        return
    top = max(measured, key=lambda row: row.means[metric].mean if better else -row.means[metric].mean)
    others = [row for row in measured if row is not top]
    against = [difference.p if (difference := _paired(row, top, metric)) else math.nan for row in others]
    top.best = True
    for row, p in zip(others, holm(against), strict=True):
        row.best = p >= 0.05


def _paired(row: Row, other: Row, metric: str) -> Difference | None:
    """Over the seeds that both have; None below two of them."""
    own = dict(zip(row.seeds, row.values[metric], strict=True))
    theirs = dict(zip(other.seeds, other.values[metric], strict=True))
    both = [s for s in own if s in theirs and not math.isnan(own[s]) and not math.isnan(theirs[s])]
    return paired_difference([own[s] for s in both], [theirs[s] for s in both]) if len(both) >= 2 else None


def varied(records: Sequence[Record]) -> list[str]:
    """The keys of `choices` in which records differ, in the order of their first appearance."""
    keys = list(dict.fromkeys(key for record in records for key in record.choices))
    return [key for key in keys if len({str(record.choices.get(key)) for record in records}) > 1]


def arms_by(records: Sequence[Record], keys: Sequence[str]) -> dict[str, list[Record | None]]:
    """Records by their values of `keys` in `choices`; in order of first appearance."""
    arms: dict[str, list[Record | None]] = {}
    for record in records:
        label = ", ".join(f"{key}={record.choices.get(key)}" for key in keys) if keys else "all runs"
        arms.setdefault(label, []).append(record)
    return arms
