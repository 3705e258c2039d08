"""Ablations whose arms are tuned over the trials of a search: equally many points for each, and the same ones."""

import math
from dataclasses import replace
from statistics import fmean

import pytest
from made_ablations import Made

from paribus.ablation.file import AblationError
from paribus.ablation.kept import Scored
from paribus.evidence.aggregate import aggregate_plan
from paribus.evidence.budgets import tuning_budgets
from paribus.evidence.registered import in_words
from paribus.report.tables.caption import caption
from paribus.report.tables.columns import View
from paribus.report.tables.source import pack, unpack
from paribus.stats.spaces import Range, Search, points
from paribus.store.registration import Entry, plain

SECTION = {
    "name": "t",
    "factors": {"norm": ["batch", "layer"]},
    "tune": {"trials": 6, "space": {"optimizer.lr": {"log": [1e-3, 1]}, "model.width": {"int": [8, 64]}}},
    "seeds": {"tune": 3, "report": 4},
}


def accuracy(cell):
    """Best at a rate of 0.1; three other rates are nearly as good."""
    return rated(cell.run.optimizer["lr"])


def rated(lr):
    return 0.9 - (0.01 if 0.02 < lr < 0.5 else 0.3) * abs(lr - 0.1)


def made(**change):
    return Made({**SECTION, **change}, accuracy)


def tried(plan, arm):
    """The points of an arm's tuning runs, in order."""
    found = [(cell.run.optimizer["lr"], cell.run.model["width"]) for cell in plan.tuning if cell.arm == arm]
    return list(dict.fromkeys(found))


def test_every_arm_tries_the_same_points_with_the_same_seeds():
    ablation = made()
    [plan] = ablation.plans
    space = {"model.width": Range("int", (8, 64)), "optimizer.lr": Range("log", (1e-3, 1))}
    drawn = [(point["optimizer.lr"], point["model.width"]) for point in points(space, Search(6))]
    assert tried(plan, "batch") == tried(plan, "layer") == drawn
    assert [[cell.seed for cell in plan.tuning if cell.arm == arm] for arm in plan.arms] == [[1000, 1001, 1002] * 6] * 2
    for arm, tuned in plan.tuned.items():
        assert [tuple(point.values())[::-1] for point, _ in tuned.trials] == drawn
        assert dict(tuned.point) == tuned.trials[tuned.index][0]
        means = [fmean(ablation.read(id).metrics["val/acc"] for id in ids) for _, ids in tuned.trials]
        assert means[tuned.index] == max(means)
        assert tuned.space == space
        assert {cell.run.optimizer["lr"] for cell in plan.arms[arm]} == {tuned.point["optimizer.lr"]}


def test_points_that_tuning_can_not_tell_from_the_best_are_reported_and_cross_fitted():
    """Nothing of the comparison knows whether points are of a grid."""
    ablation = made()
    [plan] = ablation.plans
    assert all(plan.kept[arm] for arm in plan.arms)
    for arm, at in plan.kept.items():
        lr = {plan.tuned[arm].trials[place][0]["optimizer.lr"] for place in at}
        assert all(0.02 < each < 0.5 for each in lr)
        assert [[cell.seed for cell in cells] for cells in at.values()] == [[0, 1, 2, 3]] * len(at)
    scored = Scored(plan, ablation.read)
    runs, rows = scored.at("layer", 4)
    assert len(rows) == 1 + len(plan.kept["layer"])
    assert all(run in row for run, row in zip(runs, zip(*rows, strict=True), strict=True))


def test_more_trials_keep_the_runs_of_fewer():
    few, many = made().plans[0], made(tune={**SECTION["tune"], "trials": 12}).plans[0]
    assert tried(many, "layer")[:6] == tried(few, "layer")
    assert len(tried(many, "layer")) == 12
    assert {cell.id for cell in few.tuning} < {cell.id for cell in many.tuning}
    other = made(tune={**SECTION["tune"], "seed": 1}).plans[0]
    assert not {cell.id for cell in few.tuning} & {cell.id for cell in other.tuning}


def test_an_arm_may_have_another_space_and_has_as_many_trials():
    rule = {"if": {"norm": "layer"}, "tune": {"space": {"optimizer.lr": {"log": [1e-5, 0.1]}}}}
    wider = {"if": {"norm": "layer"}, "tune": {"space": {"optimizer.momentum": {"uniform": [0, 0.9]}}}}
    [plan] = made(when=[rule, wider], factors={"norm": ["batch", "layer", "rms"]}).plans
    assert {arm: len(tuned.trials) for arm, tuned in plan.tuned.items()} == dict.fromkeys(["batch", "layer", "rms"], 6)
    assert tried(plan, "batch") == tried(plan, "rms")
    own = [point for point, _ in plan.tuned["layer"].trials]
    assert [*own[0]] == ["model.width", "optimizer.lr", "optimizer.momentum"]
    assert all(1e-5 <= point["optimizer.lr"] <= 0.1 for point in own)
    # The columns of the sequence stay those of the keys: widths are the same ones, and rates lie at the same places.
    assert [point["model.width"] for point in own] == [width for _, width in tried(plan, "batch")]
    places = []
    for arm in ("batch", "layer"):
        low, high = plan.tuned[arm].space["optimizer.lr"].values
        places.append([math.log(lr / low) / math.log(high / low) for lr, _ in tried(plan, arm)])
    assert places[1] == pytest.approx(places[0], abs=1e-4)


def test_times_are_of_the_arms_own_rate():
    factors = {"optimizer": ["momentum", "adam"]}
    [plan] = made(factors=factors, tune={"trials": 4, "space": {"optimizer.lr": {"times": [0.1, 10]}}}).plans
    assert {arm: tuned.space for arm, tuned in plan.tuned.items()} == {
        "momentum": {"optimizer.lr": Range("log", (0.005, 0.5))},
        "adam": {"optimizer.lr": Range("log", (0.0001, 0.01))},
    }


def test_a_winner_at_the_end_of_its_range_is_named():
    high = {"trials": 16, "space": {"optimizer.lr": {"log": [1e-4, 0.1]}, "model.width": {"int": [8, 64]}}}
    ablation = Made({**SECTION, "tune": high}, lambda cell: 0.9 - abs(cell.run.optimizer["lr"] - 0.1))
    [plan] = ablation.plans
    assert {tuned.edges for tuned in plan.tuned.values()} == {("optimizer.lr",)}
    assert unpack(pack(plan, ablation.read), ablation.read).tuned == plan.tuned


def test_a_plan_survives_its_journey_through_a_comment():
    ablation = made(tune={**SECTION["tune"], "sampler": "random", "seed": 3})
    [plan] = ablation.plans
    again = unpack(pack(plan, ablation.read), ablation.read)
    assert again.tuned == plan.tuned
    assert again.ablation.search == Search(6, "random", 3)
    assert pack(again, ablation.read) == pack(plan, ablation.read)
    grid = Made({**SECTION, "tune": {"optimizer.lr": [0.1, 0.2]}}, accuracy)
    packed = pack(grid.plans[0], grid.read)
    assert "spaces" not in packed
    assert "search" not in packed["ablation"]


def test_secrets_stay_out_of_the_space_of_a_comment():
    ablation = made()
    [plan] = ablation.plans
    for arm, tuned in plan.tuned.items():
        plan.tuned[arm] = replace(
            tuned, space={**tuned.space, "model.api_key": Range("choice", ("k3y-one", "k3y-two"))}
        )
    packed = pack(plan, ablation.read)
    assert "k3y" not in str(packed)
    assert list(packed["spaces"]["batch"]) == ["model.width", "optimizer.lr"]


def test_nested_each_reporting_seed_chooses_among_all_trials():
    ablation = made(seeds={"tune": 2, "report": 3, "tuning": "nested"})
    [plan] = ablation.plans
    assert len(plan.tuning) == 2 * 6 * (2 * 3)
    assert plan.kept == {}
    assert all(0.02 < cell.run.optimizer["lr"] < 0.5 for cells in plan.arms.values() for cell in cells)


def test_a_path_draws_the_same_trials_at_every_step():
    ablation = Made(
        {**SECTION, "design": "path", "factors": {"norm": ["none", "layer"], "loss": ["cross_entropy", "mse"]}},
        lambda cell: accuracy(cell) + 0.03 * (cell.choices["norm"] == "layer"),
    )
    [plan] = ablation.plans
    assert list(plan.arms) == ["baseline", "+ norm=layer"]
    assert len({tuple(tried(plan, arm)) for arm in {cell.arm for cell in plan.tuning}}) == 1


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"optimizer.lrr": {"log": [0.1, 1]}}, r"ablation\.tune\.space\.optimizer\.lrr is not a key of batch's"),
        ({"model.width": {"int": [8, 10]}}, r"ablation\.tune\.space must hold as many .* trials, 6, got 3.*\(batch\)"),
        ({"optimizer": {"times": [1, 2]}}, r"ablation\.tune\.space\.optimizer multiplies the arm's own value"),
    ],
)
def test_what_can_not_be_drawn_is_said_with_file_key_and_arm(tune, message):
    with pytest.raises(AblationError, match=message):
        made(tune={"trials": 6, "space": tune})


HALVED = {"trials": 8, "halving": 2, "space": {"optimizer.lr": {"log": [1e-3, 1]}}}


def test_rungs_of_halving():
    assert Search(27, halving=3).rungs == [(27, 9), (9, 3), (3, 1)]
    assert Search(8, halving=2).rungs == [(8, 4), (4, 2), (2, 1)]
    assert Search(5, halving=2).rungs == [(5, 2), (2, 1)]
    assert Search(6).rungs == [(6, 1)]


def test_halving_gives_every_arm_the_same_number_of_runs_of_each_length():
    ablation = Made({**SECTION, "tune": HALVED}, accuracy, noise=0.0, line=["budget.epochs=8"])
    [plan] = ablation.plans
    drawn = [point["optimizer.lr"] for point in points({"optimizer.lr": Range("log", (1e-3, 1))}, Search(8))]
    for arm, tuned in plan.tuned.items():
        rungs = {}
        for cell in plan.tuning:
            if cell.arm == arm:
                rungs.setdefault(cell.run.length.amount, []).append(cell.run.optimizer["lr"])
        assert {epochs: len(rates) for epochs, rates in rungs.items()} == {2: 8 * 3, 4: 4 * 3, 8: 2 * 3}
        best = sorted(drawn, key=rated, reverse=True)
        assert list(dict.fromkeys(rungs[4])) == [lr for lr in drawn if lr in best[:4]]
        assert list(dict.fromkeys(rungs[8])) == [lr for lr in drawn if lr in best[:2]]
        assert [point["optimizer.lr"] for point, _ in tuned.trials] == list(dict.fromkeys(rungs[8]))
        assert tuned.point["optimizer.lr"] == best[0]
        assert {cell.run.length.amount for cell in plan.arms[arm]} == {8}
    again = unpack(pack(plan, ablation.read), ablation.read)
    assert (again.tuned, again.ablation.search) == (plan.tuned, Search(8, "sobol", 0, 2))
    assert tuning_budgets(plan, ablation.read) is None  # what is left is no sample of the trials


def test_a_run_that_diverged_in_a_short_training_goes_no_further():
    ablation = Made(
        {**SECTION, "tune": HALVED},
        lambda cell: None if cell.run.optimizer["lr"] > 0.05 else accuracy(cell),
        line=["budget.epochs=8"],
    )
    [plan] = ablation.plans
    assert all(point["optimizer.lr"] < 0.05 for tuned in plan.tuned.values() for point, _ in tuned.trials)


def test_halving_that_leaves_nothing_to_train_is_refused():
    with pytest.raises(
        AblationError, match=r"halving begins with 1/4 of the budget, and budget.epochs=3 leaves nothing"
    ):
        Made({**SECTION, "tune": HALVED}, accuracy, line=["budget.epochs=3"])


@pytest.mark.parametrize("halving", [1, 5, 2.0, True, "2"])
def test_what_halving_may_be(halving):
    with pytest.raises(
        AblationError, match=r"ablation.tune.halving must be the number by which the trials are divided"
    ):
        made(tune={**HALVED, "halving": halving})


def test_the_caption_and_the_registration_tell_the_rungs():
    ablation = Made({**SECTION, "tune": HALVED}, accuracy, line=["budget.epochs=8"])
    [plan] = ablation.plans
    content = plain(plan.ablation)
    assert content["search"] == {"trials": 8, "sampler": "sobol", "seed": 0, "halving": 2}
    assert "halving" not in plain(made().plans[0].ablation)["search"]  # as it was registered before
    lines = in_words(Entry("", "", 0, content))
    assert any("8 sobol trials" in line and "halved by 2 from rung to rung" in line for line in lines)
    table = aggregate_plan(
        plan, Made({**SECTION, "tune": HALVED}, accuracy, line=["budget.epochs=8"]).read, ("test/acc",)
    )
    said = caption(table, View(), ("metrics",))
    assert (
        "by successive halving: 8 trials with 1/4 of the budget, the best 4 with 1/2 of it, the best 2 with all of it"
    ) in said
    assert "Intervals hold for the trials that halving left; another seed of the sampler draws others." in said
