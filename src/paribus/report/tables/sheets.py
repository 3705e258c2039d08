"""Sheets of an aggregate: arms by metrics, or one factor by another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from paribus.evidence.aggregate import Aggregate
from paribus.evidence.arms import ReportError
from paribus.evidence.factorial import varying
from paribus.report.numbers import title
from paribus.report.tables.caption import caption, excluded, footnotes, short_caption
from paribus.report.tables.columns import View, columns, default_columns, metric_column
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of

if TYPE_CHECKING:
    from paribus.ablation.cells import Plan
    from paribus.base.metrics import Key


def arms_sheet(table: Aggregate, view: View | None = None) -> Sheet:
    """A row for each arm.

    Raises ReportError for a column that is not known.
    """
    view = view or View()
    shown = columns(table, view)
    notes, marks = footnotes(table)
    arms = [Entry(row.arm or "(no name)", marks=marks.get(row.arm, ())) for row in table.rows]
    head = table.varied[0] if len(table.varied) == 1 else "arm"
    return Sheet(
        table.name,
        label_of(table.name),
        [Column(head, words=True, rank=0), *_ranked((column for column, _ in shown), bool(view.columns))],
        [[arm, *(entries[k] for _, entries in shown)] for k, arm in enumerate(arms)],
        caption(table, view, view.columns or default_columns(table)),
        [*notes, *excluded(table)],
        short=short_caption(table, view),
    )


def _ranked(columns: Iterable[Column], asked: bool) -> Iterator[Column]:
    """The metric that arms are compared by is always shown, and so is what somebody has asked for."""
    return (replace(column, rank=0 if asked or not k else column.rank) for k, column in enumerate(columns))


def grid_factors(plan: Plan) -> tuple[str, str] | None:
    """The two factors of a design grid, (rows, columns); None where there are not exactly two that vary."""
    names = list(varying(plan))
    return (names[0], names[1]) if len(names) == 2 else None


def grid_sheet(table: Aggregate, factors: tuple[str, str], view: View | None = None) -> Sheet:
    """The first metric, with a row for each level of one factor and a column for each level of the other.

    An arm that differs from the baseline after Holm has a mark.

    Raises ReportError unless the two factors tell all arms apart.
    """
    view = view or View()
    levels = table.plan.levels if table.plan is not None else {}
    known = list(dict.fromkeys(name for each in levels.values() for name in each))
    for factor in factors:
        if factor not in known:
            listed = ", ".join(known) or "none: it is no ablation"
            raise ReportError(f"a grid is of two factors of the ablation, got {factor}. There are {listed}")
    places = {tuple(levels[row.arm][factor] for factor in factors): k for k, row in enumerate(table.rows)}
    if len(places) < len(table.rows):
        others = ", ".join(name for name in known if name not in factors)
        raise ReportError(
            f"a grid of {' x '.join(factors)} has one arm at each place, and {others} vary as well. "
            "Leave --grid out for a row for each arm"
        )
    main = table.metrics[0]
    _, cells = metric_column(table, main, view)
    notes, marks = footnotes(table, collapsed=True)
    significant = f"Differs from {table.baseline.arm} (p ≤ {1 - table.level:.2g} after Holm)."
    if any(row.cells[main].p_holm <= 1 - table.level for row in table.rows):
        notes.append(significant)
    shades = _shades(table, main)
    across = list(dict.fromkeys(levels[row.arm][factors[1]] for row in table.rows))
    rows = []
    for level in dict.fromkeys(levels[row.arm][factors[0]] for row in table.rows):
        line = [Entry(level)]
        for other in across:
            if (k := places.get((level, other))) is None:
                line.append(Entry("–"))
                continue
            row, cell = table.rows[k], cells[k]
            own = marks.get(row.arm, ())
            own += (notes.index(significant) + 1,) if row.cells[main].p_holm <= 1 - table.level else ()
            line.append(replace(cell, marks=own, shade=shades.get(k)))
        rows.append(line)
    return Sheet(
        f"{table.name}: {title(main)}",
        label_of(table.name, *factors),
        [Column(f"{factors[0]} ↓ {factors[1]} →", words=True, rank=0), *(Column(level, rank=1) for level in across)],
        rows,
        caption(table, view, ("grid",)),
        [*notes, *excluded(table)],
        short=short_caption(table, view, ("grid",)),
    )


def _shades(table: Aggregate, metric: Key) -> dict[int, float]:
    """How far the mean of each row is from the worst to the best of all; from the lowest where neither is better."""
    means = {k: row.cells[metric].mean.mean for k, row in enumerate(table.rows)}
    known = {k: mean for k, mean in means.items() if math.isfinite(mean)}
    low, high = min(known.values(), default=0.0), max(known.values(), default=0.0)
    if low == high:
        return {}
    falling = metric.metric.higher is False
    return {k: (high - mean if falling else mean - low) / (high - low) for k, mean in known.items()}
