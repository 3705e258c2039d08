"""The cells of ablations and sweeps, and how results decide on more of them."""

import math

import pytest

from paribus.ablation.command import plan_command
from paribus.ablation.parser import parse
from paribus.ablation.planner import plan_ablation
from paribus.base.errors import UserError
from paribus.config.compose import hydra_context, load, resolved
from paribus.config.composer import Composer
from paribus.config.identity import run_id
from paribus.store.record import Record

BASE = ["model=mlp"]
FILE = {"name": "a", "factors": {"norm": ["batch", "layer"], "optimizer.lr": [0.1, 0.01]}, "seeds": 2}


class Results(dict):
    """Records of runs, by a function of the configuration that stands for training it; nan is a diverged run."""

    def train(self, plan, score):
        for cell in plan.cells:
            if cell.id not in self:
                value = score(cell.composed.resolved)
                status = "done" if value == value else "diverged"
                self[cell.id] = Record(cell.id, status, seed=cell.seed, metrics={"val/acc": value})


@pytest.fixture
def planned():
    """Plans a file, with the records given."""
    composer = Composer()

    def plan(content, records=None, overrides=BASE):
        read = (records or Results()).get
        with hydra_context():
            return [plan_ablation(ablation, overrides, read, composer) for ablation in parse(content)]

    return plan


def test_cells_are_arms_by_seeds_all_arms_with_the_first_seed_first(planned):
    [plan] = planned(FILE)
    assert list(plan.arms) == ["baseline", "norm=layer", "optimizer.lr=0.01"]
    assert [(cell.arm, cell.seed) for cell in plan.cells] == [(arm, seed) for seed in (0, 1) for arm in plan.arms]
    assert plan.complete


def test_ids_are_those_of_composing_each_cell_the_plain_way(planned):
    [plan] = planned({**FILE, "design": "grid", "factors": {**FILE["factors"], "loss": ["cross_entropy", "mse"]}})
    assert len(plan.cells) == 16
    for cell in plan.cells:
        assert cell.id == run_id(resolved(load(cell.overrides)))
    assert len({cell.id for cell in plan.cells}) == 16


def test_names_and_the_order_of_factors_do_not_matter_to_runs(planned):
    [plan] = planned(FILE)
    [renamed] = planned({**FILE, "name": "b", "factors": dict(reversed(FILE["factors"].items()))})
    levels = {"one": {"norm": "batch"}, "two": {"norm": "layer"}}
    [named] = planned({**FILE, "factors": {"trick": levels, "optimizer.lr": [0.1, 0.01]}})
    assert {cell.id for cell in plan.cells} == {cell.id for cell in renamed.cells} == {cell.id for cell in named.cells}


def test_two_more_seeds_are_just_the_new_cells(planned):
    [few], [more] = planned(FILE), planned({**FILE, "seeds": 4})
    assert len({cell.id for cell in more.cells} - {cell.id for cell in few.cells}) == 2 * len(few.arms)
    assert {cell.id for cell in few.cells} < {cell.id for cell in more.cells}


def test_seeds_that_do_not_vary_stay_at_zero(planned):
    [plan] = planned({**FILE, "seeds": {"report": 2, "vary": ["order"]}})
    assert {tuple(cell.composed.at("seeds").values()) for cell in plan.cells} == {(0, 0, 0), (0, 1, 0)}


TUNED = {
    "name": "t",
    "factors": {"norm": ["batch", "layer"]},
    "tune": {"optimizer.lr": [0.01, 0.1, 1.0]},
    "seeds": {"tune": 2, "report": 3},
}


def rate_of(config):
    """Batch norm is best at 0.1, layer norm at 1.0, and seeds make no difference."""
    batch = "batch" in config["norm"]["activation"]["_target_"]
    return {0.01: 0.5, 0.1: 0.9 if batch else 0.7, 1.0: 0.8}[config["optimizer"]["lr"]]


def test_tuning_comes_first_and_winners_report_on_other_seeds(planned):
    records = Results()
    [plan] = planned(TUNED, records)
    assert not plan.complete
    assert len(plan.cells) == 2 * 3 * 2
    assert plan.arms == {"batch": [None] * 3, "layer": [None] * 3}
    records.train(plan, rate_of)
    [plan] = planned(TUNED, records)
    assert plan.complete
    assert {arm: tuned.point["optimizer.lr"] for arm, tuned in plan.tuned.items()} == {"batch": 0.1, "layer": 1.0}
    assert plan.tuned["layer"].edges == ("optimizer.lr",)
    assert plan.tuned["batch"].edges == ()
    report = {cell.seed for cells in plan.arms.values() for cell in cells}
    assert report == {0, 1, 2}
    assert not report & {cell.seed for cell in plan.tuning}
    assert {cell.run.optimizer["lr"] for cell in plan.arms["layer"]} == {1.0}


def test_a_rate_that_diverges_on_one_seed_does_not_win(planned):
    def score(config):
        lost = config["optimizer"]["lr"] == 1.0 and config["seed"] == 1000
        return math.nan if lost else rate_of(config)

    records = Results()
    records.train(planned(TUNED, records)[0], score)
    [plan] = planned(TUNED, records)
    assert plan.tuned["layer"].point == {"optimizer.lr": 0.1}


def test_a_failed_tuning_run_keeps_its_arm_waiting_and_no_other(planned):
    records = Results()
    [plan] = planned(TUNED, records)
    records.train(plan, rate_of)
    broken = plan.tuning[0]
    records[broken.id] = Record(broken.id, "failed")
    [plan] = planned(TUNED, records)
    assert plan.arms[broken.arm] == [None] * 3
    assert sum(None not in cells for cells in plan.arms.values()) == 1
    assert not plan.complete


def test_regimes_share_what_they_have_in_common(planned):
    content = {**TUNED, "regimes": {"F": {"tune": False, "set": {"optimizer.lr": 0.1}}, "T": {}}}
    records = Results()
    fixed, tuned = planned(content, records)
    assert fixed.complete
    assert len(fixed.cells) == 6
    records.train(tuned, rate_of)
    fixed, tuned = planned(content, records)
    # The fixed rate is batch norm's winner: its runs serve both regimes.
    assert [c.id for c in fixed.arms["batch"]] == [c.id for c in tuned.arms["batch"]]
    assert [c.id for c in fixed.arms["layer"]] != [c.id for c in tuned.arms["layer"]]


PATH = {
    "name": "p",
    "design": "path",
    "factors": {"norm": ["none", "batch"], "optimizer": ["sgd", "momentum"], "loss": ["cross_entropy", "mse"]},
    "seeds": {"tune": 1, "report": 2},
}


def helps(config):
    """Momentum helps most, then batch norm; squared error hurts."""
    score = 0.5 + 0.1 * bool(config["norm"]["activation"]) + 0.2 * (config["optimizer"].get("momentum", 0) > 0)
    return score - 0.3 * ("MSE" in config["loss"]["_target_"].upper().replace("SQUAREDERROR", "MSE"))


def test_a_path_takes_the_change_that_helps_most_until_none_helps(planned):
    records = Results()
    sizes = []
    for _ in range(10):
        [plan] = planned(PATH, records)
        sizes.append(len(plan.cells))
        if plan.complete and all(cell.id in records for cell in plan.cells):
            break
        records.train(plan, helps)
    assert list(plan.arms) == ["baseline", "+ optimizer=momentum", "+ norm=batch"]
    assert sizes == sorted(sizes)
    assert len({cell.id for cell in plan.cells}) == len(plan.cells)
    last = plan.arms["+ norm=batch"][0].run
    assert (last.optimizer["momentum"], bool(last.norm.activation)) == (0.9, True)


def test_an_unknown_option_of_a_level_is_named_with_file_and_key(planned):
    with pytest.raises(UserError, match=r"ablation.factors.norm: norm=bacth is not an option. Did you mean batch"):
        planned({**FILE, "factors": {"norm": ["bacth", "layer"]}})


def test_an_arm_that_can_not_be_is_named_and_the_others_are_planned(planned):
    [plan] = planned({**FILE, "factors": {"data.batch_size": [32, -1, "many"]}})
    assert list(plan.arms) == ["32"]
    assert [each.name for each in plan.invalid] == ["-1", "many"]
    assert "data.batch_size must be a whole number" in plan.invalid[0].reason


@pytest.mark.parametrize("override", ["norm=none", "optimizer.lr=1", "seed=3", "seeds.order=3"])
def test_the_command_line_does_not_set_what_the_ablation_decides(planned, override):
    with pytest.raises(UserError, match=r"varies or tunes .* itself"):
        planned(FILE, overrides=[*BASE, override])


def plan_of(*arguments):
    return plan_command(arguments, lambda id: None)


def test_a_sweep_is_called_by_what_it_varies():
    [plan] = plan_of(*BASE, "norm=batch,layer", "seed=range(3)")
    assert plan.name == "norm"
    assert list(plan.arms) == ["batch", "layer"]
    assert [cell.seed for cell in plan.arms["batch"]] == [0, 1, 2]


def test_duplicates_of_a_sweep_are_reported_and_not_dropped_silently():
    [plan] = plan_of(*BASE, "seed=1,1,2")
    assert [cell.seed for cell in plan.cells] == [1, 2]
    assert [cell.seed for cell in plan.duplicates] == [1]


def test_an_ablation_under_two_settings_is_two_plans():
    plans = plan_of("ablation=demo", "model=mlp,cnn")
    assert [plan.name for plan in plans] == ["demo (model=mlp)", "demo (model=cnn)"]
    assert not {cell.id for cell in plans[0].cells} & {cell.id for cell in plans[1].cells}
