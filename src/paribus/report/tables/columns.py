"""The columns of an arms table: each is a name that can be asked for, and what it shows of an arm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paribus.ablation.findings import smallest_of
from paribus.base.metrics import Key
from paribus.evidence.aggregate import Aggregate, Cell, Row
from paribus.evidence.arms import ReportError, level_text
from paribus.report.numbers import NONE, decimals, difference_unit, p_value, scale, short, text, title, with_spread
from paribus.report.tables.sheet import Column, Entry
from paribus.stats.collapse import fisher
from paribus.stats.effect import minimum_detectable_effect, probability_of_improvement
from paribus.stats.multiple import holm
from paribus.stats.practical import Practical, over_seeds
from paribus.store.company import DURATIONS

SPREADS = ("sd", "interval")
MOST_NEAR = 6  # values beside the best one that are listed; of more their number is said


@dataclass(frozen=True)
class View:
    """How an aggregate is shown. spread: sd or interval. columns: names, a metric or one of `COLUMNS`; default all
    metrics, with the comparison behind the first."""

    spread: str = "sd"
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.spread not in SPREADS:
            raise ReportError(f"spread is {' or '.join(SPREADS)}, got {self.spread!r}")


Cells = tuple[Column, list[Entry]]
Build = Callable[[Aggregate, View], list[Cells]]


def columns(table: Aggregate, view: View) -> list[Cells]:
    """The columns but for the arms' names.

    Raises ReportError for a column that is neither a metric of the aggregate nor one of `COLUMNS`.
    """
    found: list[Cells] = []
    known_keys = {str(key): key for key in table.metrics}
    for name in view.columns or default_columns(table):
        if name in known_keys:
            found.append(metric_column(table, known_keys[name], view))
        elif name in DURATIONS and table.untimed is not None:
            continue  # the caption says why
        elif name in COLUMNS:
            found += COLUMNS[name](table, view)
        else:
            known = ", ".join((*table.metrics, *COLUMNS))
            raise ReportError(f"a column is a metric or one of {', '.join(COLUMNS)}, got {name!r}. There are {known}")
    return found


def default_columns(table: Aggregate) -> tuple[str, ...]:
    main, *others = table.metrics
    compared = any(row.cells[main].difference for row in table.rows)
    tuned = table.plan is not None and bool(table.plan.tuned)
    collapsed = any(row.collapses and row.collapses.count for row in table.rows)
    beside = (*(("tuned",) if tuned else ()), *(("collapsed",) if collapsed else ()))
    return (main, *(("difference", "p", "sign_flip") if compared else ()), *others, *beside, "n")


def heading(metric: Key) -> str:
    return title(metric) + {True: " ↑", False: " ↓", None: ""}[metric.metric.higher]


def metric_column(table: Aggregate, metric: Key, view: View) -> Cells:
    return Column(heading(metric)), [number(row.cells[metric], metric, view.spread, row) for row in table.rows]


def number(cell: Cell, metric: Key, spread: str, row: Row) -> Entry:
    """Mean and spread, rounded to two digits of the spread."""
    factor = scale(metric)
    size = cell.mean.sd if spread == "sd" else cell.mean.half_width
    shared = metric == "parameters" or any(metric in run.timing for run in row.runs)  # the time of one stack, say
    if shared and size <= 1e-9 * abs(cell.mean.mean):
        size = math.nan
    mean, around = with_spread(cell.mean.mean * factor, size * factor)
    return Entry(mean, f"± {around}" if around else "", cell.best, runs=tuple(run.id for run in row.runs))


def unit(metric: Key) -> str:
    found = difference_unit(metric).strip()
    return f" ({found})" if found else ""


def with_interval(mean: float, low: float, high: float, metric: Key) -> Entry:
    """A difference and its interval, rounded to two digits of half its width."""
    factor = scale(metric)
    mean, low, high = mean * factor, low * factor, high * factor
    if not math.isfinite(mean):
        return Entry(NONE)
    if not math.isfinite(high - low):
        return Entry(text(mean, 2, sign=True))
    places = min(5, decimals((high - low) / 2))
    return Entry(text(mean, places, sign=True), f"({text(low, places, sign=True)} to {text(high, places, sign=True)})")


def _difference(table: Aggregate, view: View) -> list[Cells]:
    main = table.metrics[0]
    entries = []
    for row in table.rows:
        difference = row.cells[main].difference
        if row is table.baseline:
            entries.append(Entry("baseline"))
        elif difference is None:
            entries.append(Entry(NONE))
        else:
            entries.append(with_interval(difference.mean, difference.low, difference.high, main))
    return [(Column(f"difference from {table.baseline.arm}{unit(main)}", rank=1), entries)]


def _of_difference(head: str, value: Callable[[Aggregate, Cell], str], rank: int = 3) -> Build:
    def build(table: Aggregate, view: View) -> list[Cells]:
        entries = []
        for row in table.rows:
            cell = row.cells[table.metrics[0]]
            entries.append(Entry("" if row is table.baseline else NONE if not cell.difference else value(table, cell)))
        return [(Column(head, rank=rank), entries)]

    return build


def _sign_flip(table: Aggregate, cell: Cell) -> str:
    assert cell.difference is not None
    return p_value(cell.difference.p_sign_flip)


def _d_z(table: Aggregate, cell: Cell) -> str:
    assert cell.difference is not None
    d_z = cell.difference.d_z
    return NONE if not math.isfinite(d_z) else text(d_z, 2, sign=True)


def _improvement(table: Aggregate, view: View) -> list[Cells]:
    main = table.metrics[0]
    higher = main.metric.higher
    entries = []
    for row in table.rows:
        own, theirs = row.cells[main].values, table.baseline.cells[main].values
        shared = [seed for seed in own if seed in theirs]
        if row is table.baseline or higher is None or not shared:
            entries.append(Entry("" if row is table.baseline else NONE))
            continue
        sign = 1 if higher else -1
        found = probability_of_improvement([sign * own[s] for s in shared], [sign * theirs[s] for s in shared])
        entries.append(Entry(text(found.probability, 2), f"({text(found.low, 2)} to {text(found.high, 2)})"))
    return [(Column(f"P(better than {table.baseline.arm})"), entries)]


def smallest(table: Aggregate) -> float | None:
    """The smallest effect of interest; None where the first metric is not that of an ablation."""
    ablation = table.plan.ablation if table.plan is not None else None
    return smallest_of(ablation) if ablation is not None and ablation.metric == table.metrics[0] else None


def _practical(table: Aggregate, view: View) -> list[Cells]:
    main, d = table.metrics[0], smallest(table)
    lines = []
    for row in table.rows:
        difference = row.cells[main].difference
        if row is table.baseline:
            lines.append([Entry("")] * 3)
        elif difference is None or d is None:
            lines.append([Entry(NONE)] * 3)
        else:
            found = over_seeds(difference, d)
            lines.append(probabilities(found if main.metric.higher else found.turned))
    heads = ("P(better by d)", "P(same)", "P(worse by d)")
    return [(Column(head), [line[k] for line in lines]) for k, head in enumerate(heads)]


def probabilities(found: Practical) -> list[Entry]:
    """Of better, same and worse; `above` is better."""
    return [Entry(NONE if math.isnan(p) else text(p, 2)) for p in (found.above, found.same, found.below)]


def _detectable(table: Aggregate, cell: Cell) -> str:
    assert cell.difference is not None
    found = detectable(table, cell)
    return NONE if math.isnan(found) else short(found * scale(table.metrics[0]))


def detectable(table: Aggregate, cell: Cell) -> float:
    """What difference the arm's test would find with 80 % power, at the level of its bounds."""
    difference = cell.difference
    if difference is None or not (difference.n >= 2 and math.isfinite(difference.widest) and difference.widest > 0):
        return math.nan
    return minimum_detectable_effect(difference.widest, difference.n, 0.8, 2 * cell.alpha)


def _detectable_column(table: Aggregate, view: View) -> list[Cells]:
    head = f"detectable with 80 % power{unit(table.metrics[0])}"
    return _of_difference(head, _detectable)(table, view)


def _tuned(table: Aggregate, view: View) -> list[Cells]:
    tuned = table.plan.tuned if table.plan is not None else {}
    keys = dict.fromkeys(key for each in tuned.values() for key in each.point)
    found = []
    for key in keys:
        entries = []
        for row in table.rows:
            value = tuned[row.arm].point.get(key, NONE) if row.arm in tuned else NONE
            near = dict.fromkeys(_shown(point[key]) for point in table.kept.get(row.arm, ()) if key in point)
            marks = ["edge"] if row.arm in tuned and key in tuned[row.arm].edges else []
            if others := [each for each in near if each != _shown(value)]:
                marks.append(f"or {', '.join(others)}" if len(others) <= MOST_NEAR else f"or {len(others)} others")
            entries.append(Entry(_shown(value), f"({'; '.join(marks)})" if marks else ""))
        found.append((Column(f"{key} (tuned)"), entries))
    return found


def _shown(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = float(value)
    return level_text(value)


def _n(table: Aggregate, view: View) -> list[Cells]:
    rank = 1 if len({row.n for row in table.rows}) > 1 else 4  # the caption says it where all are equal
    return [(Column("n", rank=rank), [Entry(str(row.n)) for row in table.rows])]


def _diverged(table: Aggregate, view: View) -> list[Cells]:
    entries = []
    for row in table.rows:
        rate = row.divergence
        share = f"({text(100 * rate.low, 0)} to {text(100 * rate.high, 0)} %)"
        entries.append(Entry(text(100 * rate.share, 0), share) if rate.n else Entry(NONE))
    return [(Column("diverged (%)"), entries)]


def _collapsed(table: Aggregate, view: View) -> list[Cells]:
    """The rates, and their comparison with the baseline's."""
    rates, p = [], []
    theirs = table.baseline.collapses
    for row in table.rows:
        own = row.collapses
        if own is None or not own.n:
            rates.append(Entry(NONE))
        else:
            rate = own.rate
            interval = f"({text(100 * rate.low, 0)} to {text(100 * rate.high, 0)} %)"
            rates.append(Entry(text(100 * rate.share, 0), interval))
        if row is table.baseline or own is None or theirs is None:
            p.append(math.nan)
        else:
            p.append(fisher(own.count, own.n, theirs.count, theirs.n))
    compared = zip(table.rows, holm(p), strict=True)
    adjusted = [Entry("" if row is table.baseline else p_value(each)) for row, each in compared]
    return [(Column("collapsed (%)"), rates), (Column("p (collapsed)"), adjusted)]


def _at_chance(table: Aggregate, view: View) -> list[Cells]:
    main = table.metrics[0]
    entries = []
    for row in table.rows:
        cell = row.cells[main]
        mean = cell.at_chance if row.diverged else cell.mean
        entries.append(Entry(NONE) if mean is None else number(Cell({}, mean), main, view.spread, row))
    return [(Column(f"{heading(main)}, diverged at chance"), entries)]


COLUMNS: Mapping[str, Build] = {
    "difference": _difference,
    "p": _of_difference("p (Holm)", lambda table, cell: p_value(cell.p_holm), rank=2),
    "sign_flip": _of_difference("p (sign flip)", _sign_flip, rank=4),
    "d_z": _of_difference("effect size d_z", _d_z),
    "improvement": _improvement,
    "practical": _practical,
    "detectable": _detectable_column,
    "tuned": _tuned,
    "n": _n,
    "diverged": _diverged,
    "collapsed": _collapsed,
    "at_chance": _at_chance,
}
