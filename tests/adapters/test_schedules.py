"""Schedulers of torch: in every update the rates of torch's own, after a break too; what can't work is said before."""

import functools
import math
from types import SimpleNamespace

import pytest
import torch
from torch.optim import SGD, AdamW, lr_scheduler

from paribus.adapters.schedules import Followed, partials, schedule_of
from paribus.base.errors import UserError
from paribus.run.instantiate import instantiate
from paribus.techniques.schedules import Cosine

EPOCHS, IN_EPOCH = 6, 5
TORCH = "torch.optim.lr_scheduler"
NODES = [
    {"_target_": f"{TORCH}.StepLR", "step_size": 2, "gamma": 0.3},
    {"_target_": f"{TORCH}.StepLR", "step_size": 7, "interval": "update"},
    {"_target_": f"{TORCH}.MultiStepLR", "milestones": [1, 4]},
    {"_target_": f"{TORCH}.ExponentialLR", "gamma": 0.7},
    {"_target_": f"{TORCH}.CosineAnnealingLR", "T_max": EPOCHS, "eta_min": 0.001},
    {"_target_": f"{TORCH}.CosineAnnealingWarmRestarts", "T_0": 2},
    {"_target_": f"{TORCH}.OneCycleLR", "max_lr": [0.5, 0.2], "total_steps": EPOCHS * IN_EPOCH},
    {"_target_": f"{TORCH}.CyclicLR", "base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3},
    {"_target_": f"{TORCH}.PolynomialLR", "total_iters": EPOCHS},
    {
        "_target_": f"{TORCH}.SequentialLR",
        "milestones": [2],
        "schedulers": [
            {"_target_": f"{TORCH}.LinearLR", "start_factor": 0.1, "total_iters": 2},
            {"_target_": f"{TORCH}.CosineAnnealingLR", "T_max": 4},
        ],
    },
    {
        "_target_": f"{TORCH}.ChainedScheduler",
        "schedulers": [
            {"_target_": f"{TORCH}.ConstantLR", "factor": 0.1, "total_iters": 3},
            {"_target_": f"{TORCH}.ExponentialLR", "gamma": 0.9},
        ],
    },
]


def made(node):
    return schedule_of(instantiate("scheduler", partials(node)), node.get("interval"))


def optimizer(kind=SGD):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": 0.1}, {"params": [torch.zeros(1)]}]
    return kind(groups, lr=0.3, **({"momentum": 0.9} if kind is SGD else {}))


def progress(step=0):
    plan = SimpleNamespace(updates_in=lambda epoch: IN_EPOCH)
    cursor = SimpleNamespace(step=step, epoch=step // IN_EPOCH)
    return SimpleNamespace(cursor=cursor, plan=plan, updates=EPOCHS * IN_EPOCH)


def numbers(groups):
    return [(group["lr"], group.get("momentum"), group.get("betas")) for group in groups]


def torchs(node, kind):
    """The rates of every update, by the scheduler on a real optimizer."""
    real = optimizer(kind)

    def build(each):
        own = {key: value for key, value in each.items() if key not in ("_target_", "interval")}
        if "schedulers" in own:
            own["schedulers"] = [build(inner) for inner in own["schedulers"]]
        return getattr(lr_scheduler, each["_target_"].rpartition(".")[2])(optimizer=real, **own)

    scheduler = build(node)
    every_update = node.get("interval") == "update" or node["_target_"].endswith(("OneCycleLR", "CyclicLR"))
    found = []
    for _ in range(EPOCHS):
        for _ in range(IN_EPOCH):
            found.append(numbers(real.param_groups))
            real.step()
            if every_update and len(found) < EPOCHS * IN_EPOCH:
                scheduler.step()
        if not every_update:
            scheduler.step()
    return found


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("kind", [SGD, AdamW])
@pytest.mark.parametrize("node", NODES, ids=lambda node: node["_target_"].rpartition(".")[2])
def test_rates_and_momentum_are_torchs_to_the_bit(node, kind):
    wanted = torchs(node, kind)
    schedule, ours, where = made(node), optimizer(kind), progress()
    schedule.rehearse(ours.param_groups, where)
    schedule.follow(where)
    for group in ours.param_groups:
        group["initial_lr"] = group["lr"]
    for step, rates in enumerate(wanted):
        where.cursor.step, where.cursor.epoch = step, step // IN_EPOCH
        if step == 17:  # it is another process, and the optimizer has the rates of its checkpoint
            schedule = made(node)
            schedule.follow(where)
        schedule.apply(ours.param_groups, step, EPOCHS * IN_EPOCH)
        assert numbers(ours.param_groups) == rates, step


def test_a_plateau_follows_the_validation_loss_and_keeps_its_state():
    node = {"_target_": f"{TORCH}.ReduceLROnPlateau", "patience": 1, "factor": 0.5}
    real, ours, where = optimizer(), optimizer(), progress()
    scheduler = lr_scheduler.ReduceLROnPlateau(real, patience=1, factor=0.5)
    schedule = made(node)
    schedule.follow(where)
    for epoch, loss in enumerate([1.0, 0.9, 0.95, 0.93, 0.94, 0.95, 0.96, 0.97]):
        if epoch == 5:
            state = schedule.state_dict()
            schedule = made(node)
            schedule.follow(where)
            schedule.load_state_dict(state)
        schedule.apply(ours.param_groups, epoch, 8)
        assert numbers(ours.param_groups) == numbers(real.param_groups)
        schedule.observe(loss)
        scheduler.step(loss)
    assert ours.param_groups[0]["lr"] < 0.05


def test_a_plateau_of_a_metric_of_which_higher_is_better():
    real, ours, where = optimizer(), optimizer(), progress()
    scheduler = lr_scheduler.ReduceLROnPlateau(real, mode="max", patience=0, threshold=0.1)
    node = {"_target_": f"{TORCH}.ReduceLROnPlateau", "patience": 0, "threshold": 0.1, "monitor": "val/acc"}
    schedule = schedule_of(instantiate("scheduler", partials(node)), mode="max")
    schedule.follow(where)
    for epoch, accuracy in enumerate([0.5, 0.52, 0.6, 0.61, 0.62]):
        schedule.apply(ours.param_groups, epoch, 8)
        assert numbers(ours.param_groups) == numbers(real.param_groups)
        schedule.observe(-accuracy)
        scheduler.step(accuracy)
    assert ours.param_groups[0]["lr"] == 0.1 * 0.1 * 0.1


def test_the_length_of_the_run_is_filled_in_where_nobody_gives_it():
    last = (1 + math.cos(math.pi * (EPOCHS - 1) / EPOCHS)) / 2
    cosine = numbers_at_the_end({"_target_": f"{TORCH}.CosineAnnealingLR"})
    assert cosine == pytest.approx([0.1 * last, 0.3 * last])
    node = {"_target_": f"{TORCH}.OneCycleLR", "max_lr": 0.5}
    assert numbers_at_the_end(node)[0] == pytest.approx(0.5 / 25 / 1e4, rel=1e-6)
    nested = {"_target_": f"{TORCH}.ChainedScheduler", "schedulers": [{"_target_": f"{TORCH}.CosineAnnealingLR"}]}
    assert numbers_at_the_end(nested)[0] == pytest.approx(0.1 * last)


def numbers_at_the_end(node):
    schedule, ours, where = made(node), optimizer(), progress(EPOCHS * IN_EPOCH - 1)
    schedule.follow(where)
    schedule.apply(ours.param_groups, 0, 1)
    return [group["lr"] for group in ours.param_groups]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"_target_": f"{TORCH}.StepLR"}, "step_size"),
        (
            {"_target_": f"{TORCH}.OneCycleLR", "max_lr": 0.1, "total_steps": 10},
            "which is 30 updates .*total steps is 10",
        ),
        ({"_target_": f"{TORCH}.OneCycleLR", "max_lr": [0.1]}, "max_lr"),
        ({"_target_": f"{TORCH}.ExponentialLR", "gamma": -1.0}, "must be finite, got -0.1 in epoch 1"),
        ({"_target_": f"{TORCH}.StepLR", "step_size": 1, "interval": "step"}, "interval must be epoch or update"),
        (
            {"_target_": f"{TORCH}.ReduceLROnPlateau", "mode": "max"},
            "mode must be min, the direction",
        ),
    ],
)
def test_what_can_not_work_is_said_before_the_training(node, said):
    with pytest.raises((ValueError, UserError), match=said):
        made(node).rehearse(optimizer().param_groups, progress())


def test_what_is_a_schedule():
    cosine = Cosine()
    assert schedule_of(cosine) is cosine
    assert isinstance(schedule_of(functools.partial(lr_scheduler.StepLR, step_size=1)), Followed)
    with pytest.raises(ValueError, match="a subclass of paribus"):
        schedule_of(3)
