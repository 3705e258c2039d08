"""Records, plans and checks in one small file, from which every number of RESULTS.md can be computed again."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paribus.ablation.cells import Plan, Read
from paribus.base.errors import UserError
from paribus.evidence.checks import Stored
from paribus.report.curves import curve_names
from paribus.report.page.thin import short
from paribus.report.tables.source import pack, unpack
from paribus.store import registration
from paribus.store.names import bounded, unpacked
from paribus.store.record import Record
from paribus.store.registration import Registration

SCHEMA = 1
POINTS = 20  # of a curve
Columns = Mapping[str, Sequence[float]]
KEPT = ("commit", "dirty", "versions", "hardware", "world_size")  # of provenance


@dataclass(frozen=True)
class Shipped:
    """plans: ablation -> its plans, one for each regime, with winners chosen from the records. records: by id.

    curves: of the reporting runs whose histories were there when they were packed, a few points of each.
    registrations: of ablations that are not finished, whose records are here without plans.
    """

    plans: Mapping[str, Sequence[Plan]]
    records: Mapping[str, Record]
    checks: Mapping[str, Stored]
    curves: Mapping[str, Columns] = field(default_factory=dict)
    registrations: Sequence[Registration] = ()

    def record(self, id: str) -> Record | None:
        return self.records.get(id)

    def curve(self, id: str) -> Columns:
        """The points of a run's history that were packed; {} where there are none."""
        return self.curves.get(id, {})

    @staticmethod
    def read(path: Path) -> Shipped:
        """Raises UserError for a file that `write` did not write."""
        try:
            content = json.loads(unpacked(path))
            if content["schema"] != SCHEMA:
                raise ValueError(f"schema {content['schema']!r}")
            sources = dict(enumerate(content["provenance"]))
            records = {}
            for line in content["records"]:
                line["provenance"] = sources[line["provenance"]]
                record = Record.from_json(json.dumps(line))
                records[record.id] = record
            plans = {
                name: [unpack(bounded(each), records.get) for each in packed]
                for name, packed in content["plans"].items()
            }
            checks = {each["id"]: Stored.from_dict(bounded(each)) for each in content["checks"]}
            curves = {id: _columns(bounded(each)) for id, each in content.get("curves", {}).items()}
            registrations = [registration.parsed(bounded(each)) for each in content.get("registrations", ())]
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path} must be a file of results that scripts/results.py has written, and it can't be read "
                f"({type(error).__name__}: {str(error)[:300]})"
            ) from error
        return Shipped(plans, records, checks, curves, registrations)


History = Callable[[str], Columns]


def no_history(id: str) -> Columns:
    return {}


def write(
    path: Path,
    plans: Mapping[str, Sequence[Plan]],
    read: Read,
    checks: Iterable[Stored],
    history: History = no_history,
) -> None:
    """All that the plans' tables and verdicts need. The same content gives the same bytes.

    history: of a run by its id, {} where there is none; a few points of it travel with the record.
    """
    content: dict[str, Any] = {"schema": SCHEMA, "plans": {}, "provenance": [], "records": []}
    _save(path, {**_with(content, plans, read, history), "checks": [check.as_dict() for check in checks]})


def update(
    path: Path,
    plans: Mapping[str, Sequence[Plan]],
    read: Read,
    history: History = no_history,
    checks: Iterable[Stored] = (),
) -> None:
    """Some ablations and checks anew, or beside those that are there; everything else stays to the letter, and so does
    a record that is there, and its curves. Times are rounded to four digits.

    So an ablation can be added where others lack runs that the rules of today ask for.
    """
    content = _with(json.loads(unpacked(path)), plans, read, history)
    made = {each["id"]: each for each in content["checks"]} | {each.id: each.as_dict() for each in checks}
    _save(path, {**content, "checks": [*made.values()]})


def write_unfinished(
    path: Path,
    plans: Iterable[Plan],
    read: Read,
    registrations: Iterable[Registration],
    history: History = no_history,
) -> None:
    """The records of ablations that are not finished, and what was registered of them: whoever imports the file goes
    on. It holds no plans, so no table can be made of it."""
    content: dict[str, Any] = {"schema": SCHEMA, "plans": {}, "provenance": [], "records": [], "checks": []}
    kept = [each.as_dict() for each in registrations if each.all_entries]
    _save(path, {**_with_records(content, list(plans), read, history), "registrations": kept})


def _with(content: dict[str, Any], plans: Mapping[str, Sequence[Plan]], read: Read, history: History) -> dict[str, Any]:
    """The content with the plans, and with those of their records and curves that it lacks."""
    own = {name: [pack(plan, read) for plan in each] for name, each in plans.items()}
    added = _with_records(content, [plan for each in plans.values() for plan in each], read, history)
    return {**added, "plans": {**content["plans"], **own}}


def _with_records(content: dict[str, Any], plans: Sequence[Plan], read: Read, history: History) -> dict[str, Any]:
    """The content with those records of the plans, and their curves, that it lacks."""
    records: dict[str, dict[str, Any]] = {line["id"]: line for line in content["records"]}
    sources: list[dict[str, Any]] = [*content["provenance"]]
    for cell in (cell for plan in plans for cell in plan.cells):
        if cell.id in records or (record := read(cell.id)) is None:
            continue
        line = json.loads(record.to_json())
        source = {key: record.provenance.get(key) for key in KEPT}
        if source not in sources:
            sources.append(source)
        line["provenance"] = sources.index(source)
        del line["checksums"]  # the files are not packed
        records[cell.id] = {key: value for key, value in line.items() if value is not None}
    for line in records.values():  # no time is measured twice: the digits left out would be a quarter of the file
        line["timing"] = {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in line["timing"].items()}
    curves: dict[str, Any] = dict(content.get("curves", {}))
    for cells in (cells for plan in plans for cells in plan.arms.values()):
        arm = [record for cell in cells if cell and (record := read(cell.id)) is not None]
        curves = {**thinned(arm, history), **curves}
    return {
        **content,
        "provenance": sources,
        "records": [records[id] for id in sorted(records)],
        **({"curves": {id: curves[id] for id in sorted(curves)}} if curves else {}),
    }


def thinned(arm: Sequence[Record], history: History) -> dict[str, dict[str, list[float | None]]]:
    """id -> what the page draws of a run's history, at most POINTS rows of it. arm: the runs of one arm.

    Rows are equally far apart, and at the same updates in all runs of the arm, so that means over runs can be made of
    them. A run that ended early so has fewer.
    """
    found = {record.id: (record, own) for record in arm if (own := history(record.id))}
    steps = max((own["step"] for _, own in found.values()), key=len, default=())
    rows = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), POINTS)).round().astype(int))
    wanted = {steps[row] for row in rows}
    result: dict[str, dict[str, list[float | None]]] = {}
    for id, (record, own) in found.items():
        kept = [row for row, step in enumerate(own["step"]) if step in wanted]
        names = [f"{split}/{name}" for name in curve_names(record.known, own) for split in ("train", "val")]
        result[id] = {name: [own[name][row] for row in kept] for name in ("epoch", "step") if name in own}
        result[id] |= {name: short(np.asarray(own[name])[kept]) for name in ("seconds", *names) if name in own}
    return result


def _columns(given: Any) -> Columns:
    """Raises ValueError for columns that are no numbers, or not of one length with a column `step`."""
    found = {str(name): [math.nan if v is None else float(v) for v in column] for name, column in given.items()}
    if len({len(column) for column in found.values()}) != 1 or "step" not in found:
        raise ValueError("curves must have columns of one length, and one of them named step")
    return found


def _save(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(lzma.compress(text.encode(), preset=9))
