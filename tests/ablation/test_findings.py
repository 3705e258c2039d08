"""Verdicts from plans and records, and seeds that are added where a verdict is open."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from paribus.ablation.cells import Cell, Plan, Tuned
from paribus.ablation.file import Ablation, AblationError, Hypothesis, Seeds
from paribus.ablation.findings import family, findings, implied, matching
from paribus.ablation.parser import parse
from paribus.ablation.sequential import extend
from paribus.base.errors import UserError
from paribus.base.metrics import FIRST
from paribus.store.record import Record
from paribus.store.scores import score

EFFECTS = {"batch": 0.0, "none": -0.03, "layer": 0.0, "group": 0.004}


def cell(arm: str, seed: int) -> Cell:
    return Cell(arm, seed, "report", (), f"{arm}-{seed}")


def hypothesis(id="h", arm="batch", versus="none", direction="greater", metric="test/acc", smallest=None):
    return Hypothesis(id, "claim", {"norm": arm}, {"norm": versus}, direction, FIRST.key(metric), smallest)


def study(n=5, hypotheses=(), looks=(), effects=EFFECTS, noise=0.004, diverged=()):
    """A plan with n seeds, and the records of its arms with seeds up to 40."""
    r = np.random.default_rng(0)
    seeds = Seeds((), tuple(range(n)), more=tuple(range(n, 40)), looks=looks)
    ablation = Ablation("a", "one_factor", (), seeds, smallest_effect=0.005, hypotheses=tuple(hypotheses))
    plan = Plan("a", arms={arm: [cell(arm, s) for s in range(n)] for arm in effects}, ablation=ablation)
    plan.levels = {arm: {"norm": arm} for arm in effects}
    records = {}
    for arm, effect in effects.items():
        for s in range(40):
            gone = (arm, s) in diverged
            records[f"{arm}-{s}"] = Record(
                f"{arm}-{s}", "diverged" if gone else "done", seed=s, classes=10, choices={"loss": "cross_entropy"},
                metrics={} if gone else {"test/acc": 0.9 + effect + r.normal(0, noise), "test/loss": 0.3},
            )  # fmt: skip
    return plan, records


def values(records, arm, n=5):
    return np.array([records[f"{arm}-{s}"].metrics["test/acc"] for s in range(n)])


def test_a_finding_is_the_paired_comparison_after_holm_over_all_arms():
    plan, records = study(hypotheses=[hypothesis(), hypothesis("g", "group", "batch")])
    found = findings(plan, records.get)
    # Of six ends one is taken out: that batch reaches d against none. The others are judged at a fifth.
    for each, (a, b) in zip(found, (("batch", "none"), ("group", "batch")), strict=True):
        interval = stats.ttest_rel(values(records, a), values(records, b)).confidence_interval(1 - 2 * 0.05 / 5)
        assert (each.difference.low, each.difference.high) == pytest.approx((interval.low, interval.high))
    arms = family(plan, records.get).arms
    assert arms["none"].difference.low == -found[0].difference.high
    assert arms["group"].difference == found[1].difference
    assert arms["layer"].verdict.alpha == pytest.approx(0.05 / 5)
    expected = (values(records, "batch") - values(records, "none")).mean()
    assert (found[0].difference.mean, found[0].verdict.gain) == pytest.approx((expected, expected))
    assert (found[0].verdict.outcome, found[0].comparisons) == ("SUPPORTED", 3)
    assert (found[1].verdict.outcome, found[1].open, found[1].planned) == ("INCONCLUSIVE", True, 5)


def test_a_comparison_of_its_own_joins_the_family():
    plan, records = study(hypotheses=[hypothesis("x", "group", "none")])
    [found] = findings(plan, records.get)
    assert found.comparisons == 4


def test_other_factors_are_held_and_averaged_over():
    plan = Plan("a", ablation=replace(study()[0].ablation))
    for norm in ("batch", "none"):
        for lr in ("0.1", "1"):
            plan.levels[f"{norm} {lr}"] = {"norm": norm, "lr": lr}
            plan.arms[f"{norm} {lr}"] = [cell(f"{norm} {lr}", s) for s in range(3)]
    both = Hypothesis("h", "c", {"norm": "none"}, {"norm": "batch"}, "less", FIRST.key("test/acc"))
    assert matching(plan, both) == (("none 0.1", "batch 0.1"), ("none 1", "batch 1"))
    one_sided = Hypothesis("h", "c", {"norm": "none", "lr": "1"}, {"norm": "batch"}, "less", FIRST.key("test/acc"))
    assert matching(plan, one_sided) == (("none 1", "batch 0.1"),)  # what one side does not name is the baseline's
    r = np.random.default_rng(1)
    records = {
        c.id: Record(c.id, "done", metrics={"test/acc": r.random()}) for cells in plan.arms.values() for c in cells
    }
    [found] = family(plan, records.get, hypotheses=[both]).findings
    acc = {arm: np.array([records[c.id].metrics["test/acc"] for c in cells]) for arm, cells in plan.arms.items()}
    d = (acc["none 0.1"] - acc["batch 0.1"] + acc["none 1"] - acc["batch 1"]) / 2
    assert found.difference.mean == pytest.approx(d.mean())
    assert found.difference.sd == pytest.approx(d.std(ddof=1))


def test_diverged_runs_are_scored_at_chance():
    plan, records = study(hypotheses=[hypothesis("w", "layer", "batch")], diverged=[("layer", 1)])
    [found] = findings(plan, records.get)
    own = [0.1 if s == 1 else records[f"layer-{s}"].metrics["test/acc"] for s in range(5)]
    assert found.difference.mean == pytest.approx(np.mean(own - values(records, "batch")))
    assert found.diverged == 1
    for record in records.values():
        record.classes = None  # chance is unknown: the worst, and so no verdict
    [found] = findings(plan, records.get)
    assert found.verdict.outcome == "INCONCLUSIVE"


def test_a_collapse_counts_once_more_tuning_runs_included():
    plan, records = study(n=8, hypotheses=[hypothesis("w", "layer", "none")])
    [clean] = findings(plan, records.get)
    assert (clean.verdict.outcome, clean.collapses["layer"].count) == ("SUPPORTED", 0)
    records["t-0"] = replace(records["layer-0"], id="t-0", metrics={"test/acc": 0.2})
    plan.tuned["layer"] = Tuned({"lr": 1}, 0.9, (), (({"lr": 0}, ("none-0",)), ({"lr": 1}, ("t-0",))), 1)
    [found] = findings(plan, records.get)
    assert (found.collapses["layer"].count, found.collapses["layer"].n) == (1, 9)
    d = values(records, "layer", 8) - values(records, "none", 8)
    median = np.median(np.append(values(records, "layer", 8), 0.2))
    more = np.append(d, np.median(d) + 0.2 - np.median(values(records, "layer", 8)))
    assert median < 0.95
    interval = stats.ttest_1samp(more, 0).confidence_interval(1 - 2 * found.verdict.alpha)
    assert found.verdict.low == pytest.approx(interval.low, abs=0.01)
    assert found.verdict.outcome == "INCONCLUSIVE"
    assert found.difference.mean == pytest.approx(d.mean())


def test_a_claim_about_times_needs_runs_that_were_alone():
    plan, records = study(hypotheses=[hypothesis(metric="ms_per_update", smallest=0.1)])
    for record in records.values():
        record.timing["ms_per_update"] = 1.0 + 0.5 * record.id.startswith("batch") + record.seed / 100
    [found] = findings(plan, records.get)
    assert found.difference.n == 5
    records["none-2"].timing["stack"] = 4
    [found] = findings(plan, records.get)
    assert (found.difference.n, found.verdict.outcome) == (0, "INCONCLUSIVE")


def test_scores():
    run = Record("x", "done", metrics={"test/acc": 0.5}, timing={"ms_per_update": 2.0})
    assert score(run, "test/acc") == 0.5
    assert score(run, "ms_per_update") == 2.0
    assert all(math.isnan(score(each, "test/acc")) for each in (None, Record("x", "failed"), Record("x", "running")))
    gone = Record("x", "diverged", classes=4, choices={"loss": "cross_entropy"})
    assert score(gone, "test/acc") == 0.25
    assert score(gone, "test/loss") == pytest.approx(math.log(4))
    assert score(replace(gone, choices={"loss": "mse"}), "test/loss") == math.inf
    assert score(replace(gone, classes=None), "test/acc") == -math.inf
    assert math.isnan(score(gone, "ms_per_update"))


def test_scores_follow_the_declarations_of_the_record():
    declared = {"rmse": {"better": "lower", "unit": "km", "chance": 3.5}, "size": {"better": None}}
    gone = Record("x", "diverged", declared=declared)
    assert score(gone, "test/rmse") == 3.5
    assert math.isnan(score(gone, "test/size"))
    assert math.isnan(score(gone, "test/acc"))  # it declares none
    assert score(replace(gone, declared={"rmse": {"better": "lower"}}), "test/rmse") == math.inf


def test_declarations_that_contradict_each_other_give_no_verdict():
    plan, records = study(hypotheses=[hypothesis()])
    records["none-2"].declared = {"acc": {"better": "lower", "unit": "percent"}}
    with pytest.raises(UserError, match=r"test/acc.*better is higher in the configuration and lower in run none-2"):
        findings(plan, records.get)


def test_an_invalid_run_is_in_no_comparison():
    plan, records = study(hypotheses=[hypothesis()])
    records["none-2"].excluded = "wrong data"
    [found] = findings(plan, records.get)
    assert (found.difference.n, found.missing) == (4, 1)


def test_what_is_missing_is_counted():
    plan, records = study(hypotheses=[hypothesis()])
    del records["none-2"]
    plan.arms["none"][4] = None
    [found] = findings(plan, records.get)
    assert (found.difference.n, found.missing) == (3, 2)
    absent = replace(plan.ablation, hypotheses=(hypothesis("z", "weight", "none"),))
    plan.ablation = absent
    [found] = findings(plan, records.get)
    assert (found.pairs, found.verdict.outcome, found.difference.n) == ((), "INCONCLUSIVE", 0)
    assert findings(Plan("sweep"), records.get) == []


def test_an_ablation_without_hypotheses_asks_whether_arms_are_better():
    plan, _ = study()
    assert [each.claim for each in implied(plan)] == [f"{a} is better than batch" for a in ("none", "layer", "group")]
    assert {each.direction for each in implied(plan)} == {"greater"}
    plan.ablation = replace(plan.ablation, metric=FIRST.key("test/loss"))
    assert {each.direction for each in implied(plan)} == {"less"}


# Sequential seeds


def grown(plan, records):
    def further(arm, n, kept):
        plan.arms[arm] += [cell(arm, seed) for seed in range(len(plan.arms[arm]), n)]

    extend(plan, records.get, further)
    return {arm: len(cells) for arm, cells in plan.arms.items()}


def test_only_open_arms_and_the_baseline_get_more_seeds():
    plan, records = study(looks=(5, 10, 20))
    sizes = grown(plan, records)
    assert sizes["none"] == 5  # far worse: settled at once
    assert sizes["batch"] == max(sizes.values()) > 5
    assert set(sizes.values()) <= {5, 10, 20}
    assert plan.complete
    open_arms = [
        each.hypothesis.id for each in family(plan, records.get, hypotheses=implied(plan)).findings if each.open
    ]
    assert all(sizes[arm] == 20 for arm in open_arms)


def test_hypotheses_say_whose_verdicts_count():
    plan, records = study(looks=(5, 10, 20), hypotheses=[hypothesis()])
    assert set(grown(plan, records).values()) == {5}


def test_nothing_is_added_before_all_runs_of_a_look_are_over():
    plan, records = study(looks=(5, 10))
    waiting = records.pop("layer-3")
    assert set(grown(plan, records).values()) == {5}
    assert not plan.complete
    records["layer-3"] = waiting
    assert grown(plan, records)["batch"] == 10


def test_the_same_records_give_the_same_plan_whenever_it_is_made():
    plan, records = study(looks=(5, 10, 20))
    sizes = grown(plan, records)
    again, _ = study(looks=(5, 10, 20))
    trained = {c.id for cells in plan.arms.values() for c in cells}
    assert grown(again, {id: r for id, r in records.items() if id in trained}) == sizes


def test_the_price_of_looking_is_paid():
    plan, records = study(hypotheses=[hypothesis()], looks=(5, 10))
    [found] = findings(plan, records.get)
    fixed, _ = study(hypotheses=[hypothesis()])
    [plain] = findings(fixed, records.get)
    assert found.difference.p == pytest.approx(min(1.0, 2 * plain.difference.p))
    assert found.verdict.low < plain.verdict.low
    assert found.verdict.alpha == pytest.approx(plain.verdict.alpha / 2)
    assert found.cap == 10


SECTION = {"name": "a", "factors": {"norm": ["batch", "none"]}}


def test_the_file_says_cap_and_step():
    [found] = parse({**SECTION, "seeds": {"report": 5, "cap": 18}})
    assert found.seeds.looks == (5, 10, 15, 18)
    assert (found.seeds.report, found.seeds.more) == (tuple(range(5)), tuple(range(5, 18)))
    [stepped] = parse({**SECTION, "seeds": {"report": [3, 1], "cap": 4, "step": 1}})
    assert (stepped.seeds.looks, stepped.seeds.more) == ((2, 3, 4), (4, 5))
    [plain] = parse({**SECTION, "seeds": 3})
    assert (plain.seeds.looks, plain.seeds.more) == ((), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": {"report": 5, "cap": 5}}, r"seeds\.cap must be above the 5"),
        ({"seeds": {"report": 1, "cap": 5}}, r"seeds\.cap must be above .*2 or more"),
        ({"seeds": {"report": 5, "cap": "many"}}, r"seeds\.cap must be a number"),
        ({"seeds": {"report": 5, "cap": 9, "step": 0}}, r"seeds\.step must be a number"),
        ({"seeds": {"report": 5, "step": 2}}, r"seeds\.step only has a meaning with a cap"),
        ({"seeds": {"report": 5, "cap": 9}, "design": "path"}, r"seeds\.cap .*path"),
    ],
)
def test_mistakes_in_the_file(change, message):
    with pytest.raises(AblationError, match=message):
        parse({**SECTION, **change})


def test_a_hypothesis_about_a_metric_in_another_unit_names_its_smallest_effect():
    claim = {"id": "t", "claim": "faster", "arm": {"norm": "none"}, "versus": {"norm": "batch"}, "direction": "less"}
    with pytest.raises(AblationError, match=r"hypotheses\[0\]\.smallest_effect must be given.*ms_per_update"):
        parse({**SECTION, "hypotheses": [{**claim, "metric": "ms_per_update"}]})
    [found] = parse({**SECTION, "hypotheses": [{**claim, "metric": "ms_per_update", "smallest_effect": 0.1}]})
    assert found.hypotheses[0].smallest == 0.1
    [of_accuracy] = parse({**SECTION, "hypotheses": [{**claim, "metric": "val/acc"}]})
    assert of_accuracy.hypotheses[0].smallest is None
