"""The jobs of a sweep that goes on: the same runs stay together."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from paribus.ablation.cells import Cell, Plan
from paribus.config.compose import load, resolved
from paribus.config.composed import Composed
from paribus.extras.stack import jobs
from paribus.extras.stack.jobs import jobs_of
from paribus.store.record import Record
from paribus.store.store import Store
from paribus.sweep.sweep import due


def cell(*overrides):
    composed = Composed(resolved(load(overrides)), {})
    return Cell("arm", composed.run.seed, "report", overrides, composed.run.id, composed)


@pytest.fixture(scope="module")
def cells():
    return [cell("model=mlp", f"optimizer={name}", f"seed={seed}") for name in ("sgd", "adam") for seed in range(5)]


@pytest.fixture
def grouped(tmp_path):
    """The runs of each job, as positions in `of`."""
    store = Store(tmp_path / "outputs")

    def plan(cells, of, stack="auto", slots=2, **launcher):
        settings = SimpleNamespace(
            hydra=SimpleNamespace(launcher={"slots": slots, **launcher}),
            paths=SimpleNamespace(outputs=str(store.root)),
            stack=stack,
        )
        lines = {each.id: list(each.overrides) for each in cells}
        ids = [each.id for each in of]
        return [[ids.index(id) for id in job.runs] for job in jobs_of(cells, lines, settings, tmp_path)]

    def end(cells):
        for each in cells:
            store.run_dir(each.id).mkdir(parents=True, exist_ok=True)
            store.write(Record(each.id, "done"))

    def begin(cells):
        for each in cells:
            folder = store.run_dir(each.id) / "checkpoints"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "last.ckpt").write_bytes(b"something")

    return SimpleNamespace(plan=plan, end=end, begin=begin, folder=store.root / "groups")


def test_groups_stay_what_they_were_when_some_of_their_runs_have_ended(grouped, cells):
    assert grouped.plan(cells, cells) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    grouped.end(cells[:3])
    assert grouped.plan(cells[3:], cells) == [[3, 4], [5, 6, 7, 8, 9]]  # not four and three
    grouped.end(cells[3:9])
    assert grouped.plan(cells[9:], cells) == [[9]]


def test_groups_that_have_not_begun_are_planned_anew_for_other_slots_and_sizes(grouped, cells):
    assert grouped.plan(cells, cells, slots=1) == [list(range(10))]
    assert grouped.plan(cells, cells, slots=2) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert grouped.plan(cells, cells, stack=4) == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9]]
    assert grouped.plan(cells, cells, stack="off") == [[k] for k in range(10)]
    grouped.begin(cells[5:6])
    assert grouped.plan(cells, cells, stack=4, slots=1)[-1] == [7, 8, 9]


def test_runs_on_gpus_are_cut_for_as_many_jobs_as_the_gpus_take(grouped, monkeypatch):
    """Forty runs on four GPUs with room for two jobs each are eight stacks of five, whatever the cores of the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setattr(jobs, "shared_server", lambda: SimpleNamespace(call=lambda function: 4))
    first, other = cell("model=mlp", "trainer=gpu"), cell("model=mlp", "norm=layer")
    on_gpu = [replace(first, id=f"gpu-{k}") for k in range(40)]
    on_cpu = [replace(other, id=f"cpu-{k}") for k in range(8)]
    found = grouped.plan([*on_gpu, *on_cpu], [*on_gpu, *on_cpu], slots=4, gpus="auto", jobs_per_gpu=2)
    assert [len(group) for group in found] == [5] * 8 + [2] * 4
    chosen = grouped.plan(on_gpu, on_gpu, slots=4, gpus=[0, 1], jobs_per_gpu=1)
    assert [len(group) for group in chosen] == [20, 20]


def test_what_has_ended_is_forgotten(grouped, cells):
    grouped.plan(cells[:4], cells)
    grouped.end(cells[:4])
    grouped.plan(cells[4:], cells)
    assert len(list(grouped.folder.iterdir())) == 1


def test_winners_wait_until_all_arms_are_tuned(cells):
    first, second, *winners = cells
    plan = Plan("x", arms={"a": winners[:2], "b": [None], "c": winners[2:4]}, tuning=[first, second])
    plan.tuned = {"a": object(), "b": object()}
    now = due(plan, {second.id}.__contains__)
    assert {each.id for each in now} == {each.id for each in (first, second, *winners[2:4])}  # c is not tuned at all
    assert due(plan, lambda id: False) == plan.cells
