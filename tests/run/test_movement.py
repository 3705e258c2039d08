"""A run whose weights stand still although they have gradients is not done, and no other run is suspected of that."""

import pytest
import torch
from torch import nn

from paribus.base.movement import Movement
from paribus.run import single
from paribus.store.store import Store

SMALL = [
    *("model=mlp", "model.width=8", "norm=none", "data.subset=60", "data.batch_size=20", "budget.epochs=4"),
    "trainer.threads=1",
]
LOST = [*SMALL, "trainer.precision=bf16-true", "optimizer.lr=1e-5"]  # steps of less than 0.2 % of a weight


def test_steps_that_are_lost_in_rounding_are_no_training(paribus, tmp_path):
    result = paribus("train", *LOST)
    assert result.code == 2
    assert result.err.count("training must move the weights") == 1
    assert "Traceback" not in result.err
    assert "Use trainer.precision=bf16-mixed" in result.err
    [record] = Store(tmp_path / "outputs").scan()
    assert (record.status, record.failure["type"]) == ("failed", "still")
    assert "optimizer=sgd are lost in the rounding of trainer.precision=bf16-true" in record.failure["message"]
    again = paribus("train", *LOST)  # goes on from its checkpoint, which says that it is finished
    assert again.code == 2, again.err
    assert paribus("train", *LOST[:-2], "trainer.precision=bf16-mixed", LOST[-1]).code == 0


def test_a_step_that_does_nothing_is_found_in_every_precision(paribus, tmp_path, monkeypatch):
    monkeypatch.setattr(single.FusedStep, "__call__", lambda step: None)
    result = paribus("train", *SMALL)
    assert result.code == 2
    assert "100% of those that were looked at" in result.err
    assert "Use a larger optimizer.lr" in result.err


@pytest.mark.parametrize(
    "options",
    [
        {"freeze": "[1.*]"},
        {"freeze": "{1.*: 3}"},
        {"budget.epochs": "1", "scheduler.warmup": "0.9", "trainer.precision": "bf16-true"},
        {"trainer.precision": "bf16-true"},
        {"trainer.precision": "16-true"},
        {"optimizer.lr": "1e-6"},  # in float32 it moves some, for whatever it is worth
        {"optimizer.lr": "1e-12"},  # and this none: the lowest rate of a wide grid
    ],
    ids=lambda options: "-".join(options),
)
def test_usual_runs_are_done(paribus, options):
    line = {item.partition("=")[0]: item.partition("=")[2] for item in SMALL} | options
    result = paribus("train", *(f"{key}={value}" for key, value in line.items()))
    assert result.code == 0, result.err


def moved(network, gradients, lr=0.1):
    """What Movement says after a step of SGD with these gradients."""
    movement, optimizer = Movement(network), torch.optim.SGD(network.parameters(), lr=lr)
    for p, grad in zip(network.parameters(), gradients, strict=True):
        p.grad = None if grad is None else torch.full_like(p, grad)
    movement.look(optimizer)
    optimizer.step()
    return movement


def test_an_entry_counts_where_it_has_a_gradient_and_a_rate():
    make = lambda: nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 64)).to(torch.bfloat16)  # noqa: E731
    assert moved(make(), [1.0, 1.0, 1.0, 1.0]).still() == 0
    assert moved(make(), [1e-7, 1e-7, 1e-7, 1e-7]).still() == 1
    assert moved(make(), [1e-7, 1e-7, None, 0.0]).still() == 1  # of what has gradients
    assert moved(make(), [None, None, 1.0, 0.0]).still() == 0
    assert moved(make(), [1e-7, 1.0, 1.0, 1.0]).still() == pytest.approx(0.25, abs=0.02)
    assert moved(make(), [1.0] * 4, lr=0.0).still() == 0
    assert Movement(make()).still() == 0  # nobody has looked
    assert moved(make().float(), [1e-7] * 4, lr=1e-3).still() == 0  # too small a step for float32 as well: a setting


def test_what_was_looked_at_is_saved():
    network = nn.Linear(8, 8).to(torch.bfloat16)
    movement = moved(network, [1e-6, 1e-6])
    again = Movement(network)
    again.load(movement.state())
    assert again.still() == 1
    with torch.no_grad():
        network.weight += 1
    assert again.still() == pytest.approx(8 / 72)
    again.load(None)  # a checkpoint of before
    assert again.still() == 0
