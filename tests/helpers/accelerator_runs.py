"""Runs on a pretended accelerator, and on the CPU beside it. Each is called in a process of its own: torch learns of
the devices that there are with its first backward pass."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import accelerator
import pytest
import torch
from accelerator import NAME, Accelerator, OnDevice

SMALL = [
    *("model=mlp", "model.width=8", "data.subset=120", "data.batch_size=20", "budget.epochs=2", "trainer.threads=1"),
    *("callbacks=[checkpoints]", "evaluation.batch_size=50"),
]


def run_of(line, folder):
    from paribus.config.compose import load, resolved
    from paribus.config.run import Run

    merged = {item.partition("=")[0]: item for item in [*SMALL, *line, f"paths.outputs={folder}"]}
    if merged["model"] != "model=mlp" and not any(item.startswith("model.width") for item in line):
        del merged["model.width"]
    return Run.parse(resolved(load(list(merged.values()))))


def on_device():
    """Trainers train on the pretended device from now on, and what waits is noted with what is being done."""
    from paribus.extras.stack import fit as of_stacks
    from paribus.extras.stack.engine import StackEngine
    from paribus.extras.stack.network import StackedNetwork
    from paribus.run import fit
    from paribus.run.loop import Loop
    from paribus.run.single import SingleEngine

    build = fit.build_trainer

    def build_trainer(*arguments, **options):
        trainer = build(*arguments, **options)
        trainer.strategy._root_device = torch.device(NAME, 0)
        trainer.strategy.accelerator.setup_device = lambda device: None
        return trainer

    fit.build_trainer = of_stacks.build_trainer = build_trainer
    attach = StackedNetwork.attach

    def attached(self):
        """`p.data = row` keeps the object p, to which the tensors of a subclass belong."""
        stacked = self.stacked()
        if not any(isinstance(tensor, OnDevice) for tensor in stacked.values()):
            return attach(self)
        for k, network in enumerate(self._networks):
            for name in stacked:
                place, _, last = name.rpartition(".")
                module, row = network.get_submodule(place), stacked[name].detach()[k]
                if last in module._buffers:
                    module._buffers[last] = row
                elif isinstance(p := module._parameters[last], OnDevice):
                    p.inner = row.inner
                else:
                    module._parameters[last] = torch.nn.Parameter(row, p.requires_grad)

    StackedNetwork.attach = attached
    for owner, method in ((Loop, "_update"), (SingleEngine, "evaluate"), (StackEngine, "evaluate")):
        setattr(owner, method, during(method.strip("_"), getattr(owner, method)))


def during(doing, method):
    def marked(*arguments, **options):
        before, accelerator.doing = accelerator.doing, doing
        try:
            return method(*arguments, **options)
        finally:
            accelerator.doing = before

    return marked


def train(line, folder):
    from paribus.run.execute import train as execute

    return execute(run_of(line, folder), {}, [])


def stack(lines, folder):
    """Train runs as a stack, whatever a measurement would say; their records."""
    from paribus.extras.stack.execute import train_stack
    from paribus.store.store import Store

    runs = [run_of([*line, "stack=8"], folder) for line in lines]
    members = [{"id": run.id, "config": dict(run.resolved), "choices": {}, "overrides": []} for run in runs]
    Path(folder).mkdir(parents=True)
    path = Path(folder) / "members.json"
    path.write_text(json.dumps({"members": members, "group": [run.id for run in runs]}))
    train_stack(runs[0], path)
    return [Store(folder).read(run.id) for run in runs]


def both(line, folder, *, server):
    """Metrics on the CPU, metrics on the device, and what has waited for that."""
    device = Accelerator()
    expected = train(line, f"{folder}/cpu").metrics
    on_device()
    with device:
        found = train(line, f"{folder}/device").metrics
    return expected, found, device.waits


def both_stacked(lines, folder, *, server):
    device = Accelerator()
    expected = [record.metrics for record in stack(lines, f"{folder}/cpu")]
    on_device()
    with device:
        records = stack(lines, f"{folder}/device")
    sizes = [record.provenance["segments"][-1]["stack"] for record in records]
    return expected, [record.metrics for record in records], device.waits, sizes


def interrupted(line, folder, *, server):
    """As `both`, of a run that is ended at the beginning of its second epoch and goes on."""
    device = Accelerator()
    expected = train(line, f"{folder}/cpu").metrics
    on_device()
    with device:
        stopped = [*line, "+callbacks.stop._target_=watchers.Stop", "callbacks.checkpoints.every_seconds=1e-9"]
        with pytest.raises(RuntimeError, match="on purpose"):
            train(stopped, f"{folder}/device")
        found = train(stopped, f"{folder}/device").metrics
    return expected, found, Counter(device.waits)


def planted(*, server):
    """What is wrong with each of these, on the device."""
    said = {}
    with Accelerator() as device:
        x, index = torch.ones(3, 3).to(device.device), torch.tensor([0, 2])
        before = device.waits.total()
        for name, what in {
            "a sum": lambda: x + 1.0 * x,
            "with a number of the CPU": lambda: x * torch.tensor(2.0),
            "to the device, and the program goes on": lambda: torch.ones(3).to(x.device, non_blocking=True),
            "of two devices": lambda: x + torch.ones(3, 3),
            "float": lambda: float(x.sum()),
            "if": lambda: bool((x > 0).any()),
            "a list": lambda: x[0].tolist(),
            "a mask": lambda: x[x > 0],
            "indices of the CPU": lambda: x[index],
            "nonzero": lambda: x.nonzero(),
            "to the CPU": lambda: x.cpu(),
            "to the device": lambda: torch.ones(3).to(x.device),
            "a new tensor": lambda: x.new_tensor([1.0]),
            "a tensor": lambda: torch.tensor([1.0], device=x.device),
            "copied": lambda: x.copy_(torch.ones(3, 3)),
            "an array": lambda: x.numpy(),
        }.items():
            try:
                what()
                said[name] = device.waits.total() - before
            except (RuntimeError, TypeError) as error:
                said[name] = type(error).__name__
            before = device.waits.total()
    return said


def gradients(*, server):
    """Of a small network, on both; the type of a weight there; and the number of random numbers drawn."""
    device = Accelerator()
    with device:
        found = []
        for where in (torch.device("cpu"), device.device):
            torch.manual_seed(0)
            network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Tanh()).to(where)
            x = torch.randn(5, 4, generator=torch.Generator(where).manual_seed(1), device=where)
            network(x).square().sum().backward()
            found.append([p.grad.cpu() for p in network.parameters()])
        same = all(map(torch.equal, *found))
        return same, str(next(network.parameters()).device)
