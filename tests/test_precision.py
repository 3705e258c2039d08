"""Precision as an axis: every norm and every optimizer in each precision, against float32.

The weights of a small convolutional network go as far, and to the same place, as in float32, up to what the precision
rounds away. What can't is refused. That the loop does the same is tested with the loop (tests/run/test_scaling.py).
"""

import functools
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from paribus.base.errors import UserError
from paribus.base.scaling import Scaler
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build

CONF = Path(__file__).parents[1] / "conf"
NORMS = sorted(file.stem for file in (CONF / "norm").glob("*.yaml") if file.stem not in ("own", "sync_batch"))
OPTIMIZERS = sorted(file.stem for file in (CONF / "optimizer").glob("*.yaml"))
UPDATES, SAMPLES = 6, 20

# The type of the weights and that of autocast, and how far from float32's the weights may end, as a share of their way.
PRECISIONS = {
    "64-true": (torch.float64, None, 0.3),
    "bf16-mixed": (torch.float32, torch.bfloat16, 0.6),
    "16-mixed": (torch.float32, torch.float16, 0.4),
    "bf16-true": (torch.bfloat16, None, 0.7),
    "16-true": (torch.float16, None, 0.85),
}
# Their first steps are small, and lost in the rounding of bfloat16. A run that goes on so is refused at its end.
SMALL_STEPS = {"adafactor", "prodigy", "radam"}
# In float16 their averages of squares, or eps, are 0.
NOT_IN_FLOAT16 = {
    *("adam", "adamw", "adabelief", "adagrad", "adagrad_rms", "lamb", "muon", "nadam", "prodigy", "radam", "rmsprop"),
    *("rmsprop_notes", "schedulefree_adamw", "soap"),
}


def in_turn(options):
    """Every option in every precision; a third of the pairs every time, in which each option has its turn."""
    return [
        pytest.param(option, precision, marks=() if (k + place) % 3 == 0 else pytest.mark.slow)
        for k, option in enumerate(options)
        for place, precision in enumerate(PRECISIONS)
    ]


@functools.cache
def composed(option):
    small = [f"data.subset={2 * SAMPLES}", f"data.batch_size={SAMPLES}"]
    return resolved(load(["model=cnn", "model.widths=[8,8]", *small, option]))


@pytest.fixture(scope="module")
def trained():
    """(norm, optimizer, precision) -> how far each weight has gone."""
    setting, kept = None, {}

    def train(norm, optimizer, precision):
        nonlocal setting
        run = Run.parse({**composed(f"norm={norm}"), "optimizer": composed(f"optimizer={optimizer}")["optimizer"]})
        if setting is None:
            setting = build.build_setting(run)
            kept["data"] = build.build_data(run, setting).splits.train
        x, y = kept["data"].gather(torch.arange(2 * SAMPLES))
        weights, autocast, _ = PRECISIONS.get(precision, (torch.float32, None, 0.0))
        network = build.build_network(run, setting).to(weights).train()
        start = [p.detach().double().clone() for p in network.parameters()]
        step = build.build_optim(run, network)
        scaler = Scaler("cpu") if precision == "16-mixed" else None
        for update in range(UPDATES):
            part = slice(update % 2 * SAMPLES, (update % 2 + 1) * SAMPLES)
            with nullcontext() if autocast is None else torch.autocast("cpu", dtype=autocast):
                loss = setting.task.loss(network(x[part].to(weights)), y[part])
            if scaler is None:
                loss.backward()
                step.step()
            else:
                scaler.scale(loss).backward()
                scaler.unscale_(step)
                scaler.step(step)
                scaler.update()
            step.zero_grad()
        return torch.cat(
            [(p.detach().double() - q).flatten() for p, q in zip(network.parameters(), start, strict=True)]
        )

    def remembered(norm, optimizer, precision):
        key = (norm, optimizer, precision)
        if precision != "32-true":
            return train(*key)
        if key not in kept:
            kept[key] = train(*key)
        return kept[key]

    return remembered


def check(trained, norm, optimizer, precision):
    if precision == "16-true" and optimizer in NOT_IN_FLOAT16:
        with pytest.raises(UserError, match=r"in float16, tried on a few weights\. Use trainer\.precision=bf16-mixed"):
            trained(norm, optimizer, precision)
        return
    expected, found = trained(norm, optimizer, "32-true"), trained(norm, optimizer, precision)
    limit = PRECISIONS[precision][2]
    if precision == "bf16-true" and optimizer in SMALL_STEPS:
        limit = 1.01
    assert bool(found.isfinite().all())
    assert float((found - expected).norm() / expected.norm()) < limit


@pytest.mark.parametrize(("norm", "precision"), in_turn(NORMS))
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_every_norm(trained, norm, precision):
    check(trained, norm, "sgd", precision)


@pytest.mark.parametrize(("optimizer", "precision"), in_turn(OPTIMIZERS))
@pytest.mark.filterwarnings("ignore::UserWarning")  # of optimizers of others, which every run ignores
def test_every_optimizer(trained, optimizer, precision):
    check(trained, "batch", optimizer, precision)


@pytest.mark.slow  # a minute
@pytest.mark.timeout(900)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_norm_with_every_optimizer(trained, optimizer):
    for norm in NORMS:
        for precision in PRECISIONS:
            check(trained, norm, optimizer, precision)
