"""A run goes on, or is evaluated, on another device than it was trained on."""

from types import SimpleNamespace

import pytest
import torch

from paribus.extras.stack.engine import StackEngine
from paribus.run.evaluate import _on_a_device_of_this_machine
from paribus.run.single import SingleEngine
from paribus.store.store import Store

SMALL = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=1"]


def test_what_was_trained_on_a_gpu_is_evaluated_without_one(paribus, tmp_path, monkeypatch):
    assert paribus("train", *SMALL).code == 0
    store = Store(tmp_path / "outputs")
    [record] = store.scan()
    path = store.run_dir(record.id) / "config.yaml"
    path.write_text(path.read_text().replace("accelerator: cpu", "accelerator: gpu"))
    record.checksums.pop("config.yaml", None)
    store.write(record)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    again = paribus("evaluate", record.id)
    assert again.code == 0, again.err
    assert "trained with trainer.accelerator=gpu, which is not here: the CPU is used" in again.err
    for line in again.out.splitlines():
        key, value, *_ = line.split()
        assert float(value) == pytest.approx(record.metrics[key], rel=1e-6)


def test_a_device_that_is_here_is_used(run_of, monkeypatch):
    run = run_of("trainer=gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _on_a_device_of_this_machine(run, "id") is run
    assert _on_a_device_of_this_machine(cpu := run_of(), "id") is cpu


def engine(kind, device):
    """What `restore_streams` reads of an engine in the middle of an epoch."""
    made = object.__new__(kind)
    made.device, made.rank = torch.device(device), 0
    made.data = SimpleNamespace(cursor=SimpleNamespace(epoch=2, update=5))
    made.trainee = SimpleNamespace(dropout_seed=7)
    made.trainees, made._dropout = [made.trainee], [torch.Generator()]
    return made


def test_streams_of_a_cpu_go_on_on_a_gpu(monkeypatch):
    """Where the stream of CUDA begins is a function of the seed and the position."""
    seeds, states = [], []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.append(state))
    saved = [[{"cpu": torch.get_rng_state()}]]
    torch.rand(3)
    engine(SingleEngine, "cuda").restore_streams(saved)
    assert torch.equal(torch.get_rng_state(), saved[0][0]["cpu"])
    assert (len(seeds), states) == (1, [])
    engine(SingleEngine, "cuda").restore_streams(saved)
    other = engine(SingleEngine, "cuda")
    other.data.cursor.update = 6
    other.restore_streams(saved)
    assert seeds[0] == seeds[1] != seeds[2]
    engine(SingleEngine, "cuda").restore_streams([[{**saved[0][0], "cuda": saved[0][0]["cpu"]}]])
    assert (len(seeds), len(states)) == (3, 1)


def test_streams_of_a_stack_go_on_on_a_gpu():
    saved = [[{"cpu": torch.Generator().get_state()}]]
    first, second = engine(StackEngine, "cuda"), engine(StackEngine, "cuda")
    first.restore_streams(saved)
    second.restore_streams(saved)
    assert torch.equal(first._dropout[0].get_state(), second._dropout[0].get_state())
    assert not torch.equal(first._dropout[0].get_state(), saved[0][0]["cpu"])
