"""Runs of several processes: right under a sweep, and equal to the run of one process."""

import math
import os
import signal

import pytest
import torch
from pytorch_lightning.utilities import rank_zero_only

from paribus.base.processes import scrubbed
from paribus.base.torch_internals import shards_on_cpu
from paribus.store.store import Store
from paribus.sweep.rank import Rank, cause
from paribus.sweep.result import Result

BASE = [
    "model=mlp",
    "model.width=16",
    "data.subset=102",
    "data.batch_size=20",
    "budget.epochs=2",
    "trainer.precision=64-true",
    "evaluation.batch_size=50",
]


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("norm", ["none", pytest.param("sync_batch", marks=pytest.mark.slow)])
def test_two_processes_under_a_sweep_give_the_result_of_one(paribus, tmp_path, norm):
    """102 samples in batches of 20 leave a ragged last batch of 2, one sample for each process."""
    one = paribus("train", *BASE, f"norm={norm}")
    assert one.code == 0, one.err
    two = paribus("train", "-m", *BASE, f"norm={norm}", "trainer=ddp_sim", "seed=0,1")
    assert two.code == 0, two.err
    records = [r for r in Store(tmp_path / "outputs").scan() if r.seed == 0]
    assert sorted(r.provenance["world_size"] for r in records) == [1, 2]
    first, second = sorted(records, key=lambda r: r.provenance["world_size"])
    assert second.timing["samples"] == first.timing["samples"] == 204
    for key in ("train/loss", "val/loss", "test/loss", "test/acc"):
        assert second.metrics[key] == pytest.approx(first.metrics[key], rel=1e-9)
    store = Store(tmp_path / "outputs")
    expected, found = state(store.run_dir(first.id)), state(store.run_dir(second.id))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12)
    # No second tree of outputs, no half-written run of a second rank.
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}
    assert len(list(tmp_path.glob("outputs/sweeps/*"))) == 1
    assert len(list(tmp_path.glob("outputs/runs/*"))) == 3


COUNTED = """
from pathlib import Path

import pytorch_lightning as pl
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook


class Counted(pl.Callback):
    def on_fit_start(self, trainer, loop):
        self.exchanges = 0
        trainer.strategy.model.register_comm_hook(None, self.exchange)

    def exchange(self, state, bucket):
        self.exchanges += 1
        return allreduce_hook(None, bucket)

    def on_train_end(self, trainer, loop):
        if trainer.is_global_zero:
            Path("exchanges").write_text(f"{self.exchanges} {loop.data.cursor.step} {self.steps(trainer)}")

    def steps(self, trainer):
        return trainer.fit_loop.epoch_loop.batch_progress.total.completed
"""


def test_gradients_are_exchanged_once_for_all_parts_of_a_batch(paribus, tmp_path, monkeypatch):
    (tmp_path / "counted_exchanges.py").write_text(COUNTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    common = [*BASE, "norm=layer", "trainer.accumulate=3", "data.drop_last=true"]
    assert paribus("train", *common).code == 0
    two = paribus("train", *common, "trainer=ddp_sim", "+callbacks.counted._target_=counted_exchanges.Counted")
    assert two.code == 0, two.err
    exchanges, updates, steps = map(int, (tmp_path / "exchanges").read_text().split())
    assert exchanges == updates == 10  # all gradients lie in one bucket
    assert steps < updates  # several of them in a step of Lightning's loop
    first, second = sorted(Store(tmp_path / "outputs").scan(), key=lambda r: r.provenance["world_size"])
    assert second.provenance["world_size"] == 2
    for key in ("train/loss", "val/loss", "test/loss", "grad_norm"):
        assert second.metrics[key] == pytest.approx(first.metrics[key], rel=1e-9)


EACH = """
import pytorch_lightning as pl
import torch


class Each(pl.Callback):
    def on_fit_start(self, trainer, loop):
        for module in loop.network.modules():
            if type(module).__name__ == "BatchRenorm":
                module.register_forward_pre_hook(self.follows)

    def follows(self, norm, inputs):
        if norm.training:
            first = norm.running_mean.clone()
            torch.distributed.broadcast(first, 0)
            assert torch.equal(first, norm.running_mean)

    def on_train_batch_end(self, trainer, loop, outputs, batch, batch_idx):
        assert not loop.data.in_chunks
"""


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch_renorm", "batch", "spectral"])
def test_updates_of_one_step_or_of_many_give_the_same_bits(paribus, tmp_path, monkeypatch, norm):
    """Batch renorm reads its moving statistics in training: those of the first process, before each update."""
    (tmp_path / "each_batch.py").write_text(EACH)
    monkeypatch.syspath_prepend(str(tmp_path))
    common = [*BASE, f"norm={norm}", "data.drop_last=true", "trainer=ddp_sim"]
    assert paribus("train", *common).code == 0
    assert paribus("train", *common, "+callbacks.each._target_=each_batch.Each").code == 0
    store = Store(tmp_path / "outputs")
    many, single = (state(store.run_dir(record.id)) for record in store.scan())
    for key, value in many.items():
        torch.testing.assert_close(single[key], value, rtol=0, atol=0)


SHARDS = pytest.mark.skipif(not shards_on_cpu(), reason="this torch shards on GPUs only")


@pytest.mark.parametrize(
    "trainer", [pytest.param("ddp_sim", marks=pytest.mark.slow), pytest.param("fsdp", marks=SHARDS)]
)
def test_sharded_and_replicated_networks_agree_with_one_process(paribus, tmp_path, trainer):
    common = [
        *(item for item in BASE if "precision" not in item),
        "norm=layer",
        "trainer.precision=32-true",
        "callbacks=[default,ema]",
        "clip.norm=1",
    ]
    one = paribus("train", *common)
    assert one.code == 0, one.err
    two = paribus("train", *common, f"trainer={trainer}", "trainer.accelerator=cpu")
    assert two.code == 0, two.err
    first, second = sorted(Store(tmp_path / "outputs").scan(), key=lambda r: r.provenance["world_size"])
    assert second.provenance["world_size"] == 2
    for key in ("train/loss", "val/loss", "test/loss", "grad_norm"):
        assert second.metrics[key] == pytest.approx(first.metrics[key], rel=1e-4)
    assert paribus("evaluate", second.id, "--outputs", "outputs").code == 0


def test_batch_statistics_of_several_processes_are_those_that_the_checkpoint_holds(paribus, tmp_path):
    done = paribus("train", *BASE, "norm=batch", "data.drop_last=true", "trainer=ddp_sim")
    assert done.code == 0, done.err
    [record] = Store(tmp_path / "outputs").scan()
    store = Store(tmp_path / "outputs")
    again = paribus("evaluate", record.id)
    for line in again.out.splitlines():
        key, value, *_ = line.split()
        assert float(value) == pytest.approx(record.metrics[key], rel=1e-9)
    assert store.history(record.id)["step"] == [5.0, 10.0]


def test_a_mistake_in_a_run_of_several_processes_is_said_once_and_none_starts(paribus, tmp_path):
    broken = "+callbacks.broken._target_=no.such.Callback"
    result = paribus("train", "-m", *BASE, "norm=none", "trainer=ddp_sim", broken)
    assert result.code == 2
    assert result.err.count("no.such.Callback") == 1
    assert not list(tmp_path.glob("outputs/runs/*"))


SPY = """
from hashlib import sha256

import pytorch_lightning as pl


class Spy(pl.Callback):
    '''Writes down which samples each process sees in each epoch; fails in rank 0 of one run.'''

    def __init__(self, failing: str):
        self.failing = failing

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        cursor = pl_module.data.cursor
        if self.failing == f"{trainer.world_size} {pl_module.data.order_seed}" and trainer.global_rank == 0:
            if cursor.epoch == 1:
                raise ZeroDivisionError("on purpose")
        with open(f"{trainer.default_root_dir}/seen{trainer.global_rank}.txt", "a") as file:
            for sample in batch[0]:
                file.write(f"{cursor.epoch} {sha256(sample.numpy().tobytes()).hexdigest()}\\n")
"""


def seen(folder):
    """epoch -> what tells the samples apart that all processes of a run saw in it, sorted."""
    samples = {}
    for path in folder.glob("seen*.txt"):
        for line in path.read_text().splitlines():
            epoch, sample = line.split()
            samples.setdefault(int(epoch), []).append(sample)
    return {epoch: sorted(found) for epoch, found in samples.items()}


@pytest.mark.slow
@pytest.mark.parametrize("norm", [pytest.param("none", marks=pytest.mark.slow), "sync_batch"])
def test_a_sweep_of_one_and_two_processes_with_a_failing_run_among_them(paribus, tmp_path, monkeypatch, norm):
    (tmp_path / "spy_of_samples.py").write_text(SPY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LOCAL_RANK", "1")  # of another group, that the sweep happens to run in
    monkeypatch.setenv("WORLD_SIZE", "7")
    sweep = [
        *("train", "-m", *BASE, f"norm={norm}", "trainer.strategy=ddp", "seed=0,1", "trainer.devices=1,2"),
        *("+callbacks.spy._target_=spy_of_samples.Spy", "+callbacks.spy.failing='2 0'"),
    ]
    result = paribus(*sweep)  # in this order: 1 and 2 processes with seed 0, 1 and 2 with seed 1
    assert result.code == 1, result.err
    assert result.err.count("ZeroDivisionError: on purpose") >= 1
    assert "train.log" in result.err
    store = Store(tmp_path / "outputs")
    runs = {(r.provenance["world_size"], r.seed): r for r in store.scan()}
    assert {key: r.status for key, r in runs.items()} == {
        (1, 0): "done",
        (2, 0): "failed",
        (1, 1): "done",
        (2, 1): "done",
    }
    assert runs[2, 0].failure["type"] == "bug"
    everything = seen(store.run_dir(runs[1, 0].id))[0]
    assert len(set(everything)) == len(everything) == 102
    for key in ((1, 0), (1, 1), (2, 1)):
        assert seen(store.run_dir(runs[key].id)) == {0: everything, 1: everything}
    one, two = runs[1, 1], runs[2, 1]
    for key in ("train/loss", "val/loss", "test/loss", "test/acc"):
        assert two.metrics[key] == pytest.approx(one.metrics[key], rel=1e-9)
    expected, found = state(store.run_dir(one.id)), state(store.run_dir(two.id))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12)
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs", "spy_of_samples.py", "__pycache__"}
    assert len(list(tmp_path.glob("outputs/sweeps/*"))) == 1


def test_an_environment_belongs_to_no_group_and_keeps_what_is_the_users():
    given = {
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        "PL_GLOBAL_SEED": "7",
        "PL_TRAINER_MAX_STEPS": "1",
        "PL_USE_MOCKED_MNIST": "1",
        "HOME": "/h",
    }
    assert scrubbed(given) == {"PL_USE_MOCKED_MNIST": "1", "HOME": "/h"}


HALF = """
from pathlib import Path

import pytorch_lightning as pl


class Half(pl.Callback):
    def on_fit_start(self, trainer, loop):
        self.ends = not Path("again").exists()

    def on_update(self, loop):
        if self.ends and loop.data.cursor.step == 5:
            raise RuntimeError("on purpose")
"""


@pytest.mark.slow
def test_the_sums_of_an_epoch_that_was_interrupted_are_those_of_all_processes(paribus, tmp_path, monkeypatch):
    (tmp_path / "half_an_epoch.py").write_text(HALF)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = [*BASE, "norm=none", "trainer=ddp_sim", "callbacks.checkpoints.every_seconds=1e-9"]
    line += ["+callbacks.half._target_=half_an_epoch.Half"]
    assert paribus("train", *line).code == 1
    checkpoint = torch.load(next(tmp_path.glob("outputs/runs/*/checkpoints/last.ckpt")), weights_only=True)
    assert 0 < checkpoint["paribus"]["cursor"]["update"] < 5  # of six
    (tmp_path / "again").touch()
    for folder in ("outputs", "whole"):
        result = paribus("train", *line, f"paths.outputs={folder}")
        assert result.code == 0, result.err
    stores = [Store(tmp_path / folder) for folder in ("outputs", "whole")]
    one, other = ({**store.history(next(store.scan()).id), "seconds": None} for store in stores)
    assert one == other


BLIND = """
import os
from pathlib import Path

from paribus.run import fit

if Path("again").exists() and os.environ["RANK"] == "1":
    fit.usable_checkpoint = lambda folder: None
"""


@pytest.mark.slow
def test_processes_that_see_other_checkpoints_do_not_train(paribus, tmp_path, monkeypatch):
    """As on a machine whose file system shows the files of another one late."""
    (tmp_path / "half_blind.py").write_text(HALF + BLIND)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = [*BASE, "norm=none", "trainer=ddp_sim", "callbacks.checkpoints.every_seconds=1e-9"]
    line += ["+callbacks.half._target_=half_blind.Half"]
    assert paribus("train", *line).code == 1
    (tmp_path / "again").touch()
    again = paribus("train", *line)
    assert again.code == 1
    assert "these go on from updates 0 to " in again.err


FATAL = """
import os
import signal

import pytorch_lightning as pl


class Fatal(pl.Callback):
    '''Rank 1 dies or fails in the second epoch; rank 0 is left with a broken connection.'''

    def __init__(self, how: str):
        self.how = how

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.global_rank == 1 and pl_module.data.cursor.epoch == 1:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "out_of_memory":
                raise MemoryError("no room")
            raise ZeroDivisionError("on purpose")
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "out_of_memory"])
def test_a_failure_has_the_kind_and_the_reason_of_the_process_that_failed(paribus, tmp_path, monkeypatch, how):
    (tmp_path / "fatal_rank.py").write_text(FATAL)
    monkeypatch.syspath_prepend(str(tmp_path))
    fatal = ["+callbacks.fatal._target_=fatal_rank.Fatal", f"+callbacks.fatal.how={how}"]
    result = paribus("train", *BASE, "norm=none", "trainer=ddp_sim", *fatal)
    assert result.code == 1, result.err
    reason = {"killed": "ended by SIGKILL (perhaps by the system", "out_of_memory": "MemoryError: no room"}[how]
    assert f"error: {how}: rank 1 of 2: {reason}" in result.err
    assert "see above" not in result.err
    [record] = Store(tmp_path / "outputs").scan()
    assert record.status == "failed"
    assert record.failure["type"] == how
    assert f"rank 1 of 2: {reason}" in record.failure["message"]


def rank(number, code, kind, at, ours=False):
    return Rank(number, code, Result(kind, message=kind), at, ours)


def test_the_rank_that_failed_by_itself_is_told_from_those_that_it_left_behind():
    lost = rank(0, 0, "bug", 1.0)  # its connection was closed
    for first in (
        rank(1, -signal.SIGKILL, "killed", math.inf),
        rank(1, -signal.SIGSEGV, "killed", math.inf),
        rank(1, 0, "out_of_memory", 2.0),
        rank(1, 0, "invalid", 2.0),
        rank(1, 0, "bug", 0.5),
    ):
        assert cause([lost, first]) == first
    aborted = rank(1, -signal.SIGABRT, "killed", math.inf)  # as NCCL does where another is gone
    assert cause([aborted, lost]) == lost
    assert cause([rank(0, -signal.SIGKILL, "killed", math.inf, ours=True), lost]) == lost
    assert cause([rank(0, 130, "stopped", math.inf), rank(1, 0, "done", 1.0)]) is None


def test_a_run_of_one_process_belongs_to_no_group(paribus, tmp_path, monkeypatch):
    """Variables of a shell, a notebook or a cluster: as number 1 it would train and leave no record."""
    for name, value in (("LOCAL_RANK", "1"), ("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as if Lightning had been imported with them
    result = paribus("train", *BASE, "norm=none", "logger=csv")
    assert result.code == 0, result.err
    [record] = Store(tmp_path / "outputs").scan()
    assert record.status == "done"
    assert state(Store(tmp_path / "outputs").run_dir(record.id))
    assert list(tmp_path.glob("outputs/runs/*/**/metrics.csv"))
    assert os.environ["LOCAL_RANK"] == "1"  # for whoever comes after
