"""The content of a dashboard of one ablation (in one regime) or of one sweep: its runs, their groups and colours, and
what is there to be drawn.

Curves have two points or more, and keys that something is drawn over have two values or more.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from paribus.base.metrics import Key, kind
from paribus.config.composed import Composed
from paribus.evidence.aggregate import Aggregate
from paribus.evidence.arms import is_seed
from paribus.extras.wandb.check import final
from paribus.extras.wandb.limits import MAX_JOB_TYPE, shortened
from paribus.report.curves import curve_keys
from paribus.report.figures.style import look
from paribus.report.study import Study
from paribus.report.tidy import comparisons
from paribus.store.record import Record

JOB = "JobType"  # in place of a config key
DECADE = 10.0  # what spans as much stands on a logarithmic axis


@dataclass(frozen=True)
class Groups:
    """What tells the arms apart in W&B: config keys or JOB, none where nothing does, and the values of each arm, as
    W&B's pages write them."""

    keys: Sequence[str] = ()
    values: Mapping[str, tuple[str | None, ...]] | None = None

    def __bool__(self) -> bool:
        return bool(self.keys)

    def of(self, arm: str) -> tuple[str, ...] | None:
        """The group of an arm; None where it lacks a key, so that its group has no name."""
        own = (self.values or {}).get(arm, (None,))
        return None if None in own else tuple(map(str, own))


@dataclass(frozen=True)
class Board:
    """A study with its table, and the table and verdicts as Markdown."""

    study: Study
    table: Aggregate
    text: str

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def metric(self) -> Key:
        """What arms are compared by."""
        return self.table.metrics[0]

    @functools.cached_property
    def arms(self) -> dict[str, list[str]]:
        """arm -> ids of the runs that the table reports."""
        return {row.arm: [run.id for run in row.runs] for row in self.table.rows if row.runs}

    @functools.cached_property
    def reported(self) -> dict[str, Record]:
        return {run.id: run for row in self.table.rows for run in row.runs}

    @functools.cached_property
    def runs(self) -> dict[str, Record]:
        """Those of the tuning as well, and those at points that are too near to the best to tell apart."""
        tuning = {run.id: run for runs in self.study.tuning.values() for run in runs if run is not None}
        return {**self.reported, **tuning}

    @property
    def tuned(self) -> bool:
        return len(self.runs) > len(self.reported)

    @functools.cached_property
    def colours(self) -> dict[str, str]:
        """arm -> its colour in our figures."""
        return {row.arm: str(look(number)["color"]) for number, row in enumerate(self.table.rows)}

    @functools.cached_property
    def colours_of_runs(self) -> dict[str, str]:
        """id -> the colour of its arm; of the first one where several arms share the run."""
        found: dict[str, str] = {}
        tuning = {arm: [run.id for run in runs if run is not None] for arm, runs in self.study.tuning.items()}
        for arm, ids in (*self.arms.items(), *tuning.items()):
            if arm in self.colours:  # the steps of a path are tuned together
                found = {**dict.fromkeys(ids, self.colours[arm]), **found}
        return found

    # ------------------------------------------------------------------------------- what can be drawn

    @functools.cached_property
    def score(self) -> Key:
        """What is selected on, or the validation's part of what arms are compared by."""
        if self.study.ablation is not None:
            return self.study.ablation.select_on
        return self.study.known.key(f"val/{kind(self.metric)}")

    @functools.cached_property
    def curves(self) -> list[Key]:
        """The metrics that some run has a curve of."""
        histories = [self.study.histories.get(id, {}) for id in self.reported]
        logged = {key for each in histories for key, column in each.items() if sum(map(math.isfinite, column)) > 1}
        known = self.study.known
        return [known.key(key) for key in curve_keys(known, logged, (self.metric, self.score))]

    @functools.cached_property
    def results(self) -> list[Key]:
        """What the runs came to, where it differs: the score that decides, and what arms are compared by."""
        both = dict.fromkeys([self.score, self.metric])
        return [metric for metric in both if several(final(run).get(metric) for run in self.runs.values())]

    @functools.cached_property
    def columns(self) -> dict[str, list[Any]]:
        """What is tuned and what varies: the key -> its values, where they differ. Lists can't be drawn."""
        ablation, plan = self.study.ablation, self.study.plan
        tuned = [*(ablation.tune if ablation else ()), *(key for each in plan.tuned.values() for key in each.point)]
        keys = dict.fromkeys([*tuned, *self.table.varied])
        values = {key: [self.value(run, key) for run in self.runs.values()] for key in keys if not is_seed(key)}
        plain = {key: of for key, of in values.items() if not any(isinstance(value, dict | list) for value in of)}
        return {key: of for key, of in plain.items() if several(of)}

    @property
    def numbers(self) -> dict[str, list[Any]]:
        """Those of the columns that are numbers."""
        return {key: of for key, of in self.columns.items() if several(filter(is_number, of))}

    @property
    def differences(self) -> int:
        """How many arms the forest compares with the baseline."""
        return len(comparisons(self.study))

    # ------------------------------------------------------------------------------- where W&B has it

    @functools.cached_property
    def composed(self) -> dict[str, Composed]:
        return {cell.id: cell.composed for cell in self.study.plan.cells}

    def value(self, run: Record, key: str) -> Any:
        """What W&B has of a run at `config_key(key)`. A run that others share says nothing of what it left as it was;
        its configuration does."""
        found = self.composed[run.id].at(key) if "." in key and run.id in self.composed else None
        return run.choices.get(key) if found is None else found

    @functools.cached_property
    def groups(self) -> Groups:
        """By the names of the arms; a run that several ablations share bears the name that one of them gave it, and
        then by as few keys as tell the arms apart."""
        rows = {row.arm: row.runs for row in self.table.rows if row.runs}
        names = constant(rows, lambda run: job_type(run.arm))
        named = Groups((JOB,), {arm: (name,) for arm, name in names.items()}) if names is not None else Groups()
        if names == {arm: job_type(arm) for arm in rows}:
            return named
        known = {}
        for key in self.columns:
            if (found := constant(rows, functools.partial(self.value, key=key))) is not None:
                known[key] = {arm: written(value) for arm, value in found.items()}
        chosen: list[str] = []
        values: dict[str, tuple[str | None, ...]] = dict.fromkeys(rows, ())
        while (apart := len({*values.values()})) < len(rows):
            more = {key: {arm: (*values[arm], of[arm]) for arm in rows} for key, of in known.items()}
            best = max(more, key=lambda key: len({*more[key].values()}), default=None)
            if best is None or len({*more[best].values()}) == apart:
                break
            chosen, values = [*chosen, best], more[best]
        if chosen and apart == len(rows):
            return Groups([config_key(key) for key in chosen], values)
        return named if len({*(names or {}).values()}) == len(rows) else Groups()


def job_type(arm: str | None) -> str | None:
    """The name that an arm has in W&B."""
    return shortened(arm, MAX_JOB_TYPE) if arm else None


def config_key(key: str) -> str:
    """Where W&B has a choice: a dotted key is one of the config. Options of groups are logged beside it."""
    return key if "." in key else f"choices.{key}"


def constant(rows: Mapping[str, Sequence[Record]], value: Callable[[Record], Any]) -> dict[str, Any] | None:
    """arm -> the value that all its runs have; None where some have several."""
    found = {}
    for arm, runs in rows.items():
        own = [value(run) for run in runs]
        if any(each != own[0] for each in own):
            return None
        found[arm] = own[0]
    return found


def several(values: Iterable[Any]) -> bool:
    """Whether they differ; what is not there, or is no number, does not count."""
    present = (value for value in values if value is not None and not (isinstance(value, float) and math.isnan(value)))
    return len({written(value) for value in present}) > 1


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def wide(values: Iterable[Any]) -> bool:
    """Whether numbers belong on a logarithmic axis: all are positive, and they span a decade."""
    numbers = [value for value in values if is_number(value) and math.isfinite(value)]
    return bool(numbers) and min(numbers) > 0 and max(numbers) >= DECADE * min(numbers)


def written(value: Any) -> str | None:
    """A plain value as W&B's pages write it, which are JavaScript; None where there is none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e21):
        return str(int(value))
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    digits, _, power = repr(value).partition("e")
    if not power:
        return digits
    return f"{Decimal(repr(value)):f}" if -7 < int(power) < 0 else f"{digits}e{int(power):+d}"
