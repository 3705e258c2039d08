import pytest

from paribus.errors import UserError
from paribus.plan.ablation import Ablation, override_value
from paribus.plan.cells import plan_ablation, plan_sweep
from paribus.plan.compose import load, resolved
from paribus.plan.identity import run_id

FILE = {"name": "a", "factors": {"norm": ["batch", "layer"], "optimizer.lr": [0.1, 0.01]}, "seeds": 2}


def test_one_factor_changes_one_thing_at_a_time_from_the_baseline():
    arms = Ablation.parse(FILE).arms()
    assert [dict(arm.levels) for arm in arms] == [
        {"norm": "batch", "optimizer.lr": 0.1},
        {"norm": "layer", "optimizer.lr": 0.1},
        {"norm": "batch", "optimizer.lr": 0.01},
    ]
    assert [arm.name for arm in arms] == ["baseline", "norm=layer", "optimizer.lr=0.01"]


def test_grid_has_every_combination_and_the_baseline_first():
    arms = Ablation.parse({**FILE, "design": "grid", "baseline": {"norm": "layer"}}).arms()
    assert len(arms) == 4
    assert arms[0].levels == {"norm": "layer", "optimizer.lr": 0.1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "ablation.name"),
        ({"design": "pathh"}, "ablation.design"),
        ({"factors": {}}, "ablation.factors"),
        ({"factors": {"norm": []}}, "ablation.factors.norm"),
        ({"factors": {"norm": "batch"}}, "ablation.factors.norm"),
        ({"factors": {"norm": ["batch", "batch"]}}, "twice"),
        ({"seeds": 0}, "ablation.seeds"),
        ({"seeds": [1, 1]}, "ablation.seeds"),
        ({"seeds": ["a"]}, "ablation.seeds"),
        ({"baseline": {"norm": "group"}}, "ablation.baseline.norm=group"),
        ({"sedes": 3}, "unknown key sedes"),
    ],
)
def test_a_bad_file_is_named_by_its_key(change, message):
    with pytest.raises(UserError, match=message):
        Ablation.parse({**FILE, **change})


def test_ids_of_planned_cells_are_those_of_composing_each_the_plain_way():
    plan = plan_ablation(Ablation.parse(FILE), ["model=mlp"])
    assert len(plan.cells) == 6
    for cell in plan.cells:
        assert cell.id == run_id(resolved(load(cell.overrides)))
    assert len({cell.id for cell in plan.cells}) == 6


def test_duplicates_of_a_sweep_are_reported_and_not_dropped_silently():
    plan = plan_sweep([["seed=1"], ["seed=1"], ["seed=2"]], ["seed"])
    assert [cell.seed for cell in plan.cells] == [1, 2]
    assert [cell.seed for cell in plan.duplicates] == [1]


@pytest.mark.parametrize("level", [None, True, 3, 0.5, "batch", "a b", "it's", ["batch", "weight"], {"a": 1}])
def test_levels_survive_hydras_grammar(level):
    assert resolved(load([f"+x={override_value(level)}"]))["x"] == level
