"""Records, plans and checks in one small file, from which every number of RESULTS.md can be computed again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.ablation.cells import Plan, Read
from paribus.base.errors import UserError
from paribus.evidence.checks import Stored
from paribus.report.tables.source import pack, unpack
from paribus.store.names import bounded, unpacked
from paribus.store.record import Record

SCHEMA = 1
KEPT = ("commit", "dirty", "versions", "hardware", "world_size")  # of provenance


@dataclass(frozen=True)
class Shipped:
    """plans: ablation -> its plans, one for each regime, with winners chosen from the records. records: by id."""

    plans: Mapping[str, Sequence[Plan]]
    records: Mapping[str, Record]
    checks: Mapping[str, Stored]

    def record(self, id: str) -> Record | None:
        return self.records.get(id)

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
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path} must be a file of results that scripts/results.py has written, and it can't be read "
                f"({type(error).__name__}: {str(error)[:300]})"
            ) from error
        return Shipped(plans, records, checks)


def write(path: Path, plans: Mapping[str, Sequence[Plan]], read: Read, checks: Iterable[Stored]) -> None:
    """All that the plans' tables and verdicts need. The same content gives the same bytes."""
    content: dict[str, Any] = {"schema": SCHEMA, "plans": {}, "provenance": [], "records": []}
    _save(path, {**_with(content, plans, read), "checks": [check.as_dict() for check in checks]})


def update(path: Path, plans: Mapping[str, Sequence[Plan]], read: Read) -> None:
    """Some ablations anew, or beside those that are there; everything else stays to the letter, and so does a record
    that is there.

    So an ablation can be added where others lack runs that the rules of today ask for.
    """
    _save(path, _with(json.loads(unpacked(path)), plans, read))


def _with(content: dict[str, Any], plans: Mapping[str, Sequence[Plan]], read: Read) -> dict[str, Any]:
    """The content with the plans and with those of their records that it lacks."""
    records: dict[str, dict[str, Any]] = {line["id"]: line for line in content["records"]}
    sources: list[dict[str, Any]] = [*content["provenance"]]
    for cell in (cell for each in plans.values() for plan in each for cell in plan.cells):
        if cell.id in records or (record := read(cell.id)) is None:
            continue
        line = json.loads(record.to_json())
        source = {key: record.provenance.get(key) for key in KEPT}
        if source not in sources:
            sources.append(source)
        line["provenance"] = sources.index(source)
        del line["checksums"]  # the files are not packed
        records[cell.id] = {key: value for key, value in line.items() if value is not None}
    own = {name: [pack(plan, read) for plan in each] for name, each in plans.items()}
    return {
        **content,
        "plans": {**content["plans"], **own},
        "provenance": sources,
        "records": [records[id] for id in sorted(records)],
    }


def _save(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
