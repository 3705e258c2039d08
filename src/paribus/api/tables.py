"""Plans, records, tables and checks from Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from paribus.api.words import own_hydra, words
from paribus.config.outputs import store_of
from paribus.report import planned
from paribus.report.tables import asked as tables
from paribus.report.tables.table import lines

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Planned(planned.Planned):
    """The plans of a command line, and how much of them is done. It prints as the command does."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each run: plan, arm, purpose (tune or report), seed, id, status, and the command line."""
        import pandas as pd

        rows = [
            (plan.name, cell.arm, cell.purpose, cell.seed, cell.id, self.states[cell.id], " ".join(cell.overrides))
            for plan in self.plans
            for cell in plan.cells
        ]
        return pd.DataFrame(rows, columns=["plan", "arm", "purpose", "seed", "id", "status", "overrides"])


@dataclass(frozen=True, repr=False)
class Tables(tables.Tables):
    """A table for each plan, and the verdicts on their hypotheses. A notebook shows them as Markdown."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each table, arm and metric, in full precision and as recorded: see `report.table.lines`."""
        import pandas as pd

        return pd.DataFrame(lines(self.aggregates(), self.times()))


def plan(*overrides: str, measure: bool = False, **settings: Any) -> Planned:
    """What `train(..., multirun=True)` would train: arms, runs, which of them are done, and how long it takes.

    measure: time a few updates where no record tells how long a run takes.

    Raises UserError for a command line or an ablation file that can't mean anything.
    """
    with own_hydra():
        return Planned(**vars(planned.planned(words(overrides, settings), measure)))


def records(
    *filters: str,
    ablation: str | None = None,
    newer: str | None = None,
    older: str | None = None,
    outputs: str | Path | None = None,
    **wanted: Any,
) -> pd.DataFrame:
    """A row for each run, the newest first: id, status, seed, the choices in which the runs differ, metrics, times.

    filters: as for `paribus runs`, "norm=batch,group", "arm=b*". wanted: the same as keywords, norm=["batch", "group"].
    ablation: only the runs of this ablation file, those of its tuning included.
    newer, older: bounds of the age, such as "12h" and "2d". outputs: the folder of records.

    Raises UserError for a key that no run has.
    """
    from paribus.api.frame import frame
    from paribus.base.durations import in_seconds
    from paribus.store import query

    given = [*filters, *(f"{key}={_pattern(value)}" for key, value in wanted.items())]
    youngest, oldest = in_seconds(older) if older else 0.0, in_seconds(newer) if newer else math.inf
    store = store_of(None if outputs is None else str(outputs))
    with own_hydra():
        found = query.runs(store, given, newer=oldest, older=youngest)
        if ablation is not None:
            from paribus.config.composer import Composer
            from paribus.report.collect import chosen

            its = {each.id for each in chosen(store, words((), {"ablation": ablation}), Composer())}
            found = [run for run in found if run.record.id in its]
    return frame(found)


def _pattern(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(_pattern, value))
    return (
        {True: "true", False: "false", None: "null"}[value]
        if value is None or value is True or value is False
        else str(value)
    )


def table(
    *overrides: str,
    metrics: Sequence[str] | str = (),
    columns: Sequence[str] = (),
    by: Sequence[str] | str = (),
    grid: tuple[str, str] | Literal["none"] | None = None,
    spread: Literal["sd", "interval"] = "sd",
    baseline: str | None = None,
    sort: bool = False,
    mix: Sequence[str] | str = (),
    **settings: Any,
) -> Tables:
    """The table of an ablation (ablation="norms") with the verdicts on its hypotheses, or of the newest sweep.

    metrics: arms are compared by the first. columns: metrics, and difference, p, tuned, n, ... by: choices that make
    the rows, where no ablation is named. grid: two factors, rows and columns; "none" for a row for each arm.
    spread: what stands behind ±. baseline: the arm that others are compared with. sort: the best arm first.
    mix: something that the runs may differ in: budget, data, world_size, ...

    Raises UserError where the records can't be compared, and for what is named wrongly.
    """
    with own_hydra():
        found = tables.tables(
            words(overrides, settings),
            _several(metrics),
            _several(by),
            columns=tuple(columns),
            grid=() if grid == "none" else grid,
            spread=spread,
            baseline=baseline,
            sort=sort,
            mix=_several(mix),
        )
    return Tables(**vars(found))


def _several(names: Sequence[str] | str) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def check(id: str, *, outputs: str | Path | None = None) -> pd.DataFrame:
    """Make a check of `paribus claims`, such as "1.1b": a row for each quantity, as measured and as expected.

    `expected` is text: a number with its tolerance (1 ± 0.05), or a bound (≤ 0.1).

    outputs: the folder of records, which some checks read.

    Raises UserError for an id that no check has.
    """
    import pandas as pd

    from paribus.base.errors import UserError
    from paribus.base.text import near
    from paribus.notes.checks.catalogue import CHECKS
    from paribus.notes.scoreboard import wanted

    known = {each.id: each for each in CHECKS}
    if id not in known:
        raise UserError(f"no check has the id {id}.{near(id, list(known))} There are {', '.join(known)}")
    found = known[id].load()(store_of(None if outputs is None else str(outputs)))
    frame = pd.DataFrame(found).assign(expected=[wanted(each) for each in found])
    return frame.drop(columns=["tolerance", "bound"])
