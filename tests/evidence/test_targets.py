"""Times to targets: read off histories, censored at budgets, compared in pairs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from paribus.ablation.cells import Cell, Plan, Tuned
from paribus.ablation.parser import parse
from paribus.base.metrics import FIRST
from paribus.evidence.targets import times_to_targets, way_of
from paribus.report.tables.targets import targets_sheet
from paribus.stats.intervals import mean_interval
from paribus.stats.multiple import holm
from paribus.stats.survival import paired_logrank
from paribus.store.record import Record

ACC, LOSS = FIRST.key("val/acc"), FIRST.key("val/loss")
EPOCHS, UPDATES, SAMPLES = 10, 38, 1200  # of a run; in an epoch


def record(id="a0", status="done", epochs=EPOCHS, updates=UPDATES, budget=f"{EPOCHS} epochs", **more):
    timing = {"steps": updates * epochs, "epochs": float(epochs), "samples": float(SAMPLES * epochs)}
    return Record(id, status, seed=int(id[-1]), comparable={"budget": budget}, timing=timing, **more)


def history(values, updates=UPDATES, every=1, metric="val/acc"):
    epochs = [every * (k + 1) for k in range(len(values))]
    return {
        "epoch": epochs,
        "step": [updates * epoch for epoch in epochs],
        "seconds": [0.5 * epoch for epoch in epochs],
        metric: values,
    }


def test_the_first_validation_that_reaches_the_target_counts():
    found = way_of(record(), history([0.5, 0.96, 0.97, 0.4, 0.99]), ACC, 0.97)
    assert found.reached
    assert found.at == {"updates": 3 * UPDATES, "epochs": 3.0, "samples": 3 * SAMPLES, "seconds": 1.5}
    assert found.since == {"updates": 2 * UPDATES, "epochs": 2.0, "samples": 2 * SAMPLES, "seconds": 1.0}


def test_where_lower_is_better_the_target_is_reached_from_above():
    assert way_of(record(), history([2.0, 0.31, 0.3], metric="val/loss"), LOSS, 0.3).at["epochs"] == 3
    assert not way_of(record(), history([2.0, 0.31], metric="val/loss"), LOSS, 0.3).reached


def test_rows_without_the_metric_and_nan_are_no_validations():
    columns = history([math.nan, 0.5, math.nan, 0.99])
    found = way_of(record(), columns, ACC, 0.97)
    assert (found.at["epochs"], found.since["epochs"]) == (4.0, 2.0)


def test_before_the_first_validation_a_run_may_have_got_there_at_once():
    assert way_of(record(), history([0.98]), ACC, 0.97).since["updates"] == 0


def test_a_run_that_does_not_get_there_is_censored_at_its_budget():
    found = way_of(record(), history([0.5] * EPOCHS), ACC, 0.97)
    assert (found.reached, found.whole, found.never) == (False, True, False)
    assert found.at == {"updates": UPDATES * EPOCHS, "epochs": EPOCHS, "samples": SAMPLES * EPOCHS, "seconds": 5.0}


@pytest.mark.parametrize(
    ("run", "values"),
    [
        (record(status="diverged", epochs=2), [0.5, math.nan]),
        (record(status="diverged", epochs=2), [0.98, 0.3]),  # what it reached before is gone
        (record(status="diverged", epochs=1), []),
        (record(epochs=4), [0.5] * 4),  # stopped early
    ],
)
def test_a_run_that_diverges_or_stops_early_never_gets_there(run, values):
    found = way_of(run, history(values), ACC, 0.97)
    assert (found.reached, found.never) == (False, True)
    assert set(found.at.values()) == {math.inf}


@pytest.mark.parametrize("budget", ["380 updates", "12000 samples", "unknown", ""])
def test_the_budget_says_whether_a_run_was_trained_to_its_end(budget):
    assert way_of(record(budget=budget), history([0.5] * EPOCHS), ACC, 0.97).whole


@pytest.mark.parametrize("budget", ["381 updates", "12001 samples", "11 epochs"])
def test_what_ends_before_its_budget_never_gets_there(budget):
    assert way_of(record(budget=budget), history([0.5] * EPOCHS), ACC, 0.97).never


@pytest.mark.parametrize(
    "run", [None, record(status="running"), record(status="failed"), record(excluded="wrong data")]
)
def test_runs_that_do_not_count_have_no_way(run):
    assert way_of(run, history([0.99]), ACC, 0.97) is None


def test_a_run_without_a_history_has_no_way():
    assert way_of(record(), {}, ACC, 0.97) is None
    assert way_of(record(), history([0.9], metric="val/loss"), ACC, 0.97) is None


def test_where_batches_grow_samples_follow_the_epochs():
    """Epochs of 38, 19 and 10 updates have equally many samples."""
    columns = {**history([0.5, 0.98, 0.99]), "step": [38, 57, 67]}
    run = replace(record(epochs=3), timing={"steps": 67, "epochs": 1.7632, "samples": 3600.0})
    found = way_of(run, columns, ACC, 0.97)
    assert (found.at["updates"], found.at["epochs"], found.at["samples"]) == (57, 2, 2400.0)


class Made:
    """An ablation of arms whose run k reaches the target in the epoch that `first` names, None for never."""

    def __init__(self, first, seeds=None, budget=EPOCHS, sizes=None, **section):
        seeds = seeds or len(next(iter(first.values())))
        self.records, self.histories = {}, {}
        arms = list(first)
        [ablation] = parse(
            {"name": "made", "factors": {"norm": arms}, "seeds": seeds, "targets": {"val/acc": 0.97}, **section}
        )
        self.plan = Plan("made", ablation.metric, ablation=ablation)
        for number, (arm, epochs) in enumerate(first.items()):
            updates = (sizes or {}).get(arm, UPDATES)
            cells = [self.cell(f"{number}{k}", arm, epoch, budget, updates) for k, epoch in enumerate(epochs)]
            self.plan.arms[arm] = cells
            self.plan.levels[arm] = {"norm": arm}

    def cell(self, id, arm, epoch, budget=EPOCHS, updates=UPDATES):
        diverged = epoch == "diverged"
        ends = 2 if diverged else budget
        self.records[id] = record(id, "diverged" if diverged else "done", ends, updates, f"{budget} epochs")
        reaches = math.inf if epoch is None or diverged else epoch
        self.histories[id] = history([0.98 if k + 1 >= reaches else 0.5 for k in range(ends)], updates)
        return Cell(arm, int(id[-1]), "report", (), id)

    def times(self, **options):
        return times_to_targets(self.plan, self.records.get, lambda id: self.histories.get(id, {}), **options)


def said(times):
    return targets_sheet("made", times).caption


EARLY, LATE = [2, 3, 2, 4, 3, 2], [6, 5, 7, None, 6, 8]


def test_arms_are_compared_by_the_paired_log_rank_test_and_the_restricted_mean():
    [found] = Made({"batch": LATE, "none": EARLY, "layer": LATE[::-1]}).times()
    assert (found.unit, found.baseline, found.comparisons) == ("updates", "batch", 2)
    assert found.horizons["updates"] == UPDATES * EPOCHS
    assert found.gaps == (UPDATES, UPDATES)
    none, batch, layer = (found.arms[arm] for arm in ("none", "batch", "layer"))
    assert (none.n, none.reached, batch.reached, batch.never) == (6, 6, 5, 0)
    plain = mean_interval([UPDATES * epoch for epoch in EARLY])
    mean = none.means["updates"]
    assert (mean.mean, mean.low, mean.high) == pytest.approx((plain.mean, plain.low - UPDATES, plain.high))
    assert batch.means["updates"].mean == pytest.approx(UPDATES * (6 + 5 + 7 + 10 + 6 + 8) / 6)
    assert none.means["samples"].mean == pytest.approx(plain.mean / UPDATES * SAMPLES)
    late = [epoch or EPOCHS for epoch in LATE]
    there = [epoch is not None for epoch in LATE]
    p = [
        paired_logrank(EARLY, late, [True] * 6, there).p,
        paired_logrank(late[::-1], late, there[::-1], there).p,
    ]
    assert (none.p, layer.p) == pytest.approx(p)
    assert (none.p_holm, layer.p_holm) == pytest.approx(holm(p))
    assert math.isnan(batch.p)
    assert none.median.time == 2 * UPDATES


def test_another_baseline():
    [found] = Made({"batch": LATE, "none": EARLY}).times(baseline="none")
    assert math.isnan(found.arms["none"].p)
    assert found.arms["batch"].p == 2 / 2**6


def test_diverged_runs_never_get_there_and_do_not_shorten_the_horizon():
    [found] = Made({"batch": LATE, "none": [2, 2, 2, 2, 2, "diverged"]}).times()
    none = found.arms["none"]
    assert found.horizons["updates"] == UPDATES * EPOCHS
    assert none.never == 1
    assert none.means["updates"].mean == pytest.approx((5 * 2 + EPOCHS) / 6 * UPDATES)
    assert none.curve.share[-1] == pytest.approx(1 / 6)


def test_where_all_runs_of_all_arms_diverge_there_is_no_mean_beyond_their_training():
    [found] = Made({"batch": ["diverged"] * 3, "none": ["diverged"] * 3}).times()
    assert found.horizons["updates"] == 2 * UPDATES
    assert found.arms["none"].p == 1.0
    assert found.arms["none"].median.time == math.inf


def test_missing_runs_leave_their_pairs_out():
    made = Made({"batch": LATE, "none": EARLY})
    del made.records["11"]
    made.histories["00"] = {}
    [found] = made.times()
    assert (found.arms["none"].n, found.arms["batch"].n, found.arms["none"].pairs) == (5, 5, 4)
    assert found.missing == 1
    assert found.arms["none"].p == 2 / 2**4
    made.plan.arms["none"] = [None] * 6
    [found] = made.times()
    assert found.arms["none"].n == 0
    assert found.arms["none"].means == {}
    assert math.isnan(found.arms["none"].p)


def test_budgets_that_are_equal_in_epochs_alone_are_compared_in_epochs():
    [found] = Made({"batch": LATE, "none": EARLY}, sizes={"none": 4 * UPDATES}).times()
    assert found.unit == "epochs"
    assert found.horizons == {"updates": 380, "epochs": 10, "samples": 12_000, "seconds": 5.0}
    assert found.arms["none"].median.time == 2
    assert found.gaps == (UPDATES, 4 * UPDATES)


def test_without_targets_or_histories_nothing_is_said():
    made = Made({"batch": LATE, "none": EARLY})
    made.histories.clear()
    assert made.times() == []
    made.plan.ablation = replace(made.plan.ablation, targets={})
    assert made.times() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_units_that_a_history_does_not_tell_are_left_out(value):
    made = Made({"batch": LATE, "none": EARLY})
    made.histories["10"]["seconds"] = [value] * EPOCHS
    [found] = made.times()
    assert list(found.horizons) == ["updates", "epochs", "samples"]
    assert list(found.arms["none"].means) == ["updates", "epochs", "samples"]
    made.histories["10"]["step"] = made.histories["10"]["epoch"] = [value] * EPOCHS
    assert made.times() == []


def test_several_targets_are_one_family():
    made = Made({"batch": LATE, "none": EARLY}, targets={"val/acc": 0.97, "val/loss": 0.3})
    for columns in made.histories.values():
        columns["val/loss"] = [0.2 for _ in columns["step"]]
    acc, loss = made.times()
    assert acc.comparisons == loss.comparisons == 2
    assert acc.arms["none"].p_holm == pytest.approx(2 * acc.arms["none"].p)
    assert loss.arms["none"].p == loss.arms["none"].p_holm == 1.0


def test_each_look_spends_its_share_of_the_error():
    first = [2] * 8
    made = Made({"batch": [6] * 8, "none": first}, seeds={"report": 4, "cap": 8})
    [found] = made.times()
    assert found.looks.sizes == (4, 8)
    assert "(smallest possible p of one: 0.016). The errors are divided over the looks after 4, 8 seeds." in said(found)
    assert found.arms["none"].p == pytest.approx(min(2 / 2**4 / 0.5, 2 / 2**8 / 0.5))
    made.records["15"].status = "running"  # the second look is not over
    [found] = made.times()
    assert found.arms["none"].p == pytest.approx(2 / 2**4 / 0.5)
    assert found.arms["none"].pairs == 4


def test_a_tuned_arm_is_faster_only_where_it_beats_each_point_that_its_rival_keeps():
    made = Made({"batch": [5] * 6, "none": [3] * 6}, seeds={"tune": 2, "report": 6}, tune={"optimizer.lr": [0.1, 0.2]})
    plan = made.plan
    for number, (arm, epoch) in enumerate({"batch": 5, "none": 3}.items(), start=2):
        trials = []
        for point, rate in enumerate((0.1, 0.2)):
            ids = tuple(f"t{number}{point}{seed}" for seed in range(2))
            for id in ids:
                made.cell(id, arm, epoch)
                made.records[id].metrics = {"val/acc": 0.98 + 0.001 * int(id[-1])}
            trials.append(({"optimizer.lr": rate}, ids))
        plan.tuned[arm] = Tuned({"optimizer.lr": 0.1}, 0.98, (), tuple(trials))
    for each in made.records.values():
        each.metrics.setdefault("val/acc", 0.98)
    plan.kept["batch"] = {1: [made.cell(f"k{seed}", "batch", 2) for seed in range(6)]}  # a point as fast as its rival
    plan.kept["none"] = {1: [made.cell(f"l{seed}", "none", 3) for seed in range(6)]}
    for seed in range(6):
        made.records[f"k{seed}"].metrics = made.records[f"l{seed}"].metrics = {"val/acc": 0.97}
    [found] = made.times()
    assert "A tuned arm counts as faster only where it is at every point of the grid that its rival keeps" in said(
        found
    )
    assert found.arms["none"].means["epochs"].mean == 3
    assert found.arms["batch"].means["epochs"].mean == 5
    assert found.arms["none"].p == 1.0
    for seed in range(6):
        made.cell(f"k{seed}", "batch", 9)
        made.records[f"k{seed}"].metrics = {"val/acc": 0.97}
    [found] = made.times()
    assert found.arms["none"].p == 2 / 2**6
