"""Whatever number a record or a history holds, tables, page and figures are made, and no warning is given."""

from __future__ import annotations

import io
import itertools
import math
import re

import pytest
from made_studies import METRICS, Made, made

from paribus.base.metrics import FIRST
from paribus.evidence.aggregate import aggregate_plan
from paribus.evidence.arms import ReportError
from paribus.report.figures import catalogue
from paribus.report.numbers import short
from paribus.report.page.records import value_text
from paribus.report.page.render import page
from paribus.report.tables.source import Options, sheets
from paribus.report.tables.table import csv_text, document
from paribus.report.verdicts import claims

NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "huge": 1e200, "tiny": 5e-324, "missing": None}
PLACES = {
    "metrics": ("test/acc", "test/loss", "val/acc"),
    "timing": ("ms_per_update", "fit_seconds"),
    "history": ("train/loss", "val/acc", "lr", "seconds"),
}
COLUMNS = (
    *("difference", "p", "sign_flip", "d_z", "improvement", "practical", "detectable", "tuned", "n", "diverged"),
    "at_chance",
)
WHOSE = ("one run", "the baseline", "another arm", "all tuning runs", "all runs")


def ids(study: Made, whose: str) -> list[str]:
    plan = study.plans[0]
    reporting = [[cell.id for cell in cells] for cells in plan.arms.values()]
    tuning = [cell.id for each in study.plans for cell in each.tuning]
    everyone = list(study.records)
    found = {
        "one run": reporting[0][:1],
        "the baseline": reporting[0],
        "another arm": reporting[1],
        "all tuning runs": tuning,
        "all runs": everyone,
    }
    return [id for id in found[whose] if id in study.records]


def put(study: Made, whose: str, kind: str, name: str, value: float | None) -> None:
    for id in ids(study, whose):
        where = {
            "metrics": study.records[id].metrics,
            "timing": study.records[id].timing,
            "history": study.histories.get(id, {}),
        }[kind]
        if value is None:
            where.pop(name, None)
        elif kind != "history":
            where[name] = value
        elif name in where:
            where[name] = [value] * len(where["step"])


def every_form(study: Made) -> str:
    """The page; tables in all formats are made, or refused for a reason that is known here."""
    study.gather()
    read, refused = study.records.get, []
    text = page("made", study.studies, claims([each.plan for each in study.studies], read), "paribus train -m ...")
    for form, columns in itertools.product(("markdown", "latex", "html"), ((), COLUMNS)):
        try:
            document(sheets(study.plans, read, Options(METRICS, columns=columns)), form)
        except ReportError as error:
            refused.append(str(error))
    try:
        csv_text([aggregate_plan(plan, read, METRICS, ()) for plan in study.plans])
    except ReportError as error:
        refused.append(str(error))
    assert all(re.search("have not logged|no finished run|have no record", reason) for reason in refused)
    return text


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("number", NUMBERS)
def test_tables_and_page_take_any_number(whose, number):
    for kind, names in PLACES.items():
        study = made(epochs=4)
        for name in names:
            # Without the metric that arms are compared by there is no table: see below.
            if (name, number, whose) != ("test/acc", "missing", "all runs"):
                put(study, whose, kind, name, NUMBERS[number])
        text = every_form(study)
        assert "</html>" in text


def test_an_ablation_whose_metric_nobody_logged_is_refused_with_those_that_there_are():
    study = made()
    put(study, "all runs", "metrics", "test/acc", None)
    with pytest.raises(ReportError, match=r"the metric test/acc\. There are test/loss, val/acc"):
        study.gather()


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("status", ["diverged", "failed", "running"])
def test_tables_and_page_take_arms_that_have_no_result(whose, status):
    study = made()
    for id in ids(study, whose):
        study.records[id].status = status
        study.records[id].metrics = {"train/loss": math.nan, "train/acc": 0.1}
    text = every_form(study)
    assert status in text


@pytest.mark.parametrize(
    "number", ["nan", *(pytest.param(each, marks=pytest.mark.slow) for each in ("inf", "huge", "missing"))]
)
@pytest.mark.parametrize("whose", [pytest.param("the baseline", marks=pytest.mark.slow), "all runs"])
def test_figures_take_any_number_or_say_why_they_are_left_out(whose, number):
    study = made(seeds=3, epochs=4)
    for kind, names in PLACES.items():
        for name in names:
            if (kind, name) != ("metrics", "test/acc") or number != "missing":
                put(study, whose, kind, name, NUMBERS[number])
    study.gather()
    drawn = [figure for each in study.studies for _, figure in catalogue.of_study(each, list(catalogue.FIGURES))]
    drawn.append(catalogue.of_regimes("made", study.studies))
    for figure in drawn:
        if isinstance(figure, catalogue.Missing):
            assert figure.reason
        else:
            figure.savefig(io.BytesIO(), format="svg")


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "−inf"), (1e9, "1e+09")]
)
def test_what_is_not_finite_is_called_so(value, shown):
    assert short(value) == shown
    assert value_text(FIRST.key("train/loss"), value) == shown


def test_a_share_that_is_not_finite_has_no_unit():
    assert value_text(FIRST.key("test/acc"), math.nan) == "nan"
    assert value_text(FIRST.key("test/acc"), 0.5) == "50 %"
