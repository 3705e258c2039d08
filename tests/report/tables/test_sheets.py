"""The sheets of ablations: a table for each regime, grids of two factors, tuned values, verdicts."""

from __future__ import annotations

import math
import re

import pytest
from made_ablations import Made

from paribus.evidence.aggregate import aggregate_plan
from paribus.evidence.arms import ReportError
from paribus.report.numbers import p_value
from paribus.report.tables.render import markdown
from paribus.report.tables.sheet import Column, Entry, Sheet, aligned, label_of
from paribus.report.tables.sheets import arms_sheet, grid_factors, grid_sheet
from paribus.report.tables.source import Options, build, pack, plan_of, sheets, unpack
from paribus.report.verdicts import claims, verdict_sheet

EFFECTS = {"batch": 0.0, "none": -0.05, "layer": 0.001}
NORMS = {
    "name": "norms",
    "factors": {"norm": ["batch", "none", "layer"]},
    "tune": {"optimizer.lr": [0.01, 0.1, 1.0]},
    "regimes": {"fixed": {"tune": False}, "tuned": {}},
    "seeds": {"tune": 2, "report": 4},
    "hypotheses": [
        {"id": "h1", "claim": "it helps", "arm": {"norm": "batch"}, "versus": {"norm": "none"}, "direction": "greater"},
        {"id": "h2", "claim": "so does this", "arm": {"norm": "none"}, "versus": {"norm": "layer"}},
    ],
}


def accuracy(cell):
    norm = cell.choices["norm"]
    lr = cell.run.optimizer["lr"]
    if norm == "layer" and cell.purpose == "report" and cell.seed == 3:
        return None
    if norm == "none":
        return 0.96 if lr == 0.01 else 0.85  # the rate that suits the others makes it look bad
    return 0.9 + EFFECTS[norm] - 0.1 * (lr == 1.0)


@pytest.fixture(scope="module")
def norms():
    return Made(NORMS, accuracy, noise=0.001)


@pytest.fixture(scope="module")
def grid():
    section = {
        "name": "two", "design": "grid", "seeds": 4,
        "factors": {"norm": ["batch", "none"], "batch_size": ["b8", "b64", "b512"]},
        "when": [{"if": {"norm": "none", "batch_size": "b512"}, "exclude": "does not fit"}],
    }  # fmt: skip
    return Made(section, lambda cell: 0.9 - 0.05 * (cell.choices["norm"] == "none"), noise=0.002)


OPTIONS = Options(("test/acc", "test/loss"))


def cells(sheet: Sheet, head: str) -> list[str]:
    k = [column.head for column in sheet.columns].index(head)
    return [f"{row[k].text} {row[k].rest}".strip() for row in sheet.rows]


def test_each_regime_has_its_table_and_all_share_the_verdicts(norms):
    fixed, tuned, verdicts = sheets(norms.plans, norms.read, OPTIONS)
    assert [fixed.title, tuned.title, verdicts.title] == ["norms [fixed]", "norms [tuned]", "Verdicts of norms"]
    assert [fixed.label, tuned.label] == ["norms-fixed", "norms-tuned"]
    assert "No arm was tuned." in fixed.caption
    assert (
        "optimizer.lr over 0.01, 0.1, 1 (3 points), by the mean validation accuracy (%) over 2 seeds" in tuned.caption
    )
    assert "(1000, 1001) that are not used for reporting" in tuned.caption


def test_tuned_values_and_the_edges_of_their_grid(norms):
    tuned = sheets(norms.plans, norms.read, OPTIONS)[1]
    shown = cells(tuned, "optimizer.lr (tuned)")
    winners = norms.plans[1].tuned
    assert [float(each.split()[0]) for each in shown] == [w.point["optimizer.lr"] for w in winners.values()]
    edges = ["optimizer.lr" in w.edges for w in winners.values()]
    assert ["edge" in each for each in shown] == edges
    assert any(edges)
    assert any("lies at the edge of its grid" in note for note in tuned.notes)
    assert tuned.columns[0].head == "norm"  # the tuned key is no factor


def test_trials_of_a_search_are_said_with_their_ranges_and_edges():
    rule = {"if": {"norm": "none"}, "tune": {"space": {"optimizer.lr": {"log": [0.1, 10]}}}}
    space = {
        "optimizer.lr": {"log": [0.0001, 1]},
        "model.width": {"int": [8, 64]},
        "optimizer.dampening": {"choice": [0, 0.1]},
    }
    tune = {"trials": 8, "seed": 3, "space": space}
    section = {**NORMS, "tune": tune, "when": [rule], "regimes": {"tuned": {}}, "hypotheses": None}
    high = Made(section, lambda cell: 0.5 + 0.1 * math.log10(cell.run.optimizer["lr"]), noise=0.0001)
    [sheet] = sheets(high.plans, high.read, OPTIONS)
    assert (
        "Tuned for each arm: 8 Sobol trials, seed 3 over model.width 8 to 64 and optimizer.dampening 0, 0.1 and "
        "optimizer.lr 0.0001 to 1 (log) for batch, layer or 0.1 to 10 (log) for none, the same for arms of equal "
        "ranges, by the mean validation accuracy (%) over 2 seeds (1000, 1001) that are not used for reporting."
    ) in sheet.caption
    assert "Intervals hold for these trials; another seed of the sampler draws others." in sheet.caption
    edges = {tuned.edges for tuned in high.plans[0].tuned.values()}
    note = "The best optimizer.lr lies within the outermost 5 % of its range; a wider range may have a better value."
    assert edges == ({("optimizer.lr",)} if note in sheet.notes else {()})
    shown = cells(sheet, "optimizer.lr (tuned)")
    assert [float(each.split()[0]) for each in shown] == [t.point["optimizer.lr"] for t in high.plans[0].tuned.values()]
    assert build(sheet.source, high.read) == sheet


def test_a_diverged_run_has_a_footnote_and_the_verdict_counts_it(norms):
    fixed, _, verdicts = sheets(norms.plans, norms.read, OPTIONS)
    assert fixed.rows[2][0].marks == (1, 2)
    assert fixed.notes[0] == "Excluded from the means: 1 diverged, of 4 runs."
    assert any("1 of its runs diverged" in note for note in verdicts.notes)


def test_regimes_that_disagree_are_conditional(norms):
    found = claims(norms.plans, norms.read)
    assert (found[0].id, found[0].overall.outcome) == ("h1", "CONDITIONAL")
    assert [f.verdict.outcome for f in found[0].findings] == ["SUPPORTED", "REVERSED"]
    sheet = verdict_sheet(found)
    assert cells(sheet, "regime") == ["fixed", "tuned", "all"] * 2
    assert cells(sheet, "verdict")[:3] == ["SUPPORTED", "REVERSED", "CONDITIONAL"]
    because = cells(sheet, "because")
    low, high = found[0].findings[0].verdict.low, found[0].findings[1].verdict.high
    assert because[0] == f"the gain is at least +{100 * low:.2f} points"
    assert because[1].startswith(f"the gain is at most −{-100 * high:.2f}")
    assert because[2].startswith("depends on tuning: SUPPORTED in fixed; REVERSED in tuned (heterogeneity p")
    assert cells(sheet, "id") == ["h1", "", "", "h2", "", ""]
    assert cells(sheet, "d")[:2] == ["0.5", "0.5"]
    assert cells(sheet, "compared")[0] == "test accuracy (%): batch − none, claimed greater"
    assert "CONDITIONAL: the verdicts of the regimes differ, and so do their effects (Welch's F test" in sheet.caption
    assert "SUPPORTED: the lower bound of the gain is at least d" in sheet.caption
    assert "POSITIVE:" not in sheet.caption  # no verdict has this word


def test_each_sheet_is_made_again_from_its_source_alone(norms):
    for sheet in sheets(norms.plans, norms.read, OPTIONS):
        assert build(sheet.source, norms.read) == sheet


def test_a_difference_in_the_verdict_is_that_of_the_table(norms):
    fixed, _, verdicts = sheets(norms.plans, norms.read, OPTIONS)
    [table, verdict] = cells(fixed, "difference from batch (points)")[1], cells(verdicts, "difference")[0]
    turned = re.sub("[+−]", lambda m: "−" if m.group() == "+" else "+", table)
    mean, low, high = re.findall(r"[+−]?\d[\d.]*", turned)
    assert re.findall(r"[+−]?\d[\d.]*", verdict) == [mean, high, low]  # batch − none, not none − batch
    [one] = [each for claim in claims(norms.plans, norms.read) for each in claim.findings[:1] if claim.id == "h1"]
    assert cells(fixed, "p (Holm)")[1] == p_value(one.verdict.p_zero)
    assert cells(verdicts, "p")[0] == p_value(one.verdict.p)


def test_a_grid_of_two_factors(grid):
    [plan] = grid.plans
    assert grid_factors(plan) == ("norm", "batch_size")
    [sheet, _] = sheets(grid.plans, grid.read, OPTIONS)
    assert [column.head for column in sheet.columns] == ["norm ↓ batch_size →", "b8", "b64", "b512"]
    assert [row[0].text for row in sheet.rows] == ["batch", "none"]
    table = aggregate_plan(plan, grid.read, ["test/acc"])
    for row in table.rows:
        norm, size = plan.levels[row.arm]["norm"], plan.levels[row.arm]["batch_size"]
        entry = sheet.rows[["batch", "none"].index(norm)][["b8", "b64", "b512"].index(size) + 1]
        assert entry.text == f"{100 * row.cells['test/acc'].mean.mean:.2f}"
        assert entry.runs == tuple(run.id for run in row.runs)
        assert bool(entry.marks) == (row.cells["test/acc"].p_holm <= 0.05)
    assert sheet.rows[1][3].text == "–"
    assert "Differs from norm=batch, batch_size=b8 (p ≤ 0.05 after Holm)." in sheet.notes
    assert any("Not compared: norm=none, batch_size=b512 (does not fit)." in note for note in sheet.notes)
    assert "Test accuracy (%): mean ± standard deviation over n = 4 runs" in sheet.caption


def test_a_grid_can_be_turned_and_listed(grid):
    [turned, _] = sheets(grid.plans, grid.read, Options(("test/acc",), grid=("batch_size", "norm")))
    assert [row[0].text for row in turned.rows] == ["b8", "b64", "b512"]
    [listed, _] = sheets(grid.plans, grid.read, Options(("test/acc",), grid=()))
    assert len(listed.rows) == 5


def test_mistakes_in_a_grid(grid, norms):
    table = aggregate_plan(grid.plans[0], grid.read, ["test/acc"])
    with pytest.raises(ReportError, match=r"got norms\. There are norm, batch_size"):
        grid_sheet(table, ("norms", "batch_size"))
    with pytest.raises(ReportError, match="has one arm at each place, and batch_size vary as well"):
        grid_sheet(table, ("norm", "norm"))
    assert grid_factors(norms.plans[0]) is None


def test_a_plan_survives_its_journey_through_a_comment(norms):
    for plan in norms.plans:
        again = unpack(pack(plan, norms.read), norms.read)
        assert arms_sheet(aggregate_plan(again, norms.read, ["test/acc"])) == arms_sheet(
            aggregate_plan(plan, norms.read, ["test/acc"])
        )
        assert again.tuned == plan.tuned
        assert [f.verdict for c in claims([again], norms.read) for f in c.findings] == [
            f.verdict for c in claims([plan], norms.read) for f in c.findings
        ]


def test_sweeps_without_an_ablation_file(norms):
    records = list(norms.records.values())
    arms = {"one": records[:4], "two": [*records[4:7], None]}
    plan = plan_of("sweep", arms, "test/acc")
    [sheet] = sheets([plan], norms.read, Options(("test/acc",), mix=("norm",)))
    assert [row[0].text for row in sheet.rows] == ["one", "two"]
    with pytest.raises(ReportError, match="one of arms, grid, factors, targets, budgets, ranks, verdicts, got 'pie'"):
        build({"kind": "pie"}, norms.read)


def test_sequential_seeds_are_said():
    section = {**NORMS, "name": "seq", "seeds": {"report": 3, "cap": 9}}
    section = {key: value for key, value in section.items() if key not in ("tune", "regimes", "hypotheses")}
    found = Made(section, lambda cell: 0.9 + EFFECTS[cell.choices["norm"]], noise=0.003)
    [sheet] = sheets(found.plans, found.read, OPTIONS)
    assert "Verdicts were tested after 3, 6, 9 seeds, and only arms with an open verdict" in sheet.caption
    assert "its repeated t interval, adjusted as p is" in sheet.caption
    counts = [int(n) for n in cells(sheet, "n")]
    assert counts[0] == max(counts) > 3
    assert set(counts) <= {3, 6, 9}


def test_points_are_aligned_and_words_are_not_torn():
    mixed = aligned(["1.5", "10.25", "baseline", "–"])
    assert [text.strip() for text in mixed] == ["1.5", "10.25", "baseline", "–"]
    assert mixed[0].index(".") == mixed[1].index(".")
    assert {len(text) for text in mixed} == {8}
    numbers = aligned(["1.5", "10.25", "3"])
    assert numbers == [" 1.5 ", "10.25", " 3   "]
    assert {len(text) for text in aligned(["−1.5 (−2.0 to −1.0)", "+0.25 (0.1 to 0.4)", ""])} == {19}
    assert label_of("x}\\input{y}", "") == "x-input-y"
    sheet = Sheet("t", "l", [Column("arm", words=True), Column("v")], [[Entry("a"), Entry("1.5")]], "caption")
    assert markdown(sheet).startswith("| arm |   v |")
