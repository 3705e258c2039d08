"""The tables of times to targets: their rules, and that papers with them can be checked."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest
from made_studies import made

from paribus.evidence.targets import times_to_targets
from paribus.report.tables.source import Options, build, sheets
from paribus.report.tables.table import csv_text, document
from paribus.report.tables.targets import targets_sheet
from paribus.report.tables.trace import regions
from paribus.report.tables.verify import verify

OPTIONS = Options(("test/acc",))


@pytest.fixture
def study():
    return made(seeds=6, regimes=("T",))


def histories(study):
    return lambda id: study.histories.get(id, {})


def times(study):
    [found] = times_to_targets(study.plans[0], study.records.get, histories(study))
    return found


def sheet(study):
    return targets_sheet("batch", times(study))


def test_a_row_says_how_many_reach_it_when_and_whether_that_is_another_time(study):
    found, read = times(study), sheet(study)
    assert read.title == "batch: updates to a validation accuracy of 90 % or more"
    heads = [column.head for column in read.columns]
    assert heads == ["arm", "reached", "updates (mean)", "updates (median)", "epochs (mean)", "p (log-rank, Holm)"]
    first, second, third = read.rows
    assert [first[0].text, first[1].text, first[1].rest, first[-1].text] == ["b32", "6", "of 6", "baseline"]
    mean = found.arms["b8"].means["updates"]
    assert float(second[2].text) == pytest.approx(mean.mean, abs=0.5)
    assert second[-1].text == f"{found.arms['b8'].p_holm:.3f}"
    assert third[1].rest == "of 3"  # one failed, one is running, one is missing
    assert (first[2].rest[0], first[2].rest[-1]) == ("(", ")")


def test_the_caption_says_the_rule(study):
    said = sheet(study).caption
    for part in (
        "Updates until a run reaches a validation accuracy of 90 % or more; n = 3 to 6 runs per arm.",
        "validations lie 38 updates apart, and times are too long by less than this.",
        "Runs that do not reach it are censored at the end of their budget; means are restricted to 456 updates.",
        "p: log-rank test against b32, for which the two runs of a seed change places exactly, adjusted by Holm for 2 "
        "comparisons (smallest possible p of one: 0.031).",
        "Where all runs of an arm reached it, up to 39 % (n = 6) or 63 % (n = 3) that never do are not excluded.",
    ):
        assert part in said
    assert "diverged" not in said


def test_runs_that_never_get_there_are_said(study):
    cells = study.plans[0].arms["b8"]
    study.records[cells[0].id].status = "diverged"
    for cell in cells[1:3]:
        study.histories[cell.id]["val/acc"] = [0.5] * 12
    read = sheet(study)
    assert (read.rows[1][1].text, read.rows[1][1].rest) == ("3", "of 6")
    assert (
        "Runs that diverged or stopped before the end of their budget (1) count as never reaching it." in read.caption
    )
    assert "each limit counts one run more" in read.caption
    for cell in cells:
        study.histories[cell.id]["val/acc"] = [0.5] * 12
    assert sheet(study).rows[1][3].text == "–"  # nobody knows a median


def test_seconds_are_shown_only_where_runs_were_timed_alone(study):
    for number, record in enumerate(study.records.values()):
        record.created, record.finished = (f"2026-11-24T{number:02d}:{minute}:00+00:00" for minute in ("00", "30"))
    read = sheet(study)
    assert "seconds (mean)" in [column.head for column in read.columns]
    assert "Seconds are left out" not in read.caption
    for record in study.records.values():
        record.timing["stack"] = 4
    read = sheet(study)
    assert "seconds (mean)" not in [column.head for column in read.columns]
    assert "Seconds are left out: 15 of 15 runs were trained in stacks" in read.caption


def test_arms_that_validate_at_other_intervals_are_warned_of(study):
    for cell in study.plans[0].arms["b8"]:
        columns = study.histories[cell.id]
        columns["step"] = [4 * step for step in columns["step"]]
    read = sheet(study)
    assert "validations lie 38 to 152 updates apart" in read.caption
    assert "CAUTION: arms that validate less often seem slower by up to one of their intervals." in read.caption


@pytest.mark.parametrize("form", ["latex", "markdown", "html"])
def test_a_paper_with_times_is_checked_against_the_histories(study, form):
    found = sheets(study.plans, study.records.get, OPTIONS, histories(study))
    assert [each.source["kind"] for each in found] == ["arms", "targets", "verdicts"]
    text = document(found, form)
    for checked in verify(text, study.records.get, histories(study)):
        assert (checked.drift, checked.notices) == ([], [])
        assert checked.numbers > 3
    for columns in study.histories.values():
        columns["val/acc"] = [value - 0.03 for value in columns["val/acc"]]
    drift = [line for each in verify(text, study.records.get, histories(study)) for line in each.drift]
    assert any("column 'updates (mean)'" in line for line in drift)
    study.histories.clear()
    drift = [line for each in verify(text, study.records.get, histories(study)) for line in each.drift]
    assert drift == ["this table can't be made from the records any more: no run has a history of val/acc"]


def test_a_source_survives_its_comment(study):
    found = sheets(study.plans, study.records.get, OPTIONS, histories(study))[1]
    [region] = regions(document([found], "markdown"))
    again = build(json.loads(json.dumps(region.source)), study.records.get, histories(study))
    assert again.rows == found.rows
    assert again.caption == found.caption


def test_without_targets_or_histories_there_is_no_such_table(study):
    assert [each.source["kind"] for each in sheets(study.plans, study.records.get, OPTIONS)] == ["arms", "verdicts"]
    study.plans[0].ablation.targets.clear()
    kinds = [each.source["kind"] for each in sheets(study.plans, study.records.get, OPTIONS, histories(study))]
    assert kinds == ["arms", "verdicts"]


def test_csv_has_the_time_of_every_run(study):
    cell = study.plans[0].arms["b8"][0]
    study.records[cell.id].status = "diverged"
    lines = list(csv.DictReader(io.StringIO(csv_text([study.studies[0].table], [("batch", times(study))]))))
    updates = {line["arm"]: line for line in lines if line["metric"] == "updates to val/acc 0.9"}
    assert float(updates["b8"]["values"].split()[0]) == math.inf
    assert updates["b8"]["runs"].split()[0] == cell.id
    assert (updates["b8"]["n"], updates["b8"]["diverged"]) == ("6", "1")
    assert float(updates["b32"]["mean"]) == pytest.approx(times(study).arms["b32"].means["updates"].mean)
    assert updates["b32"]["p"] == ""
