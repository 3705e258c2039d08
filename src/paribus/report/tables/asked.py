"""The tables that a command line asks for, in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from paribus.ablation.cells import Plan
from paribus.config.composer import Composer
from paribus.config.outputs import outputs_folder
from paribus.evidence.aggregate import Aggregate, aggregate_plan
from paribus.evidence.budgets import Budgets, tuning_budgets
from paribus.evidence.targets import TargetTimes, times_to_targets
from paribus.report.collect import collect, default_metrics
from paribus.report.tables.columns import COLUMNS
from paribus.report.tables.sheet import Sheet
from paribus.report.tables.source import Options, plan_of, sheets
from paribus.report.tables.table import csv_text, document, lines, notes_text
from paribus.report.verdicts import claims
from paribus.store.reader import Reader
from paribus.store.store import Store


@dataclass(frozen=True, repr=False)
class Tables:
    """A table for each plan, and the verdicts on their hypotheses; a notebook shows them as Markdown."""

    plans: Sequence[Plan]
    read: Reader
    options: Options

    def aggregates(self) -> list[Aggregate]:
        """The numbers of each table."""
        o = self.options
        return [aggregate_plan(plan, self.read, o.metrics, o.mix, baseline=o.baseline) for plan in self.plans]

    def times(self) -> list[tuple[str, TargetTimes]]:
        """The times to targets, with the names of their tables."""
        o = self.options
        return [
            (plan.name, each)
            for plan in self.plans
            for each in times_to_targets(plan, self.read, self.read.store.history, o.level, o.baseline)
        ]

    def budgets(self) -> list[tuple[str, Budgets]]:
        """Who is ahead at which budget for tuning, with the names of their tables."""
        o = self.options
        found = [(plan.name, tuning_budgets(plan, self.read, o.level, o.baseline)) for plan in self.plans]
        return [(name, each) for name, each in found if each is not None]

    def text(self, form: str, trace: bool = False, **layout: Any) -> str:
        """markdown, latex, html, terminal or csv. trace: with the comments that `paribus verify` reads. layout: further
        arguments of `table.document`."""
        if form == "csv":
            return csv_text(self.aggregates(), self.times(), self.budgets())
        return document(self.sheets, form, trace, **layout)

    def content(self) -> dict[str, Any]:
        """What a program reads: numbers as recorded, in full precision. See docs/json.md."""
        found = self.aggregates()
        asking = [k for k, plan in enumerate(self.plans) if plan.ablation and plan.ablation.hypotheses]
        verdicts = claims(
            [self.plans[k] for k in asking], self.read, self.options.level, [found[k].findings for k in asking]
        )
        return {
            "arms": lines(found, self.times(), self.budgets()),
            "captions": {sheet.title: [sheet.caption, *sheet.notes] for sheet in self.sheets},
            "verdicts": [each.content() for each in verdicts],
        }

    @cached_property
    def sheets(self) -> list[Sheet]:
        """What is printed; made once, for a table and its notes."""
        return sheets(self.plans, self.read, self.options, self.read.store.history)

    def notes(self, width: str = "column", heat: bool = False) -> str:
        """LaTeX of what stands below its tables."""
        return notes_text(self.sheets, width, heat)

    def __str__(self) -> str:
        return self.text("markdown")

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.text("markdown")

    def to_markdown(self) -> str:
        return self.text("markdown")

    def to_latex(self) -> str:
        r"""Table environments for \usepackage{booktabs,siunitx}, with comments that `paribus verify` reads."""
        return self.text("latex", trace=True)

    def to_html(self) -> str:
        """Fragments without style."""
        return self.text("html", trace=True)


def tables(overrides: Sequence[str], metrics: Sequence[str] = (), by: Sequence[str] = (), **asked: Any) -> Tables:
    """The tables of an ablation (ablation=NAME among the overrides), or of the newest sweep.

    metrics: arms are compared by the first. by: choices that make the rows, where no ablation is named.
    asked: the other fields of `Options`.

    Raises UserError where the records can't be compared, and for what is named wrongly.
    """
    composer = Composer()
    read = Reader(Store(outputs_folder(overrides, composer)))
    found = collect(overrides, by, asked.get("mix", ()), read, composer)
    named = metrics or default_metrics((r for each in found for of in each.arms.values() for r in of), found[0].metric)
    plans = [each.plan or plan_of(each.name, each.arms, named[0]) for each in found]
    shown = tuple(dict.fromkeys((*named, *(name for name in asked.get("columns", ()) if name not in COLUMNS))))
    return Tables(plans, read, Options(shown, **asked))
