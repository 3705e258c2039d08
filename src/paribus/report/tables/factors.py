"""The sheet of a grid's factors: which of them matters, and whether they interact."""

from __future__ import annotations

import math

from paribus.ablation.file import Ablation
from paribus.evidence.aggregate import Aggregate
from paribus.evidence.factorial import Factorial
from paribus.report.numbers import NONE, difference_unit, p_value, scale, short, text, title
from paribus.report.tables.columns import unit, with_interval
from paribus.report.tables.sheet import Column, Entry, Sheet, label_of
from paribus.stats.factors import Contrast, Effect


def factors_sheet(grid: Factorial, table: Aggregate) -> Sheet:
    """A row for each main effect and interaction. table: the aggregate that the grid was made from."""
    rows = [
        [
            Entry(term_name(grid, effect)),
            _share(effect),
            Entry(p_value(effect.p)),
            Entry(NONE) if contrast is None else _difference(grid, contrast),
            Entry("" if contrast is None else between(grid, effect, contrast)),
        ]
        for effect, contrast in zip(grid.found.effects, grid.contrasts, strict=True)
    ]
    columns = [
        Column("term", words=True, rank=0),
        Column("share of the spread (%)"),
        Column("p (Holm)"),
        Column(f"largest difference{unit(grid.metric)}"),
        Column("between", words=True),
    ]
    heading = f"Which factor matters: {grid.name}"
    return Sheet(heading, label_of(grid.name, "factors"), columns, rows, caption(grid, table), short=f"{heading}.")


def term_name(grid: Factorial, effect: Effect) -> str:
    """norm × batch_size."""
    names = list(grid.factors)
    if len(names) > 3 and len(effect.term) == len(names):
        return "interactions of three or more"
    return " × ".join(names[factor] for factor in effect.term)


def between(grid: Factorial, effect: Effect, contrast: Contrast) -> str:
    """batch − none; (batch − none at b64) − (batch − none at b4); of three factors the product of such differences."""
    levels = list(grid.factors.values())
    pairs = [
        (levels[factor][added], levels[factor][taken])
        for factor, (added, taken) in zip(effect.term, contrast.levels, strict=True)
    ]
    differences = [" − ".join(pair) for pair in pairs]
    if len(pairs) == 2:
        return f"({differences[0]} at {pairs[1][0]}) − ({differences[0]} at {pairs[1][1]})"
    return differences[0] if len(pairs) == 1 else " × ".join(f"({each})" for each in differences)


def caption(grid: Factorial, table: Aggregate) -> str:
    """What was decomposed, over which seeds, what each column means, and what the numbers do not cover."""
    found, percent = grid.found, f"{100 * grid.level:g} %"
    looked = " of the first look" if table.looks is not None else ""
    seeds = f"{found.n} seeds{looked}" if found.n == grid.planned else f"{found.n} of {grid.planned} seeds{looked}"
    main = title(grid.metric)
    parts = [
        f"Which factor matters: the spread between the mean {main} of {len(grid.places)} arms, by {_names(grid)} and "
        f"their interactions, over the {seeds} that have a finished run at every arm.",
        "Share: of the variance between the true means of the arms, of which noise is no part; all "
        f"{percent} intervals hold together.",
        "p: F test of a term against its interaction with the seeds (Greenhouse-Geisser, for arms that are unequally "
        f"noisy), adjusted by Holm for {len(found.effects)} terms.",
        "Largest difference: between two levels, averaged over the other factors, and of an interaction the largest "
        "difference of such differences; its interval is adjusted by Bonferroni over all pairs of levels.",
    ]
    if math.isfinite(found.common):
        parts.append(
            f"Runs of one arm differ by {short(float(f'{found.sd * scale(grid.metric):.2g}'))}"
            f"{difference_unit(grid.metric)} (standard deviation over seeds); {text(100 * found.common, 0)} % of this "
            "variance is common to all arms of a seed."
        )
    if not grid.full:
        parts.append(
            "The grid lacks arms, so each term is adjusted for the others (sums of squares of type II), and shares "
            "need not add up to 100 %."
        )
    return " ".join([*parts, *_tuned(table), *_collapsed(grid)])


def _names(grid: Factorial) -> str:
    *names, last = grid.factors
    return f"{', '.join(names)} and {last}"


def _share(effect: Effect) -> Entry:
    if math.isnan(effect.share):
        return Entry(NONE)
    return Entry(text(100 * effect.share, 0), f"({text(100 * effect.low, 0)} to {text(100 * effect.high, 0)})")


def _difference(grid: Factorial, contrast: Contrast) -> Entry:
    d = contrast.difference
    return with_interval(d.mean, d.low, d.high, grid.metric)


def _tuned(table: Aggregate) -> list[str]:
    plan = table.plan
    ablation: Ablation | None = plan.ablation if plan is not None else None
    if plan is None or ablation is None or not plan.tuned or ablation.seeds.tuning == "nested":
        return []
    if ablation.seeds.tuning == "once" or table.lacking:
        return ["Tuned arms are taken at the winner of the tuning; no p or interval here covers its luck."]
    if not any(table.kept.values()):
        return []
    return [
        "The mean of a tuned arm may be wrong by as much as the means at its other kept points are away; this is part "
        "of p and of the intervals."
    ]


def _collapsed(grid: Factorial) -> list[str]:
    if not grid.collapsed:
        return []
    named = "; ".join(grid.collapsed) if len(grid.collapsed) <= 3 else f"{len(grid.collapsed)} arms"
    return [f"CAUTION: runs of {named} collapsed, and tests of means do not hold their level there."]
