"""Records of the members of a stack: they are those that the runs would have alone."""

import csv
import functools

import pytest
import torch

from paribus.extras.stack import fit as module
from paribus.extras.stack.engine import StackEngine

BASE = [
    "model=mlp",
    "model.width=8",
    "data.subset=60",
    "data.batch_size=20",
    "budget.epochs=6",
    "trainer.threads=1",
    "trainer.precision=64-true",
]
MIXED = ["optimizer=momentum", "optimizer=adam", "optimizer=lamb", "optimizer=soap"]


def seeds(*overrides, number=3):
    return [[*BASE, *overrides, f"seed={seed}"] for seed in range(number)]


def form(value):
    """Types and keys, without the numbers."""
    if isinstance(value, dict):
        return {key: form(item) for key, item in value.items()}
    if isinstance(value, list):
        return [form(item) for item in value]
    return (tuple(value.shape), value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__


def numbers(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, torch.Tensor | float | int) else []


def rows(run, line):
    [id] = run.ids([line])
    return list(csv.DictReader((run.store.run_dir(id) / "history.csv").read_text().splitlines()))


def assert_as_alone(stacked, alone, lines, rel=1e-7):
    for line in lines:
        [id] = stacked.ids([line])
        found, wanted = stacked.store.read(id), alone.store.read(id)
        assert found.metrics == pytest.approx(wanted.metrics, rel=rel, abs=1e-9, nan_ok=True)
        for key in ("id", "status", "arm", "seed", "choices", "comparable", "evaluated", "parameters"):
            assert getattr(found, key) == getattr(wanted, key)
        assert set(found.timing) == {*wanted.timing, "stack"}
        assert found.timing["steps"] == wanted.timing["steps"]
        for one, other in zip(rows(stacked, line), rows(alone, line), strict=True):
            assert list(one) == list(other)
            one, other = ({k: float(v or "nan") for k, v in row.items() if k != "seconds"} for row in (one, other))
            assert one == pytest.approx(other, rel=rel, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["augmentation=mixup", "norm=[batch,weight]", "callbacks=[default,ema]"],
        pytest.param(
            ["augmentation=crop_flip", "model=vit_tiny", "model.depth=1", "model.width=12", "model.dropout=0.2"],
            marks=pytest.mark.slow,
        ),
        ["optimizer=schedulefree_adamw", "scheduler=inverse_sqrt"],
        ["evaluation.checkpoint=best", "evaluation.every=2", "trainer.accumulate=2", "loss=scalar_mse"],
    ],
    ids=["averaged", "dropout", "schedule_free", "best"],
)
def test_records_histories_and_checkpoints_are_those_of_single_runs(overrides, runs):
    """With augmentation and dropout too: on a CPU each replica draws what it would draw alone."""
    base = [item for item in BASE if item.partition("=")[0] not in {key.partition("=")[0] for key in overrides}]
    lines = [[*base, *overrides, f"seed={seed}"] for seed in range(3)]
    stacked, alone = runs("stacked"), runs("alone")
    stacked.stacked(lines)
    alone.alone(lines)
    assert_as_alone(stacked, alone, lines)
    for name in ("last", "best"):
        one, other = stacked.checkpoint(lines[1], name), alone.checkpoint(lines[1], name)
        if name == "last":  # it says what company the run was in
            assert [(each["from"], each["to"], each["stack"]) for each in one["paribus"]["segments"]] == [(0, 18, 3)]
            assert [(each["from"], each["to"], each["stack"]) for each in other["paribus"]["segments"]] == [(0, 18, 1)]
            one["paribus"]["segments"] = other["paribus"]["segments"]
            del one["paribus"]["stack"], other["paribus"]["movement"]  # a run by itself is looked at, see Movement
        assert form({**one, "loops": 0}) == form({**other, "loops": 0})
        one, other = (numbers({**c, "loops": 0, "paribus": 0}) for c in (one, other))
        for found, wanted in zip(one, other, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def test_a_replica_that_diverges_disturbs_no_other(runs):
    lines = [*seeds("loss=mse", "norm=none"), [*BASE, "loss=mse", "norm=none", "optimizer.lr=1e6"]]
    stacked, alone = runs("stacked"), runs("alone")
    records = stacked.stacked(lines)
    assert [record.status for record in records] == ["done", "done", "done", "diverged"]
    assert "test/acc" not in records[-1].metrics
    alone.alone(lines)
    assert_as_alone(stacked, alone, lines)
    one, other = (run.checkpoint(lines[-1])["paribus"] for run in (stacked, alone))
    one.pop("stack")  # what company it was in
    other.pop("movement")  # a run by itself is looked at
    one["segments"] = other["segments"]
    assert form(one) == form(other)


class Killed(BaseException):
    pass


def killed_after(monkeypatch, updates, run, lines):
    """A stack that dies in the middle of an epoch, with checkpoints after every chunk."""
    count = 0
    update = StackEngine.set_position

    def dying(self, *arguments):
        nonlocal count
        count += 1
        if count > updates:
            raise Killed
        update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(StackEngine, "set_position", dying)
        with pytest.raises(Killed):
            run.stacked(lines)


OFTEN = ["callbacks=[default,ema]", "callbacks.checkpoints.every_seconds=1e-6", "augmentation=mixup"]


def test_a_killed_stack_ends_with_the_same_weights_bit_for_bit(runs, monkeypatch):
    lines = [[*BASE, *OFTEN, name, f"seed={seed}"] for name in MIXED for seed in (0, 1)]
    whole, killed = runs("whole"), runs("killed")
    whole.stacked(lines)
    killed_after(monkeypatch, 8, killed, lines)
    assert 0 < killed.checkpoint(lines[0])["paribus"]["cursor"]["step"] < 18
    assert {killed.store.read(id).status for id in killed.ids(lines)} == {"running"}
    killed.stacked(lines)
    for line in lines:
        one, other = whole.checkpoint(line), killed.checkpoint(line)
        for part in ("state_dict", "optimizer_states", "callbacks", "evaluation_weights"):
            pairs = zip(numbers(one[part]), numbers(other[part]), strict=True)
            assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs), part
        hide = {"seconds"}
        assert [{k: v for k, v in row.items() if k not in hide} for row in rows(whole, line)] == [
            {k: v for k, v in row.items() if k not in hide} for row in rows(killed, line)
        ]


def test_a_run_leaves_a_stack_goes_on_alone_and_the_others_come_back_without_it(runs, monkeypatch):
    lines = [[*BASE, *OFTEN, name] for name in MIXED if name != "optimizer=soap"]  # which rounding can turn
    stacked, alone = runs("stacked"), runs("alone")
    killed_after(monkeypatch, 8, stacked, lines)
    stacked.alone(lines[:1])
    stacked.stacked(lines)
    alone.alone(lines)
    for line in lines:
        [id] = stacked.ids([line])
        assert stacked.store.read(id).metrics == pytest.approx(alone.store.read(id).metrics, rel=1e-6)


def test_runs_that_stand_elsewhere_are_trained_as_stacks_of_their_own(runs, monkeypatch):
    """Two were interrupted together; two more join the job. All end as if alone."""
    lines = seeds(*OFTEN, number=4)
    stacked, alone = runs("stacked"), runs("alone")
    killed_after(monkeypatch, 8, stacked, lines[:2])
    sizes = []
    fit = module.fit_stack
    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_stack", lambda members, *rest: (sizes.append(len(members)), fit(members, *rest)))
        stacked.stacked(lines)
    assert sizes == [2, 2]
    alone.alone(lines)
    for id in stacked.ids(lines):
        assert stacked.store.read(id).metrics == pytest.approx(alone.store.read(id).metrics, rel=1e-6)


def test_a_stack_that_does_not_fit_is_halved(runs, monkeypatch, capsys):
    lines = seeds(number=5)
    sizes = []
    fit = module.fit_stack

    def small(members, *rest):
        sizes.append(len(members))
        if len(members) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        fit(members, *rest)

    monkeypatch.setattr(module, "fit_stack", small)
    run = runs()
    assert [record.status for record in run.stacked(lines)] == ["done"] * 5
    assert sizes == [5, 3, 2, 2]  # and the fifth alone
    assert "does not fit into memory; training 3 at a time" in capsys.readouterr().err


def test_a_bug_is_recorded_for_every_member_and_the_next_command_tries_again(runs, monkeypatch):
    from paribus.base.errors import StackFailed

    def broken(self):
        raise ZeroDivisionError("a bug")

    run, lines = runs(), seeds()
    with monkeypatch.context() as patch:
        patch.setattr(StackEngine, "gradient_norms", broken)
        with pytest.raises(StackFailed, match="a bug"):
            run.stacked(lines)
    assert {run.store.read(id).failure["type"] for id in run.ids(lines)} == {"bug"}
    assert {record.status for record in run.stacked(lines)} == {"done"}


def test_members_that_are_done_or_locked_are_left_out(runs, capsys):
    run, lines = runs(), seeds(number=4)
    run.alone(lines[:1])
    done, locked = run.ids(lines[:2])
    written = (run.store.run_dir(done) / "record.json").stat().st_mtime_ns
    with run.store.lock(locked):
        run.stacked(lines)
    assert (run.store.run_dir(done) / "record.json").stat().st_mtime_ns == written
    assert run.store.read(locked) is None
    assert f"{locked} is left out of the stack" in capsys.readouterr().err
    assert [run.store.read(id).timing["stack"] for id in run.ids(lines[2:])] == [2, 2]


def test_a_member_that_can_not_work_is_named_and_the_others_train(runs):
    from paribus.base.errors import StackFailed

    run, lines = runs(), [*seeds(number=2), [*BASE, "optimizer.lr=-1"]]
    with pytest.raises(StackFailed, match=r"optimizer\.lr must be a number of at least 0"):
        run.stacked(lines)
    assert [run.store.read(id) and run.store.read(id).status for id in run.ids(lines)] == ["done", "done", None]


def test_observers_watch_each_replica(runs):
    lines = seeds("callbacks=[default,lr_monitor,grad_monitor]", "callbacks.grad_monitor.every=5", "logger=csv")
    stacked, alone = runs("stacked"), runs("alone")
    stacked.stacked(lines)
    alone.alone(lines)
    for id in stacked.ids(lines):
        files = [run.store.run_dir(id) / "csv" / "metrics.csv" for run in (stacked, alone)]
        read = functools.partial(csv.DictReader)
        one, other = (list(read(file.read_text().splitlines())) for file in files)
        assert "update_ratio/1.weight" in one[0]
        for found, wanted in zip(one, other, strict=True):
            for key in wanted:
                if key != "seconds":
                    assert bool(found[key]) == bool(wanted[key])
                if key != "seconds" and wanted[key]:
                    assert float(found[key]) == pytest.approx(float(wanted[key]), rel=1e-6)
