"""The weights of a run after 30 updates do not depend on whether it was trained alone or in a stack."""

import pytest
import torch

from paribus.config import config_dir
from paribus.train import build

OPTIMIZERS = sorted(path.stem for path in (config_dir() / "optimizer").glob("*.yaml"))
NORMS = [*sorted(path.stem for path in (config_dir() / "norm").glob("*.yaml")), "[batch,weight]", "[layer,spectral]"]
BASE = [
    "model=cnn",
    "model.widths=[8,8]",
    "data.subset=40",
    "data.validation=20",
    "data.batch_size=8",
    "budget.updates=30",
    "scheduler=cosine",
    "callbacks=[checkpoints]",
    "trainer.threads=1",
]


def by_hand(config, updates=30):
    """Plain PyTorch, without any of our loop: the weights after the updates."""
    setting = build.build_setting(config)
    data = build.build_data(config, setting)
    dtype = torch.float64 if config["trainer"]["precision"] == "64-true" else torch.float32
    network = build.build_network(config, setting).to(dtype)
    optimizer = build.build_optim(config, network)
    rates = [group["lr"] for group in optimizer.param_groups]
    x, y = data.splits.train.x.to(dtype), data.splits.train.y
    step = 0
    for epoch in range(updates):
        for indices in data.plan.epoch(epoch):
            if step == updates:
                return network.state_dict()
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * setting.schedule.factor(step, updates)
            for module in network.modules():
                if hasattr(module, "set_progress"):
                    module.set_progress(step / updates)
            optimizer.zero_grad()
            setting.loss(network(x[indices]), y[indices]).backward()
            if config["clip"]["value"] is not None:
                torch.nn.utils.clip_grad_value_(network.parameters(), config["clip"]["value"])
            if config["clip"]["norm"] is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), config["clip"]["norm"])
            optimizer.step()
            step += 1
    return network.state_dict()


def distance(found, wanted):
    """The largest |a - b| / |b| over tensors, in 2-norms."""
    return max(
        float((found[name] - value).norm() / value.norm().clamp_min(1e-12))
        for name, value in wanted.items()
        if float(value.norm()) > 1e-6 or float(found[name].norm()) > 1e-6
    )


def lines_of(norm, precision, optimizers=OPTIMIZERS):
    """All optimizers, two of them with two rates and two seeds: one stack."""
    lines = [[*BASE, f"norm={norm}", f"optimizer={name}", f"trainer.precision={precision}"] for name in optimizers]
    twice = [f"norm={norm}", "optimizer=momentum", f"trainer.precision={precision}"]
    return lines + [[*BASE, *twice, "optimizer.lr=0.02", f"seed={seed}"] for seed in (0, 1)]


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_with_every_optimizer_in_double_precision(norm, runs):
    """1e-5 relative, for the weights and the statistics of each replica."""
    run, lines = runs(), lines_of(norm, "64-true")
    records = run.stacked(lines)
    assert [record.status for record in records] == ["done"] * len(lines)
    for line in lines:
        assert distance(run.weights(line), by_hand(run.config(line))) < 1e-5, line
