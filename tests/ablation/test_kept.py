"""Points of a grid that tuning can't tell from the best: planned, compared, and dropped at later looks."""

import numpy as np
import pytest

from paribus.ablation.cells import Cell, Plan, Tuned
from paribus.ablation.file import Ablation, AblationError, Seeds
from paribus.ablation.kept import Scored
from paribus.ablation.parser import parse
from paribus.ablation.planner import plan_ablation
from paribus.base.errors import UserError
from paribus.config.compose import hydra_context, load, resolved
from paribus.config.composer import Composer
from paribus.config.identity import run_id
from paribus.report.tables.source import pack, unpack
from paribus.stats.tuned import cross_fitted, near_ties
from paribus.store.record import Record

COMPOSER = Composer()
RATES = [0.01, 0.1, 1.0]
FILE = {
    "name": "t",
    "factors": {"norm": ["batch", "layer"]},
    "tune": {"optimizer.lr": RATES},
    "seeds": {"tune": 3, "report": 4},
}


def plans(content, records, overrides=("model=mlp",)):
    with hydra_context():
        return [plan_ablation(each, overrides, records.get, COMPOSER) for each in parse(content)]


def train(plan, records, score):
    """Makes a record of every run that has none: score(rate, seed)."""
    for cell in plan.cells:
        if cell.id not in records:
            value = score(cell.run.optimizer["lr"], cell.seed)
            records[cell.id] = Record(cell.id, "done", seed=cell.seed, metrics={"val/acc": value, "test/acc": value})


def near(rate, seed):
    """0.1 is best and 1.0 is close, as far as seeds can tell; 0.01 is far off."""
    return {0.01: 0.5, 0.1: 0.90, 1.0: 0.89}[rate] + 0.02 * np.random.default_rng(seed + int(100 * rate)).normal()


def test_reporting_seeds_are_planned_at_every_point_that_is_near_the_best():
    records = {}
    [plan] = plans(FILE, records)
    assert (plan.kept, plan.complete) == ({}, False)
    train(plan, records, near)
    [plan] = plans(FILE, records)
    best = {arm: RATES[tuned.index] for arm, tuned in plan.tuned.items()}
    assert best == {arm: tuned.point["optimizer.lr"] for arm, tuned in plan.tuned.items()}
    for arm, points in plan.kept.items():
        assert [plan.tuned[arm].trials[place][0]["optimizer.lr"] for place in points] == [
            {0.1: 1.0, 1.0: 0.1}[best[arm]]
        ]
        assert [[cell.seed for cell in cells] for cells in points.values()] == [[0, 1, 2, 3]]
    assert set(plan.kept) == {"batch", "layer"}
    assert len(plan.cells) == 2 * (3 * 3 + 2 * 4)
    cell = plan.kept["layer"][next(iter(plan.kept["layer"]))][0]
    assert cell.id == run_id(resolved(load(cell.overrides)))


def test_the_winner_alone_is_reported_where_the_file_asks_for_it():
    records = {}
    content = {**FILE, "seeds": {**FILE["seeds"], "tuning": "once"}}
    train(plans(content, records)[0], records, near)
    [plan] = plans(content, records)
    assert plan.kept == {}
    assert len(plan.cells) == 2 * (3 * 3 + 4)


def test_nested_each_reporting_seed_is_reported_at_the_winner_of_its_own_tuning():
    records = {}
    content = {**FILE, "seeds": {"tune": 2, "report": 3, "tuning": "nested"}}
    [plan] = plans(content, records)
    assert len(plan.tuning) == 2 * 3 * (2 * 3)
    assert sorted({cell.seed for cell in plan.tuning}) == list(range(1000, 1006))

    def score(rate, seed):  # seeds 1002 and 1003 belong to the second reporting seed
        return 1.0 if (rate == 1.0) == (seed in (1002, 1003)) and rate != 0.01 else 0.0

    train(plan, records, score)
    [plan] = plans(content, records)
    chosen = {arm: [cell.run.optimizer["lr"] for cell in cells] for arm, cells in plan.arms.items()}
    assert chosen == {"batch": [0.1, 1.0, 0.1], "layer": [0.1, 1.0, 0.1]}
    assert plan.kept == {}
    again = unpack(pack(plan, records.get), records.get)
    assert Scored(again, records.get).at("batch", 3) == Scored(plan, records.get).at("batch", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": {"tuning": "often"}}, r"seeds\.tuning must be one of near, once, nested"),
        ({"seeds": {"tuning": "nested", "tune": 2, "report": 3, "cap": 6}}, r"seeds\.tuning nested gives each"),
        ({"seeds": {"tuning": "nested", "tune": [7, 8], "report": 3}}, r"seeds\.tuning nested gives each"),
        ({"seeds": {"tuning": "nested", "tune": 2}, "design": "path"}, r"seeds\.tuning is not for the design path"),
        ({"seeds": {"vary": ["splits"]}}, r"seeds\.vary must be a list of init, order, augmentation, split"),
    ],
)
def test_what_can_not_be_asked_for(change, message):
    with pytest.raises(AblationError, match=message):
        parse({**FILE, **change})


def made(n, looks=(), kept=True):
    """One arm with five points, a plan of n seeds, and scores by (point, seed)."""
    r = np.random.default_rng(7)
    points, seeds = 5, range(n)
    value = r.normal(size=(points, 1003)) * 0.5 + np.array([0.0, 0.1, -0.4, -9.0, -1.6])[:, None]
    trials = tuple(({"lr": p}, tuple(f"{p}-{1000 + k}" for k in range(3))) for p in range(points))
    records = {
        f"{p}-{s}": Record(f"{p}-{s}", "done", metrics={"val/acc": value[p, s], "test/acc": value[p, s] + 1})
        for p in range(points)
        for s in (*range(n), 1000, 1001, 1002)
    }
    index = int(value[:, 1000:].mean(1).argmax())
    cells = {p: [Cell("a", s, "report", (), f"{p}-{s}") for s in seeds] for p in range(points)}
    ablation = Ablation("x", "one_factor", (), Seeds((1000, 1001, 1002), tuple(seeds), looks=looks))
    plan = Plan("x", arms={"a": cells[index]}, ablation=ablation)
    plan.tuned["a"] = Tuned({"lr": index}, 0.0, (), trials, index)
    if kept:
        plan.kept["a"] = {p: row for p, row in cells.items() if p != index}
    return plan, records, value


def test_runs_are_those_of_the_points_that_the_other_seeds_choose():
    plan, records, value = made(12)
    chosen, rows = Scored(plan, records.get).at("a", 12)
    index = plan.tuned["a"].index
    near = [index, *(p for p in np.flatnonzero(near_ties(value[:, 1000:], index)) if p != index)]
    assert [[r.id for r in row] for row in rows] == [[f"{p}-{s}" for s in range(12)] for p in near]
    choice = cross_fitted(value[near][:, 1000:], value[near][:, :12])
    assert [r.id for r in chosen] == [f"{near[point]}-{s}" for s, point in enumerate(choice)]
    assert 1 < len(near) < 5


def test_later_looks_drop_points_and_never_take_them_back():
    plan, records, value = made(30, looks=(10, 30))
    scored = Scored(plan, records.get)
    first, last = scored.kept("a", 10), scored.kept("a", 30)
    assert set(last) < set(first)
    seeds = [1000, 1001, 1002, *range(10)]
    expected = near_ties(value[list(first)][:, seeds], 0)
    assert last == tuple(p for p, keep in zip(first, expected, strict=True) if keep)


def test_while_runs_at_kept_points_are_lacking_the_winner_stands_alone_and_they_are_counted():
    plan, records, _ = made(12, kept=False)
    scored = Scored(plan, records.get)
    chosen, rows = scored.at("a", 12)
    assert [r.id for r in chosen] == [cell.id for cell in plan.arms["a"]]
    assert rows == [chosen]
    assert scored.waiting("a", 12) == 12 * (len(scored.kept("a", 12)) - 1) > 0


def test_splits_are_drawn_anew_for_each_seed_where_they_vary():
    [plan] = plans({**FILE, "tune": None, "seeds": {"report": 2, "vary": ["init", "split"]}}, {})
    assert {(c.run.seeds.init, c.run.seeds.order, c.run.data.split_seed, c.run.data.test) for c in plan.cells} == {
        (0, 0, 0, "redraw"), (1, 0, 1, "redraw")
    }  # fmt: skip
    content = {**FILE, "tune": None, "seeds": {"report": 2, "vary": ["split"]}}
    [plan] = plans(content, {}, ("model=mlp", "data.test=500"))
    assert {cell.run.data.test for cell in plan.cells} == {500}
    with pytest.raises(UserError, match=r"varies or tunes data\.split_seed itself"):
        plans(content, {}, ("model=mlp", "data.split_seed=3"))
