"""Captions: all that a reader who sees only the table must know."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from paribus.ablation.cells import Plan
from paribus.ablation.file import SPLIT, Ablation
from paribus.base.metrics import of_test
from paribus.base.typed import typed
from paribus.evidence.aggregate import Aggregate, Row
from paribus.evidence.arms import level_text, range_text
from paribus.report.numbers import amount, difference_unit, p_value, ranges, scale, title, with_spread
from paribus.report.tables.columns import View, detectable, smallest
from paribus.stats.collapse import not_excluded
from paribus.stats.signflip import DRAWS, LARGEST_EXACT, sign_flip_floor
from paribus.stats.spaces import EDGE, Search
from paribus.store.company import DURATIONS

_WEIGHTS = {
    "last": "of the weights after the last update",
    "best": "of the weights that were best on validation",
    "mixed": "of different checkpoints",
    "varies": "of the checkpoint that each arm chooses",
}
SAMPLER = {"sobol": "Sobol", "random": "random"}
_FIRST = ("data", "augmentation", "model", "norm", "loss", "optimizer", "scheduler", "batch_size")


def caption(table: Aggregate, view: View, shown: Sequence[str]) -> str:
    """What was compared, on what, how often, how tuned, what the signs mean, what bold means, and how sure one may be.

    shown: names of the columns, or "grid".
    """
    main, facts = table.metrics[0], table.facts
    compared = [row for row in table.rows if row.cells[main].difference is not None]
    parts = [f"Ablation {table.name}: {_factors(table)}, everything else being equal{_held(table)}."]
    what = "standard deviation" if view.spread == "sd" else f"half the width of the {_interval(table)}"
    if any(row.n > 1 for row in table.rows):
        parts.append(f"{_cells(table, shown)} ± {what} over {_runs(table)}.")
    else:
        parts.append(f"Single runs, {_runs(table)}, which show nothing about the spread between seeds.")
    if any(of_test(metric) for metric in table.metrics):
        parts.append(f"Test metrics are {_WEIGHTS[str(facts.get('evaluated', 'last'))]}, on the test split.")
    parts += [*_tuning(table), *_sequential(table), *(table.plan.registered if table.plan else ())]
    if compared and "difference" in shown:
        lost = ", diverged runs at chance" if any(row.diverged for row in table.rows) else ""
        parts.append(
            f"Difference: {title(main)} of the arm minus {table.baseline.arm}, mean over shared seeds{lost}, with its "
            f"{'repeated ' if table.looks else ''}t interval, adjusted as p is: all signs that the intervals show are "
            f"right with {100 * table.level:g} % probability."
        )
        parts += _covered(table)
    if compared and ({"p", "grid"} & {*shown}):
        comparisons = f"{table.comparisons} comparison{'s' if table.comparisons > 1 else ''}"
        if table.comparisons > len(compared):
            comparisons += ", those of the hypotheses among them"
        parts.append(f"p: paired t test against {table.baseline.arm}, adjusted by Holm for {comparisons}.")
    if compared and "sign_flip" in shown:
        parts.append(_sign_flip(table, compared))
    if compared and {"difference", "p", "grid"} & {*shown}:
        parts += _power(table, compared)
    if compared and "practical" in shown:
        parts.append(_practical(table))
    if any(cell.best for row in table.rows for cell in row.cells.values()):
        parts.append(
            "Bold: not significantly worse than any other arm (unpooled paired t tests, "
            f"{100 - 100 * table.level:g} %, Bonferroni)."
        )
    parts += _collapsed(table, shown)
    if table.untimed is not None and not {*DURATIONS} & {*table.metrics}:
        parts.append(f"Times are left out: {table.untimed}.")
    mixed = [key.replace("_", " ") for key, value in facts.items() if value == "mixed"]
    if mixed:
        parts.append(f"CAUTION: the runs differ in {' and '.join(mixed)}.")
    return " ".join(parts)


def short_caption(table: Aggregate, view: View, shown: Sequence[str] = ()) -> str:
    """What was compared, by what, and how often: two lines of a column. shown: as for `caption`."""
    asked = table.plan.ablation if table.plan is not None else None
    question = f"Ablation {table.name}"
    if asked is not None and asked.claim:
        question = asked.claim + (f" Regime {asked.regime}" if asked.regime else "")
    end = "" if question.endswith((".", "?", "!")) else "."
    counts = sorted({row.n for row in table.rows})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    what = "standard deviation" if view.spread == "sd" else f"half the {_interval(table)}"
    return f"{question}{end} {_cells(table, shown)} ± {what} over {n} run{'s' if counts[-1] > 1 else ''}."


def facts(table: Aggregate) -> list[str]:
    """What was compared, on what, how often, how tuned, and what is missing: what stands below every figure."""
    asked = table.plan.ablation if table.plan is not None else None
    regime = f", regime {asked.regime}" if asked is not None and asked.regime else ""
    parts = [f"Asked: {asked.claim}"] if asked is not None and asked.claim else []
    main = table.metrics[0]
    compared = [row for row in table.rows if row.cells[main].difference is not None]
    parts += [
        f"Compared, in ablation {table.name.partition(' [')[0]}{regime}: {_factors(table)}, everything else being equal"
        f"{_held(table)}; the first arm is {table.baseline.arm}, {_runs(table)}.",
        *_tuning(table),
    ]
    lost = [
        f"{row.arm} ({gone})" for row in table.rows if (gone := row.diverged + row.failed + row.running + row.missing)
    ]
    if lost:
        shown = f"{', '.join(lost[:6])}{f' and {len(lost) - 6} more arms' if len(lost) > 6 else ''}"
        parts.append(f"Diverged, failed or not finished, and in no mean (runs): {shown}.")
    return [*parts, *_power(table, compared)]


def how_tuned(table: Aggregate) -> str:
    """In a sentence; empty where nothing is known of it."""
    return next(iter(_tuning(table)), "")


def clean_runs(sizes: Sequence[int], level: float = 0.95) -> list[str]:
    """What arms of so many runs without a collapse leave open, in a sentence."""
    if not sizes:
        return []
    shares = [f"{100 * not_excluded(n, level):.0f} % (n = {n})" for n in dict.fromkeys((max(sizes), min(sizes)))]
    return [f"Where no run of an arm collapsed, a collapse rate of up to {' or '.join(shares)} is not excluded."]


def footnotes(table: Aggregate, *, collapsed: bool = False) -> tuple[list[str], dict[str, tuple[int, ...]]]:
    """What is not in the means, and the edges of tuning grids: notes, and for each arm the numbers of its notes.

    collapsed: whether they say which arms had collapses, where no column does.
    """
    notes: list[str] = []
    marks: dict[str, list[int]] = {row.arm: [] for row in table.rows}
    for row in table.rows:
        for note in (*_lost(table, row), *(_fallen(row) if collapsed else ()), *_edges(table, row)):
            if note not in notes:
                notes.append(note)
            marks[row.arm].append(notes.index(note) + 1)
    return notes, {arm: tuple(numbers) for arm, numbers in marks.items() if numbers}


def excluded(table: Aggregate) -> list[str]:
    """Arms that are not trained, and why."""
    if table.plan is None:
        return []
    return [
        *(f"Not compared: {each.name} ({each.reason})." for each in table.plan.excluded),
        *(f"Can't be trained: {each.name} ({each.reason})." for each in table.plan.invalid),
    ]


def _lost(table: Aggregate, row: Row) -> list[str]:
    main = table.metrics[0]
    counts = {
        "diverged": row.diverged,
        "failed": row.failed,
        "not finished yet": row.running,
        "not trained yet": row.missing,
    }
    said = [f"{count} {what}" for what, count in counts.items() if count]
    notes = []
    if said:
        total = row.n + sum(counts.values()) + len(row.excluded)
        notes.append(f"Excluded from the means: {', '.join(said)}, of {total} run{'s' if total > 1 else ''}.")
    if row.diverged:
        rate = row.divergence
        shown = f"Divergence rate {100 * rate.share:.0f} % (95 % Clopper-Pearson {100 * rate.low:.0f} to "
        shown += f"{100 * rate.high:.0f} %)"
        if (mean := row.cells[main].at_chance) is not None:
            value, around = with_spread(mean.mean * scale(main), mean.sd * scale(main))
            around = f" ± {around}" if around else ""
            shown += f"; {title(main)} {value}{around} with diverged runs scored at chance (± standard deviation)"
        notes.append(f"{shown}.")
    for run in row.excluded:
        notes.append(f"Marked as invalid and left out: run {run.id} ({run.excluded}).")
    for metric, cell in row.cells.items():
        there = row.n if metric.startswith(("train/", "val/", "test/")) else 0
        if there and (lost := row.n - len(cell.values)):
            notes.append(f"Without a finite {title(metric)}: {lost} of the {row.n} finished runs.")
    return notes


def _fallen(row: Row) -> list[str]:
    own = row.collapses
    if own is None or not own.count:
        return []
    rate = own.rate
    return [
        f"{own.count} of {own.n} runs collapsed, {100 * rate.share:.0f} % (95 % Clopper-Pearson "
        f"{100 * rate.low:.0f} to {100 * rate.high:.0f} %): they diverged, or scored nearer to chance than to "
        "the median of their arm."
    ]


def _edges(table: Aggregate, row: Row) -> list[str]:
    tuned = table.plan.tuned.get(row.arm) if table.plan is not None else None
    if tuned is None or not tuned.edges:
        return []
    best = f"The best {' and '.join(tuned.edges)} lies"
    if tuned.space:
        return [f"{best} within the outermost {100 * EDGE:g} % of its range; a wider range may have a better value."]
    return [f"{best} at the edge of its grid; a wider grid may have a better value."]


def _cells(table: Aggregate, shown: Sequence[str]) -> str:
    return f"{title(table.metrics[0]).capitalize()}: mean" if "grid" in shown else "Mean"


def _interval(table: Aggregate) -> str:
    return f"{100 * table.level:g} % {'repeated ' if table.looks else ''}t interval"


def _tuning(table: Aggregate) -> list[str]:
    plan = table.plan
    if plan is None or plan.ablation is None:
        return []
    if not plan.tuned:
        return ["No arm was tuned."] if plan.complete and not plan.ablation.seeds.tune else []
    search = plan.ablation.search
    said = _grid(plan) if search is None else " and ".join(_spaces(plan))
    if search is not None:
        seed = f", seed {search.seed}" if search.seed else ""
        said = f"{search.trials} {SAMPLER[search.sampler]} trials{seed} over {said}, the same for arms of equal ranges"
        said += _halved(search)
    seeds, by = plan.ablation.seeds.tune, title(plan.ablation.select_on)
    return [
        f"Tuned for each arm: {said}, by the mean {by} over {len(seeds)} "
        f"seed{'s' if len(seeds) > 1 else ''} ({ranges(list(seeds))}) that are not used for reporting.",
        *_luck(table, plan.ablation),
        *([f"Intervals hold for {_drawn(search)}; another seed of the sampler draws others."] if search else []),
    ]


def _drawn(search: Search) -> str:
    return "the trials that halving left" if search.halving else "these trials"


def _halved(search: Search) -> str:
    """The rungs of successive halving, in words."""
    (first, divisor), *later = search.rungs
    if not later:
        return ""
    steps = ", ".join(
        f"the best {number} with {f'1/{part} of it' if part > 1 else 'all of it'}" for number, part in later
    )
    return f", by successive halving: {first} trials with 1/{divisor} of the budget, {steps}"


def _grid(plan: Plan) -> str:
    grids = [[point for point, _ in each.trials] for each in plan.tuned.values()]
    said = []
    for key in dict.fromkeys(key for each in plan.tuned.values() for key in each.point):
        axes = {tuple(dict.fromkeys(point[key] for point in points if key in point)) for points in grids}
        values = next(iter(axes))
        if len(axes) > 1:
            said.append(f"{key} over {len(values)} values chosen for each arm")
        elif len(values) > 4:
            said.append(f"{key} over {len(values)} values from {level_text(values[0])} to {level_text(values[-1])}")
        else:
            said.append(f"{key} over {', '.join(map(level_text, values))}")
    return f"{' and '.join(said)} ({len(grids[0])} points)"


def _spaces(plan: Plan) -> Iterator[str]:
    """Each key with its range; where ranges differ, with that of each arm, or of so many of them."""
    for key in dict.fromkeys(key for each in plan.tuned.values() for key in each.space):
        own = {arm: each.space[key] for arm, each in plan.tuned.items() if key in each.space}
        different = list(dict.fromkeys(own.values()))
        if len(different) > 3:
            yield f"{key} over ranges chosen for each arm"
            continue
        shown = []
        for one in different:
            arms = [arm for arm, each in own.items() if each == one]
            of = "" if len(arms) == len(plan.tuned) else f" for {_named(arms)}"
            shown.append(f"{range_text(one)}{of}")
        yield f"{key} {' or '.join(shown)}"


def _luck(table: Aggregate, ablation: Ablation) -> list[str]:
    """Whether the luck of tuning is part of the errors, and by which means."""
    seeds = ablation.seeds
    if seeds.tuning == "nested":
        each = len(seeds.tune) // len(seeds.reporting)
        return [f"Each reporting seed has a tuning of its own on {each} of them, so its luck is part of the intervals."]
    if seeds.tuning == "once":
        return ["CAUTION: each arm is reported at the winner of its tuning alone; its luck is in no interval."]
    if not any(table.kept.values()):
        return [f"No other point of a {'grid' if ablation.search is None else 'search'} is near its best."]
    if table.lacking:
        return [
            f"CAUTION: the luck of tuning is in no interval, since {sum(table.lacking.values())} reporting runs are "
            f"missing at points that tuning can't tell from the best ({_named(table.lacking)}). To train them: "
            f"paribus train -m {typed('ablation', ablation.name)}."
        ]
    return [
        "Points that tuning can't tell from the best are kept, in brackets, and reported as well: each seed is scored "
        "at the kept point that the other seeds choose, and an arm is better only where it beats its rival at each "
        "point that the rival keeps. So the luck of tuning is part of the errors."
    ]


def _named(arms: Collection[str]) -> str:
    return ", ".join(arms) if len(arms) <= 3 else f"{len(arms)} arms"


def _covered(table: Aggregate) -> list[str]:
    """What the intervals are about."""
    ablation = table.plan.ablation if table.plan is not None else None
    if ablation is None:
        return []
    if SPLIT in ablation.seeds.vary:
        return [
            "Each seed draws its training, validation and test samples anew from all, and the bounds of differences "
            "cover this (Nadeau & Bengio 2003)."
        ]
    return ["All runs share one split of the data: no interval covers the choice of training and test samples."]


def _sequential(table: Aggregate) -> list[str]:
    if table.looks is None:
        return []
    looks = ", ".join(map(str, table.looks.sizes))
    return [
        f"Verdicts were tested after {looks} seeds, and only arms with an open verdict got more seeds; p values and "
        "intervals are corrected for the repeated tests (group-sequential, error spent linearly in the seeds)."
    ]


def _sign_flip(table: Aggregate, compared: Sequence[Row]) -> str:
    pairs = max(row.cells[table.metrics[0]].difference.n for row in compared)  # type: ignore[union-attr]
    how = "exact test" if pairs <= LARGEST_EXACT else f"test with {DRAWS:,} random patterns"
    said = f"Sign flip: {how} of the same differences, not adjusted"
    floor = sign_flip_floor(pairs)
    if table.looks is not None:
        stages = zip(table.looks.sizes, table.looks.shares, strict=True)
        floor = min((sign_flip_floor(n) / share for n, share in stages if n <= pairs), default=1.0)
    if floor > 1 - table.level:
        return f"{said}; with {pairs} pairs its smallest possible value is {floor:.4g}."
    return f"{said} (smallest possible value {p_value(floor)})."


def _practical(table: Aggregate) -> str:
    d, main = smallest(table), table.metrics[0]
    if d is None:
        return f"The smallest effect of interest is not known of {title(main)}."
    least = ", of tuned arms the least over the points that the rival keeps" if any(table.kept.values()) else ""
    return (
        f"P: probabilities that the arm is truly better than {table.baseline.arm} by more than d = {amount(main, d)}, "
        f"within ±d, or worse by more, by the Bayesian t test (Benavoli et al. 2017), not adjusted{least}."
    )


def _collapsed(table: Aggregate, shown: Sequence[str]) -> list[str]:
    found = [row.collapses for row in table.rows if row.collapses is not None and row.collapses.n]
    said = []
    if "collapsed" in shown and found:
        said.append(
            f"Collapsed: runs that diverged, or scored nearer to chance than to the median of their arm"
            f"{', tuning runs at the reported point included' if table.plan and table.plan.tuned else ''} (95 % "
            f"Clopper-Pearson; p: Fisher's exact test against {table.baseline.arm}, adjusted by Holm)."
        )
    if any(each.count for each in found):
        said.append("Intervals of arms with a collapse, and their p, count one more of that depth.")
    said += clean_runs([each.n for each in found if not each.count], table.level)
    return said


def _power(table: Aggregate, compared: Sequence[Row]) -> list[str]:
    main = table.metrics[0]
    cells = [(d.widest, row.cells[main]) for row in compared if (d := row.cells[main].difference) and d.widest > 0]
    if not cells or table.looks is not None:
        return []
    _, typical = sorted(cells, key=lambda each: each[0])[len(cells) // 2]
    least = detectable(table, typical)
    if math.isnan(least):
        return []
    unit = difference_unit(main).strip() or f"in {title(main)}"
    size = least * scale(main)
    shown = f"{size:.0f}" if 100 <= size < 1e6 else f"{size:.2g}"
    return [f"A true difference of {shown} {unit} would be detected with 80 % power (typical arm)."]


def _factors(table: Aggregate) -> str:
    if not table.varied:
        return f"{len(table.rows)} arm{'s' if len(table.rows) > 1 else ''}"
    return f"{' and '.join(table.varied)} var{'ies' if len(table.varied) == 1 else 'y'}"


def _held(table: Aggregate) -> str:
    facts, held = table.facts, table.held
    order = {key: rank for rank, key in enumerate(_FIRST)}
    # Said in other words below.
    keys = [key for key in held if key != "trainer" and not key.startswith("budget.")]
    said = [f"{key} {held[key]}" for key in sorted(keys, key=lambda key: order.get(key, len(order)))]
    if (budget := facts.get("budget")) not in (None, "mixed", "varies"):
        said.append(str(budget).removesuffix("s") if str(budget).startswith("1 ") else str(budget))
    if (world := facts.get("world_size")) not in (None, 1, "mixed", "varies"):
        said.append(f"{world} processes")
    return f" ({', '.join(said)})" if said else ""


def _runs(table: Aggregate) -> str:
    counts = sorted({row.n for row in table.rows})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    seeds = table.seeds
    return f"{n} run{'s' if counts[-1] > 1 else ''} per arm" + (
        f" (seed{'s' if len(seeds) > 1 else ''} {ranges(seeds)})" if seeds else ""
    )
