"""The source of a table as plain data: it travels in a comment of the document, and makes the table again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from paribus.ablation.cells import Cell, Plan, Read, Tuned
from paribus.ablation.designs import Excluded
from paribus.ablation.file import Ablation, Hypothesis, Seeds
from paribus.ablation.planner import winner
from paribus.base.metrics import no_direction
from paribus.base.redaction import redacted
from paribus.base.version import __version__
from paribus.evidence.aggregate import Aggregate, aggregate_plan
from paribus.evidence.arms import Arms, ReportError
from paribus.evidence.budgets import tuning_budgets
from paribus.evidence.data_sets import Across, across
from paribus.evidence.factorial import Factorial, factorial
from paribus.evidence.targets import Histories, times_to_targets
from paribus.report.tables.budgets import budgets_sheet
from paribus.report.tables.columns import View
from paribus.report.tables.factors import factors_sheet
from paribus.report.tables.ranks import ranks_sheet
from paribus.report.tables.sheet import Sheet
from paribus.report.tables.sheets import arms_sheet, grid_factors, grid_sheet
from paribus.report.tables.targets import targets_sheet
from paribus.report.verdicts import Claim, claims, verdict_sheet
from paribus.stats.spaces import Range, Search
from paribus.store.declared import agreed, unlike
from paribus.store.scores import tuning_score

KINDS = ("arms", "grid", "factors", "targets", "budgets", "ranks", "verdicts")
_NONE = "-"  # in place of an id: a run that waits for tuning


@dataclass(frozen=True)
class Options:
    """What the user asked for, beside the runs. metrics: of arms tables, the first is compared. grid: two factors,
    rows and columns; () for a row for each arm; None for a grid where the design is one of two factors."""

    metrics: tuple[str, ...]
    columns: tuple[str, ...] = ()
    spread: str = "sd"
    mix: tuple[str, ...] = ()
    baseline: str | None = None
    sort: bool = False
    level: float = 0.95
    grid: tuple[str, ...] | None = None


def sheets(plans: Sequence[Plan], read: Read, options: Options, histories: Histories | None = None) -> list[Sheet]:
    """Everything that is printed of these plans: a table for each, the times to its targets, and the verdicts on the
    hypotheses of all.

    histories: of runs by their ids; without them nothing is said of times to targets.

    Raises ReportError where runs differ in what a table must not mix, and for what the options name wrongly.
    """
    packed = [pack(plan, read) for plan in plans]
    again = [unpack(each, read) for each in packed]  # the plans as whoever makes the tables again has them
    found, findings, tables = [], [], []
    for plan, own in zip(again, packed, strict=True):
        chosen = options.grid
        if chosen is None and not options.columns:
            chosen = grid_factors(plan) or ()
        source = _source("grid" if chosen else "arms", [own], options, chosen or ())
        table = _aggregate(source, plan, read)
        found.append(_of_arms(source, table))
        grid = factorial(table, read)
        if isinstance(grid, Factorial):
            found.append(_with(factors_sheet(grid, table), _source("factors", [own], options, ())))
        if plan.ablation is not None and plan.ablation.targets:
            found += _of_targets(_source("targets", [own], options, ()), plan, read, histories)
        found += _of_budgets(_source("budgets", [own], options, ()), plan, read)
        findings.append(table.findings)
        tables.append(table)
    if isinstance(ranks := across(tables), Across):
        found.append(_with(ranks_sheet(ranks, options.level), _source("ranks", packed, options, ())))
    if any(plan.ablation is not None and plan.ablation.hypotheses for plan in plans):
        source = _source("verdicts", packed, options, ())
        found.append(_of_claims(source, claims(again, read, options.level, findings)))
    return found


def plan_of(name: str, arms: Arms, metric: str) -> Plan:
    """A plan of records that no ablation file describes."""
    cells = {
        arm: [None if r is None else Cell(arm, r.seed or 0, "report", (), r.id) for r in records]
        for arm, records in arms.items()
    }
    return Plan(name, metric, arms=cells)


def build(source: Mapping[str, Any], read: Read, histories: Histories | None = None) -> Sheet:
    """The sheet that a source describes, from the records and histories as they are now.

    Raises ReportError for a source of another form, and as `aggregate`.
    """
    if source.get("kind") not in KINDS:
        raise ReportError(f"a table is one of {', '.join(KINDS)}, got {source.get('kind')!r}. Write it again")
    plans = [unpack(each, read) for each in source["plans"]]
    if source["kind"] == "verdicts":
        return _of_claims(source, claims(plans, read, source["level"]))
    if source["kind"] == "ranks":
        return _of_ranks(source, [_aggregate(source, plan, read) for plan in plans])
    table = _aggregate(source, plans[0], read)
    if source["kind"] == "factors":
        return _of_grid(source, table, read)
    if source["kind"] == "targets":
        for sheet in _of_targets(source, plans[0], read, histories):
            if sheet.source is not None and sheet.source["target"] == source["target"]:
                return sheet
        raise ReportError(f"no run has a history of {source['target']}")
    if source["kind"] == "budgets":
        for sheet in _of_budgets(source, plans[0], read):
            return sheet
        raise ReportError(f"the tuning of {table.name} tells no budgets any more")
    return _of_arms(source, table)


def absent(source: Mapping[str, Any], read: Read) -> list[tuple[str, str]]:
    """(arm, id) of the runs that had a record when the table was made and have none now."""
    found = []
    for plan in source["plans"]:
        known = {*plan["absent"].split()}
        named = [(arm, ids) for arm, ids in plan["arms"].items()]
        named += [(arm, ids) for arm, trials in plan["tuned"].items() for _, ids in trials]
        named += [(arm, ids) for arm, points in plan.get("kept", {}).items() for ids in points.values()]
        for arm, ids in named:
            found += [(arm, id) for id in ids.split() if id != _NONE and id not in known and read(id) is None]
    return list(dict.fromkeys(found))


def pack(plan: Plan, read: Read) -> dict[str, Any]:
    """A plan as plain data; `unpack` is its inverse, as far as tables look."""
    ids = {arm: [cell.id if cell else _NONE for cell in cells] for arm, cells in plan.arms.items()}
    ablation = plan.ablation
    return {
        "name": plan.name,
        "metric": plan.metric,
        "arms": {arm: " ".join(each) for arm, each in ids.items()},
        "absent": " ".join(id for each in _ids(plan) for id in each if read(id) is None),
        "levels": plan.levels,
        "tuned": {
            arm: [[redacted(dict(point)), " ".join(runs)] for point, runs in t.trials] for arm, t in plan.tuned.items()
        },
        **({"spaces": spaces} if (spaces := _spaces(plan)) else {}),
        "kept": {
            arm: {str(place): " ".join(cell.id for cell in cells) for place, cells in points.items()}
            for arm, points in plan.kept.items()
        },
        "excluded": [[each.name, each.reason] for each in plan.excluded],
        "invalid": [[each.name, each.reason] for each in plan.invalid],
        "complete": plan.complete,
        "registered": list(plan.registered),
        "ablation": None
        if ablation is None
        else {
            "name": ablation.name,
            "design": ablation.design,
            "regime": ablation.regime,
            "metric": ablation.metric,
            "select_on": ablation.select_on,
            "smallest_effect": ablation.smallest_effect,
            "seeds": asdict(ablation.seeds),
            "hypotheses": [{**asdict(each), "arm": dict(each.arm)} for each in ablation.hypotheses],
            **({"claim": ablation.claim} if ablation.claim else {}),
            **({"targets": dict(ablation.targets)} if ablation.targets else {}),
            **({"search": asdict(ablation.search)} if ablation.search else {}),
        },
    }


def unpack(packed: Mapping[str, Any], read: Read) -> Plan:
    """The plan with the winners of its tuning chosen again, from the records as they are now."""
    given = packed["ablation"]
    ablation = None
    if given is not None:
        arms = [ids for ids in packed["arms"].values()]
        arms += [ids for trials in packed["tuned"].values() for _, ids in trials]
        arms += [ids for points in packed.get("kept", {}).values() for ids in points.values()]
        records = unlike(read(id) for ids in arms for id in ids.split() if id != _NONE)
        keys = {metric: agreed(metric, records) for metric in _metrics(given)}
        hypotheses = tuple(Hypothesis(**{**each, "metric": keys[each["metric"]]}) for each in given["hypotheses"])
        numbers: dict[str, Any] = {key: tuple(each) for key, each in given["seeds"].items() if key != "tuning"}
        seeds = replace(Seeds(**numbers), tuning=given["seeds"].get("tuning", "near"))
        named = {name: keys[given[name]] for name in ("metric", "select_on")}
        targets = {keys[metric]: float(value) for metric, value in given.get("targets", {}).items()}
        search = Search(**given["search"]) if "search" in given else None
        found = {"factors": (), "seeds": seeds, "hypotheses": hypotheses, "targets": targets, "search": search}
        ablation = Ablation(**{**given, **named, **found})

    def cell(arm: str, id: str) -> Cell | None:
        return None if id == _NONE else Cell(arm, 0, "report", (), id)

    # A plan of before was reported at its winners alone: it has no such runs.
    kept = {
        arm: {int(place): [Cell(arm, 0, "report", (), id) for id in ids.split()] for place, ids in points.items()}
        for arm, points in packed.get("kept", {}).items()
    }

    return Plan(
        packed["name"],
        packed["metric"],
        arms={arm: [cell(arm, id) for id in ids.split()] for arm, ids in packed["arms"].items()},
        kept=kept,
        levels={arm: dict(levels) for arm, levels in packed["levels"].items()},
        excluded=[Excluded(*each) for each in packed["excluded"]],
        invalid=[Excluded(*each) for each in packed["invalid"]],
        tuned={
            arm: _winner(arm, each, ablation, read, packed.get("spaces", {}).get(arm, {}))
            for arm, each in packed["tuned"].items()
        },
        complete=packed["complete"],
        registered=tuple(packed.get("registered", ())),
        ablation=ablation,
    )


def _source(kind: str, packed: Sequence[Mapping[str, Any]], options: Options, grid: Sequence[str]) -> dict[str, Any]:
    return {"paribus": __version__, "kind": kind, **asdict(options), "grid": list(grid), "plans": list(packed)}


def _aggregate(source: Mapping[str, Any], plan: Plan, read: Read) -> Aggregate:
    asked = {key: source[key] for key in ("baseline", "sort", "level")}
    return aggregate_plan(plan, read, source["metrics"], source["mix"], exact=False, **asked)


def _of_arms(source: Mapping[str, Any], table: Aggregate) -> Sheet:
    view = View(source["spread"], tuple(source["columns"]))
    if source["kind"] == "grid":
        return _with(grid_sheet(table, tuple(source["grid"]), view), source)
    return _with(arms_sheet(table, view), source)


def _of_grid(source: Mapping[str, Any], table: Aggregate, read: Read) -> Sheet:
    grid = factorial(table, read)
    if not isinstance(grid, Factorial):
        raise ReportError(f"the factors of {table.name} can't be told apart: {grid}")
    return _with(factors_sheet(grid, table), source)


def _of_ranks(source: Mapping[str, Any], tables: Sequence[Aggregate]) -> Sheet:
    ranks = across(tables)
    if not isinstance(ranks, Across):
        raise ReportError(f"the arms can't be ranked: {ranks}")
    return _with(ranks_sheet(ranks, source["level"]), source)


def _of_claims(source: Mapping[str, Any], found: Sequence[Claim]) -> Sheet:
    return _with(verdict_sheet(found, source["level"]), source)


def _of_targets(source: Mapping[str, Any], plan: Plan, read: Read, histories: Histories | None) -> Iterator[Sheet]:
    """A sheet for each target that some run has a history of."""
    if histories is None:
        return
    baseline = source["baseline"] or None
    for times in times_to_targets(plan, read, histories, source["level"], baseline):
        sheet = targets_sheet(plan.name, times, plan.registered)
        yield _with(sheet, {**source, "target": times.metric})


def _of_budgets(source: Mapping[str, Any], plan: Plan, read: Read) -> Iterator[Sheet]:
    """The sheet of the trials of a search, where they tell who is ahead."""
    found = tuning_budgets(plan, read, source["level"], source["baseline"] or None)
    if found is not None and found.without is None:
        yield _with(budgets_sheet(plan.name, found, plan.registered), source)


def _with(sheet: Sheet, source: Mapping[str, Any]) -> Sheet:
    return replace(sheet, source=dict(source))


def _ids(plan: Plan) -> list[list[str]]:
    """Of the reporting runs."""
    rows: list[Sequence[Cell | None]] = [*plan.arms.values()]
    rows += [cells for points in plan.kept.values() for cells in points.values()]
    return [[cell.id for cell in cells if cell] for cells in rows]


def _metrics(packed: Mapping[str, Any]) -> set[str]:
    return {packed["metric"], packed["select_on"], *(each["metric"] for each in packed["hypotheses"]),
            *packed.get("targets", ())}  # fmt: skip


def _spaces(plan: Plan) -> dict[str, Any]:
    """arm -> key -> kind and values of its range, of the arms whose points were drawn; without secrets."""
    found = {}
    for arm, tuned in plan.tuned.items():
        space = {key: [each.kind, list(each.values)] for key, each in tuned.space.items()}
        shown = redacted(space)
        if kept := {key: each for key, each in space.items() if shown[key] == each}:
            found[arm] = kept
    return found


def _winner(arm: str, trials: Sequence[Any], ablation: Ablation | None, read: Read, space: Mapping[str, Any]) -> Tuned:
    assert ablation is not None, "only an ablation tunes"
    select_on = ablation.select_on
    scores = [[tuning_score(read(id), select_on) for id in ids.split()] for _, ids in trials]
    if any(value is None for values in scores for value in values):
        raise ReportError(f"the tuning runs of {arm} are needed to choose the best value, and some have no record")
    if select_on.metric.better is None:
        raise ReportError(f"ablation.select_on {no_direction(select_on)}")
    points = [(point, tuple(ids.split())) for point, ids in trials]
    known = [[float(v) for v in values if v is not None] for values in scores]
    ranges = {key: Range(kind, tuple(values)) for key, (kind, values) in space.items()}
    return winner(points, known, bool(select_on.metric.higher), ranges)
