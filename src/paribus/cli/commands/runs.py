"""List runs: all, or those with e.g. norm=batch,group status=done arm='b*' optimizer.lr=0.1."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from paribus.base.commands import Command
from paribus.base.durations import duration, in_seconds
from paribus.base.errors import UserError
from paribus.base.memory import uncollected
from paribus.base.options import JSON, show_json
from paribus.base.terminal import show

SECTION = "Look"

if TYPE_CHECKING:
    from paribus.store import query
    from paribus.store.store import Store

COLUMNS = ("id", "status", "age", "ablation", "arm", "seed")
MOST_METRICS = 3  # columns, of runs of several kinds of task


@click.command(cls=Command)
@click.argument("filters", nargs=-1)
@click.option("--newer", metavar="SPAN", help="Show runs created within 12h, 2d, ...")
@click.option("--older", metavar="SPAN", help="Show runs created longer ago than 12h, 2d, ...")
@click.option(
    "--sort", "by", metavar="KEY", help="Sort by age, test/acc, optimizer.lr, ...; -KEY puts the largest first."
)
@click.option("-n", "--limit", type=click.IntRange(1, 10**9), help="Show only this many runs.")
@JSON
@click.option(
    "--exclude",
    metavar="RUN",
    help="Mark a run as invalid, with --why. Tables leave it out and say so; in tuning it counts as diverged.",
)
@click.option("--why", metavar="TEXT", help="The reason for --exclude.")
@click.option("--include", metavar="RUN", help="Take the mark of --exclude back.")
@uncollected()
def command(
    filters: tuple[str, ...],
    newer: str | None,
    older: str | None,
    by: str | None,
    limit: int | None,
    as_json: bool,
    exclude: str | None,
    why: str | None,
    include: str | None,
) -> None:
    from paribus.config.outputs import outputs_folder
    from paribus.report.collect import is_setting
    from paribus.store import query
    from paribus.store.declared import main_metric
    from paribus.store.store import Store

    store = Store(outputs_folder([item for item in filters if is_setting(item)]))
    wanted = [item for item in filters if not is_setting(item)]
    if exclude or include or why is not None:
        if wanted or newer or older or by or limit or as_json:
            raise UserError("--exclude and --include mark a run and list none. Leave filters and other options out")
        return show(mark(store, exclude, why, include))
    youngest, oldest = in_seconds(older) if older else 0.0, in_seconds(newer) if newer else math.inf
    if youngest >= oldest:
        raise UserError(f"no run is older than {older} and newer than {newer}. Drop one of --older, --newer")
    found = query.runs(store, wanted, newer=oldest, older=youngest)
    key = (by or "age").removeprefix("-")
    if by:
        found = query.sort(found, key, descending=by.startswith("-"))
    shown = found[:limit]
    if as_json:
        # A record holds nan and inf as strings, as its file does.
        return show_json([{**json.loads(run.record.to_json()), "state": run.state} for run in shown])
    mains = dict.fromkeys([main_metric(run.record) for run in shown] or ["test/acc"])
    columns = list(
        dict.fromkeys([*COLUMNS, *list(mains)[:MOST_METRICS], *(item.partition("=")[0] for item in wanted), key])
    )
    rows = [columns] + [[cell(run, column) for column in columns] for run in shown]
    widths = [max(len(row[number]) for row in rows) for number in range(len(columns))]
    for row in rows:
        show("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    states = [run.state for run in found]
    counted = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    show(
        f"{len(found)} runs"
        + (f": {counted}" if counted else "")
        + (f"; {limit} shown" if len(shown) < len(found) else "")
    )


def mark(store: Store, exclude: str | None, why: str | None, include: str | None) -> str:
    """Mark a run as invalid, or take the mark back. Raises UserError for a run that has not ended, or no reason."""
    from paribus.ablation.parser import is_words

    if (exclude is None) == (include is None):
        raise UserError("--why is the reason of --exclude RUN, and --include RUN takes it back. Give one of the two")
    if exclude is not None and not is_words(why):
        raise UserError(f"a run is excluded for a reason in words, got {why!r}. Write: --exclude {exclude} --why TEXT")
    if include is not None and why is not None:
        raise UserError("--why is the reason of --exclude, and --include needs none. Leave --why out")
    record = store.find(exclude or include or "")
    if not record.has_result:
        raise UserError(f"only a run that has ended is part of a table, and {record.id} is {record.status}")
    record.excluded = why
    store.write(record)
    return f"{record.id} is " + ("left out of all tables" if why else "part of the tables again")


def cell(run: query.Run, column: str) -> str:
    value: Any = run.value(column)
    if value is None:
        return ""
    if column == "age":
        return duration(value) if math.isfinite(value) else ""
    if isinstance(value, float) and run.record.known.of(column).is_percent:
        return f"{value * 100:.2f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
