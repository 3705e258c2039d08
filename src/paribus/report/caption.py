"""What a reader who sees only the table must know."""

from __future__ import annotations

from paribus.report.aggregate import Aggregate
from paribus.report.numbers import ranges, title

_WEIGHTS = {
    "last": "of the weights after the last update",
    "best": "of the weights that were best on validation",
    "mixed": "of different checkpoints",
    "varies": "of the checkpoint that the arm names",
}
_FIRST = ("data", "augmentation", "model", "norm", "loss", "optimizer", "scheduler", "batch_size")


def caption(table: Aggregate, spread: str = "sd") -> str:
    """What was compared, on what, how often, what the signs mean, and what bold means."""
    main, facts = table.metrics[0], table.facts
    percent = f"{100 * table.level:g} %"
    compared = [row for row in table.rows if row.cells[main].difference is not None]
    parts = [f"Ablation {table.name}: {_factors(table)}, everything else being equal{_held(table)}."]
    what = "standard deviation" if spread == "sd" else f"half the width of the {percent} t interval"
    if any(row.n > 1 for row in table.rows):
        parts.append(f"Mean ± {what} over {_runs(table)}.")
    else:
        parts.append(f"Single runs, {_runs(table)}: they say nothing about the spread between seeds.")
    if any(metric.startswith("test/") for metric in table.metrics):
        parts.append(f"Test metrics are {_WEIGHTS[str(facts.get('evaluated', 'last'))]}, on the test split.")
    if compared:
        comparisons = f"{len(compared)} comparison{'s' if len(compared) > 1 else ''}"
        parts.append(
            f"Difference: {title(main)}, mean over shared seeds of arm minus {table.baseline.arm}, with its "
            f"{percent} t interval; p: paired t test, after Holm for {comparisons}."
        )
    if any(cell.best for row in table.rows for cell in row.cells.values()):
        parts.append(
            "Bold: arms that may be the best (no other is better in a paired one-sided test at "
            f"{100 - 100 * table.level:g} %, after Bonferroni, with a variance pooled over arms)."
        )
    mixed = [key.replace("_", " ") for key, value in facts.items() if value == "mixed"]
    if mixed:
        parts.append(f"CAUTION: the runs differ in {' and '.join(mixed)}.")
    return " ".join(parts)


def footnotes(table: Aggregate) -> list[str]:
    """The runs that are not in the means, by arm."""
    notes = []
    for row in table.rows:
        counts = {
            "diverged": row.diverged,
            "failed": row.failed,
            "not finished yet": row.running,
            "not trained yet": row.missing,
        }
        said = [f"{count} {what}" for what, count in counts.items() if count]
        total = row.n + sum(counts.values())
        if said:
            notes.append(f"Not in the means of {row.arm}: {', '.join(said)}, of {total} run{'s' if total > 1 else ''}.")
        for metric, cell in row.cells.items():
            if lost := row.n - len(cell.values):
                notes.append(f"Without a finite {title(metric)}: {lost} of the {row.n} finished runs of {row.arm}.")
    return notes


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
    return f"{n} run{'s' if counts[-1] > 1 else ''} an arm" + (
        f" (seed{'s' if len(seeds) > 1 else ''} {ranges(seeds)})" if seeds else ""
    )
