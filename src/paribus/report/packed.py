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
    records: dict[str, dict[str, Any]] = {}
    sources: list[dict[str, Any]] = []
    for each in plans.values():
        for cell in (cell for plan in each for cell in plan.cells):
            if (record := read(cell.id)) is None:
                continue
            line = json.loads(record.to_json())
            source = {key: record.provenance.get(key) for key in KEPT}
            if source not in sources:
                sources.append(source)
            line["provenance"] = sources.index(source)
            del line["checksums"]  # the files are not packed
            records[cell.id] = {key: value for key, value in line.items() if value is not None}
    content = {
        "schema": SCHEMA,
        "plans": {name: [pack(plan, read) for plan in each] for name, each in plans.items()},
        "provenance": sources,
        "records": [records[id] for id in sorted(records)],
        "checks": [check.as_dict() for check in checks],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
