"""The aggregate: means, differences and counts of the right runs, and a refusal to compare unequal ones."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from made_ablations import Made
from scipy import stats

from paribus.evidence.aggregate import aggregate, aggregate_plan
from paribus.evidence.arms import ReportError
from paribus.report.tables.sheets import arms_sheet
from paribus.stats.multiple import holm
from paribus.stats.sequential import Looks
from paribus.store.record import Record

FACTS = {"semantics": 1, "budget": "20 epochs", "data": "abc", "world_size": 1, "precision": "32-true"}


def run(arm: str, seed: int, acc: float = 0.9, status="done", facts=None, metrics=None, **choices) -> Record:
    return Record(
        id=f"{arm}-{seed}",
        status=status,
        seed=seed,
        arm=arm,
        choices={"norm": arm, "model": "cnn", **{k.replace("__", "."): v for k, v in choices.items()}},
        comparable={**FACTS, **(facts or {})},
        metrics={"test/acc": acc, "test/loss": 1 - acc, **(metrics or {})},
        timing={"ms_per_update": 1.0 + seed},
        parameters=100,
    )


def arms(n: int = 5, levels=(0.90, 0.92, 0.91), seed: int = 0) -> dict[str, list[Record]]:
    noise = np.random.default_rng(seed).normal(0, 0.002, (len(levels), n))
    return {f"arm{k}": [run(f"arm{k}", s, level + noise[k, s]) for s in range(n)] for k, level in enumerate(levels)}


def values(records) -> list[float]:
    return [record.metrics["test/acc"] for record in records]


def test_numbers_are_those_of_scipy():
    given = arms()
    table = aggregate("norm", given, ["test/acc", "ms_per_update"])
    p = [stats.ttest_rel(values(given[arm]), values(given["arm0"])).pvalue for arm in ("arm1", "arm2")]
    for row, arm in zip(table.rows, given, strict=True):
        cell = row.cells["test/acc"]
        interval = stats.ttest_1samp(values(given[arm]), 0).confidence_interval()
        assert row.arm == arm
        assert (cell.mean.low, cell.mean.high) == pytest.approx((interval.low, interval.high))
        assert list(cell.values.values()) == values(given[arm])
    assert [row.cells["test/acc"].p_holm for row in table.rows[1:]] == pytest.approx(holm(p))
    assert table.baseline.cells["test/acc"].difference is None
    assert table.rows[1].cells["ms_per_update"].mean.mean == 3.0
    assert table.rows[1].cells["ms_per_update"].difference is None
    assert (table.varied, table.held, table.seeds) == (["norm"], {"model": "cnn"}, [0, 1, 2, 3, 4])
    assert table.facts == {**FACTS, "evaluated": "last"}


def test_only_finished_runs_count_and_the_others_are_counted():
    given = {
        "a": [run("a", 0), run("a", 1, math.nan), run("a", 2, status="failed"), None],
        "b": [run("b", 0, 0.5), run("b", 1, status="diverged"), run("b", 2, status="running"), None, None],
    }
    a, b = aggregate("norm", given, ["test/acc"]).rows
    assert (a.n, a.diverged, a.failed, a.running, a.missing) == (2, 0, 1, 0, 1)
    assert (b.n, b.diverged, b.failed, b.running, b.missing) == (1, 1, 0, 1, 2)
    assert a.cells["test/acc"].mean.n == 1  # the other has no finite value
    assert b.cells["test/acc"].mean.mean == 0.5


def test_pairs_are_runs_with_the_same_seed():
    given = {
        "a": [run("a", s, 0.9 + s / 100) for s in (0, 1, 2, 3)],
        "b": [run("b", s, 0.8 + s / 50) for s in (3, 1, 7)],
    }
    difference = aggregate("norm", given, ["test/acc"]).rows[1].cells["test/acc"].difference
    assert (difference.n, difference.mean) == (2, pytest.approx(np.mean([-0.07, -0.09])))
    one = aggregate("norm", {"a": given["a"][:2], "b": given["b"]}, ["test/acc"])
    assert one.rows[1].cells["test/acc"].difference is None


def test_separate_seeds_pair_too():
    given = {
        arm: [run(arm, 0, base + s / 100 * base, seeds__order=s) for s in range(3)]
        for arm, base in (("a", 0.5), ("b", 0.6))
    }
    assert aggregate("norm", given, ["test/acc"]).rows[1].cells["test/acc"].difference.n == 3


def test_runs_that_share_a_seed_within_an_arm_are_all_kept_and_not_paired():
    sweep = [run(arm, s, 0.9, optimizer=o) for arm in ("a", "b") for s in (0, 1) for o in ("sgd", "adam")]
    for number, record in enumerate(sweep):
        record.id = str(number)
    table = aggregate("sweep", sweep, ["test/acc"], mix=["optimizer"], by=["norm"])
    assert [row.cells["test/acc"].mean.n for row in table.rows] == [4, 4]
    assert table.rows[1].cells["test/acc"].difference is None


def test_the_baseline_can_be_named_and_rows_sorted():
    table = aggregate("norm", arms(), ["test/acc"], baseline="arm2", sort=True)
    assert [row.arm for row in table.rows] == ["arm1", "arm2", "arm0"]
    assert table.baseline.arm == "arm2"
    assert table.rows[0].cells["test/acc"].difference.mean == pytest.approx(0.01, abs=0.003)
    assert aggregate("norm", arms(), ["test/loss"], sort=True).rows[0].arm == "arm1"


def bold(table, metric: str = "test/acc") -> list[str]:
    return [row.arm for row in table.rows if row.cells[metric].best]


def test_bold_are_the_arms_that_may_be_the_best():
    levels = (0.90, 0.9701, 0.97, 0.91)
    assert bold(aggregate("norm", arms(5, levels), ["test/acc"])) == ["arm1", "arm2"]
    assert bold(aggregate("norm", arms(5, levels), ["test/loss"]), "test/loss") == ["arm1", "arm2"]


def test_bold_says_nothing_where_it_can_not():
    assert bold(aggregate("norm", arms(5, (0.97, 0.97)), ["test/acc"])) == []  # all alike
    assert bold(aggregate("norm", arms(1), ["test/acc"])) == []  # one seed
    assert bold(aggregate("norm", arms(5, (0.97,)), ["test/acc"])) == []  # one arm
    times = aggregate("norm", arms(), ["ms_per_update"])
    assert bold(times, "ms_per_update") == []


def test_one_arm_that_swings_makes_no_other_bold():
    """Tests are unpooled: an arm with a deviation of 27 points says nothing about two others."""
    levels = (0.97, 0.95, 0.60)
    given = arms(8, levels)
    for record, swing in zip(given["arm2"], (0.3, -0.27, 0.2, -0.3, 0.25, -0.2, 0.1, -0.1), strict=True):
        record.metrics["test/acc"] = 0.6 + swing
    table = aggregate("norm", given, ["test/acc"])
    assert table.rows[1].cells["test/acc"].p_holm < 0.05
    assert bold(table) == ["arm0"]


@pytest.mark.parametrize("baseline", ["arm0", "arm1", "arm2"])
def test_what_the_table_calls_worse_is_never_bold(baseline):
    for seed in range(12):
        table = aggregate("norm", arms(4, (0.9, 0.903, 0.906), seed), ["test/acc"], baseline=baseline)
        worse = {r.arm for r in table.rows if (d := r.cells["test/acc"].difference) and d.high < 0}
        if any((d := r.cells["test/acc"].difference) and d.low > 0 for r in table.rows):
            worse.add(baseline)
        assert not worse & set(bold(table))


def test_bold_pays_for_the_looks():
    """The level is that of the smallest share: with looks after 5 and 50 seeds a tenth of 5 %."""
    given = arms(5, (0.90, 0.9042), seed=3)
    p = stats.ttest_rel(values(given["arm1"]), values(given["arm0"]), alternative="greater").pvalue
    assert 0.005 < p < 0.05
    assert bold(aggregate("norm", given, ["test/acc"])) == ["arm1"]
    assert bold(aggregate("norm", given, ["test/acc"], looks=Looks((5, 50)))) == []


def test_times_are_compared_only_where_each_run_was_alone_on_one_machine():
    def table(**changes):
        given = arms()
        for k, record in enumerate(record for of in given.values() for record in of):
            record.created, record.finished = f"2026-11-30T10:{k:02d}:00+00:00", f"2026-11-30T10:{k:02d}:50+00:00"
            record.provenance = {"hardware": {"cpu": "Abacus", "cores": 2}}
        for name, value in changes.items():
            setattr(given["arm1"][2], name, value)
        return aggregate("norm", given, ["test/acc", "ms_per_update"])

    alone = table()
    assert (alone.untimed, alone.metrics) == (None, ["test/acc", "ms_per_update"])
    for changes, reason in (
        ({"timing": {"ms_per_update": 1.0, "stack": 8}}, "1 of 15 runs were trained in stacks"),
        ({"finished": "2026-11-30T10:08:01+00:00"}, "1 of 15 runs were trained while another one was"),
        ({"provenance": {"hardware": {"cpu": "Zuse"}}}, r"different machines \(Abacus, None, 2 cores; Zuse"),
    ):
        found = table(**changes)
        assert re.search(reason, found.untimed)
        assert found.metrics == ["test/acc"]


def test_an_invalid_run_is_in_no_mean_and_the_table_says_so():
    given = arms()
    given["arm1"][2].excluded = "the disk was full"
    table = aggregate("norm", given, ["test/acc"])
    row = table.rows[1]
    assert (row.n, row.missing, row.cells["test/acc"].difference.n) == (4, 0, 4)
    assert row.cells["test/acc"].mean.mean == pytest.approx(np.mean(np.delete(values(given["arm1"]), 2)))
    assert "Marked as invalid and left out: run arm1-2 (the disk was full)." in arms_sheet(table).notes


def test_collapses_are_counted_by_arm():
    given = arms(6)
    given["arm1"][2].metrics["test/acc"] = 0.2
    for records in given.values():
        for record in records:
            record.classes = 10
    table = aggregate("norm", given, ["test/acc"])
    assert [row.collapses.count for row in table.rows] == [0, 1, 0]
    assert [row.collapses for row in aggregate("norm", arms(), ["test/acc"]).rows] == [None] * 3  # chance is not known


def test_an_arm_that_sometimes_diverges_is_not_bold():
    given = arms(5, (0.90, 0.97, 0.97))
    given["arm1"].append(run("arm1", 9, status="diverged"))
    assert bold(aggregate("norm", given, ["test/acc"])) == ["arm2"]


def test_losses_of_different_kinds_are_not_compared():
    given = {
        loss: [run("batch", s, 0.9 - k / 10 + s / 1000 * (k + 1), loss=loss) for s in range(4)]
        for k, loss in enumerate(("cross_entropy", "mse"))
    }
    table = aggregate("loss", given, ["test/acc", "test/loss"])
    assert bold(table) == ["cross_entropy"]
    assert bold(table, "test/loss") == []
    assert table.rows[1].cells["test/loss"].difference is None


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("semantics", 2),
        ("budget", "10 epochs"),
        ("data", "xyz"),
        ("world_size", 2),
        ("precision", "bf16-mixed"),
    ],
)
def test_unequal_runs_are_not_mixed(fact, value):
    given = {"a": [run("a", 0), run("a", 1)], "b": [run("b", 0), run("b", 1)]}
    given["b"] = [run("b", s, facts={fact: value}) for s in (0, 1)]
    with pytest.raises(ReportError, match=rf"differ in {fact}: .*run a-1.*{value}.*run b-1.*--mix {fact}"):
        aggregate("norm", given, ["test/acc"])
    assert aggregate("norm", given, ["test/acc"], mix=[fact]).facts[fact] == "mixed"


def test_test_metrics_of_different_checkpoints_are_not_mixed():
    best = run("b", 0)
    best.evaluated = "best"
    with pytest.raises(ReportError, match="differ in evaluated"):
        aggregate("norm", {"a": [run("a", 0)], "b": [best]}, ["test/acc"])


@pytest.mark.parametrize(
    ("fact", "value", "choice"),
    [
        ("budget", "10 epochs", "budget.epochs"),
        ("budget", "10 epochs", "data"),
        ("data", "xyz", "data"),
        ("data", "xyz", "data.label_noise"),
        ("world_size", 2, "trainer.devices"),
        ("precision", "16-mixed", "trainer.precision"),
    ],
)
def test_what_the_arms_vary_may_differ_between_but_never_within_them(fact, value, choice):
    given = {
        "a": [run("x", s, **{choice: 1}) for s in (0, 1)],
        "b": [run("x", s, facts={fact: value}, **{choice: 2}) for s in (0, 1)],
    }
    assert aggregate("x", given, ["test/acc"]).facts[fact] == "varies"
    given["b"].append(run("x", 2, **{choice: 2}))
    with pytest.raises(ReportError, match=rf"the runs of 'b' differ in {fact}"):
        aggregate("x", given, ["test/acc"])


def test_the_batch_size_is_no_excuse_for_other_data():
    given = {
        "a": [run("x", 0, data__batch_size=32)],
        "b": [run("x", 0, facts={"data": "xyz"}, data__batch_size=64)],
    }
    with pytest.raises(ReportError, match="differ in data"):
        aggregate("x", given, ["test/acc"])


def test_a_failed_run_of_an_old_version_is_no_obstacle():
    given = arms()
    given["arm0"].append(run("arm0", 9, status="failed", facts={"semantics": 0}))
    assert aggregate("norm", given, ["test/acc"]).rows[0].failed == 1


def test_mistakes_are_explained():
    with pytest.raises(ReportError, match=r"no finished run.*\(1 running\)"):
        aggregate("norm", {"a": [None, run("a", 0, status="running")]}, ["test/acc"])
    with pytest.raises(ReportError, match=r"not logged the metric test/accuracy\. There are test/acc, test/loss"):
        aggregate("norm", arms(), ["test/accuracy"])
    with pytest.raises(ReportError, match="baseline is one of the arms arm0, arm1, arm2, got arm7"):
        aggregate("norm", arms(), ["test/acc"], baseline="arm7")


def declaring(records, **declared):
    for record in records:
        record.declared = declared
    return records


def test_the_direction_is_the_one_that_the_records_declare():
    def best(better):
        made = arms()
        for records in made.values():
            declaring(records, acc={"better": better, "unit": None})
        return [row.arm for row in aggregate("norm", made, ["test/acc"], sort=True).rows]

    assert best("higher") == best("lower")[::-1]
    assert [key.metric.unit for key in aggregate("norm", arms(), ["test/acc"]).metrics] == ["percent"]


@pytest.mark.parametrize("declared", [{"better": "lower", "unit": "percent"}, {"better": "higher", "unit": "km"}])
def test_records_that_declare_a_metric_differently_are_not_compared(declared):
    made = arms()
    declaring([last := list(made.values())[-1][-1]], acc=declared)
    with pytest.raises(ReportError, match=rf"test/acc must be declared alike.*in run {last.id}"):
        aggregate("norm", made, ["test/acc"])


def test_the_sign_flip_test_of_other_metrics_is_left_out_where_nobody_asks():
    every, first = (aggregate("norm", arms(), ["test/acc", "test/loss"], exact=exact) for exact in (True, False))
    for whole, row in zip(every.rows, first.rows, strict=True):
        assert whole.cells["test/acc"].difference == row.cells["test/acc"].difference
        if (own := row.cells["test/loss"].difference) is not None:
            said = whole.cells["test/loss"].difference
            assert math.isnan(own.p_sign_flip)
            assert replace(own, p_sign_flip=said.p_sign_flip) == said
            assert 0 < said.p_sign_flip <= 1
    assert any(row.cells["test/loss"].difference for row in first.rows)


def test_ten_thousand_records_take_seconds():
    sweep = [
        run(f"arm{k}", s, 0.9 + 0.001 * ((k * 7 + s * 3) % 11), lr=0.001 * k) for k in range(1_000) for s in range(10)
    ]
    started = time.process_time()
    table = aggregate("sweep", sweep, ["test/acc", "test/loss"])
    assert (len(table.rows), sum(row.n for row in table.rows)) == (1_000, 10_000)
    assert time.process_time() - started < 5.0


def test_a_test_metric_that_no_run_has_says_how_it_is_measured_later():
    section = {"name": "mine", "factors": {"norm": ["none", "batch"]}, "seeds": 2}
    made = Made(section, lambda cell: 0.9)
    [plan] = made.plans
    with pytest.raises(ReportError, match=r"To test the runs now .*: paribus evaluate --metrics f1 ablation=mine$"):
        aggregate_plan(plan, made.read, ["test/f1"])
    with pytest.raises(ReportError, match=r"There are [^:]*$"):
        aggregate_plan(plan, made.read, ["train/f1"])
