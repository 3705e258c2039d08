"""All that the pages say: claims, checks and ablations with their verdicts, each computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import yaml

from paribus.ablation.cells import Plan
from paribus.base.durations import duration
from paribus.config.ablations import shipped as shipped_files
from paribus.evidence.aggregate import Aggregate, aggregate_plan
from paribus.evidence.arms import ReportError
from paribus.evidence.checks import Stored
from paribus.notes import scoreboard
from paribus.notes.checks.catalogue import CHECKS, Check
from paribus.report.packed import Shipped
from paribus.report.scoreboard import Line
from paribus.report.verdicts import Claim, claims
from paribus.store.record import Record

FOLDER = PurePosixPath("docs/results")
RECORDS = "results/records.json.xz"
MADE = "<!-- Made by scripts/results.py. -->"


@dataclass(frozen=True)
class Results:
    """remarks: id of a claim, or name of an ablation -> what people should know beside the numbers.

    figures: ablation -> paths of its pictures, from the root of the project. again: what `scripts/bench_digits.py`
    measured: seconds and runs of each ablation on the digits, from nothing.
    """

    shipped: Shipped
    remarks: Mapping[str, str]
    figures: Mapping[str, Sequence[str]]
    again: Mapping[str, Any]

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """Those of ablations, by their ids."""
        found = [claim for plans in self.shipped.plans.values() for claim in claims(plans, self.shipped.record)]
        return {claim.id: claim for claim in found}

    @cached_property
    def checks(self) -> dict[str, tuple[Check, Stored | None]]:
        return {check.id: (check, self.shipped.checks.get(check.id)) for check in CHECKS}

    @cached_property
    def lines(self) -> dict[str, list[Line]]:
        """id -> its lines, the common verdict first; all in the order of the sections."""
        found: dict[str, list[Line]] = {}
        for line in scoreboard.lines([*self.claims.values()], [*self.checks.values()]):
            found.setdefault(line.id, []).append(line)
        return found

    @cached_property
    def sections(self) -> dict[str, list[str]]:
        """The ids of each section."""
        found: dict[str, list[str]] = {}
        for id, [first, *_] in self.lines.items():
            found.setdefault(first.section, []).append(id)
        return found

    @cached_property
    def tables(self) -> dict[str, dict[str, Aggregate | str]]:
        """ablation -> regime (empty where there is one) -> its table, or why there is none."""
        return {
            name: {(plan.ablation and plan.ablation.regime) or "": self._table(plan) for plan in plans}
            for name, plans in self.shipped.plans.items()
        }

    def _table(self, plan: Plan) -> Aggregate | str:
        asked = plan.ablation.hypotheses if plan.ablation else ()
        metrics = tuple(dict.fromkeys((plan.metric, *(each.metric for each in asked))))
        try:
            return aggregate_plan(plan, self.shipped.record, metrics)
        except ReportError as error:
            return str(error)

    def records(self, name: str) -> list[Record]:
        """The runs of an ablation, those of its tuning included."""
        plans = self.shipped.plans[name]
        ids = dict.fromkeys(cell.id for plan in plans for cell in plan.cells)
        ids |= dict.fromkeys(
            id for plan in plans for tuned in plan.tuned.values() for _, trial in tuned.trials for id in trial
        )
        return [record for id in ids if (record := self.shipped.record(id)) is not None]

    def ids_of(self, name: str) -> list[str]:
        """The claims of an ablation."""
        return [id for id in self.lines if id in self.claims and self.claims[id].ablation == name]

    def question(self, name: str) -> str:
        """What an ablation asks, as its file says it; empty where it does not."""
        return str(_file(name).get("claim", ""))

    def regime_words(self, name: str, regime: str) -> str:
        """What a regime is, as the ablation's file says it: its `text`, or what it sets and whether it is tuned."""
        given = _file(name)
        own = (given.get("regimes") or {}).get(regime)
        if own is None:
            return ""
        if own.get("text"):
            return str(own["text"])
        parts = [f"{key}={value}" for key, value in own.get("set", {}).items()]
        if "tune" in given:
            parts.append("not tuned" if own.get("tune", True) is False else "tuned")
        return ", ".join(parts)


def _file(name: str) -> dict[str, Any]:
    path = shipped_files().get(name)
    return yaml.safe_load(path.read_text(encoding="utf-8"))["ablation"] if path else {}


def section_key(id: str) -> str:
    """The folder of a claim: 1.2, or method for claims about the method itself."""
    return id[:3] if id[:3] in scoreboard.SECTIONS else "method"


def claim_path(id: str) -> PurePosixPath:
    return FOLDER / section_key(id) / f"{id.replace('/', '-')}.md"


def section_path(key: str) -> PurePosixPath:
    return FOLDER / key / "index.md"


def ablation_path(name: str) -> PurePosixPath:
    return FOLDER / "ablations" / f"{name}.md"


def table_path(name: str) -> PurePosixPath:
    return FOLDER / "csv" / f"{name}.csv"


def link(text: str, target: PurePosixPath, page: PurePosixPath, anchor: str = "") -> str:
    """A link from one page to another, both from the root of the project."""
    return f"[{text}]({relative(target, page)}{anchor})"


def relative(target: PurePosixPath, page: PurePosixPath) -> str:
    here = page.parent.parts
    common = 0
    while common < min(len(here), len(target.parts) - 1) and here[common] == target.parts[common]:
        common += 1
    return "/".join([*[".."] * (len(here) - common), *target.parts[common:]])


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def whole(text: str) -> str:
    """Without a place where a line may be broken at a space."""
    return text.replace(" ", "\u00a0")


def seconds(record: Record) -> float:
    """What a run took; of a run in a stack its share."""
    return record.timing.get("total_seconds", 0.0)


def times(name: str, records: Sequence[Record], again: Mapping[str, Any]) -> str:
    """Runs and times of an ablation, in words."""
    took = f"{len(records)} runs, {duration(sum(map(seconds, records)))} of one core beside other programs"
    if name not in again["seconds"]:
        return took
    cores = f"{again['hardware']['cores']} quiet cores"
    small = f"{again['runs'][name]} runs, {duration(again['seconds'][name])}"
    return f"{took}; without Fashion-MNIST {small} on {cores}"
