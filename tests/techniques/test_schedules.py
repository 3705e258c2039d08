"""Schedules against torch's own, as fractions of a run, with a warm-up in front."""

import math
import warnings

import pytest
import torch
from torch.optim import lr_scheduler as reference

from paribus.base.metrics import Metric
from paribus.techniques import schedules

HORIZON = 97


def torchs(make, steps=HORIZON, lr=1.0, **sgd):
    """The factors that one of torch's schedulers gives over a run."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, **sgd)
    scheduler = make(optimizer)
    factors, momenta = [], []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"] / lr)
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return factors, momenta


def ours(schedule, steps=HORIZON, horizon=HORIZON):
    return [schedule.factor(step, horizon) for step in range(steps)]


@pytest.mark.parametrize(
    ("schedule", "make", "horizon"),
    [
        (schedules.Constant(), lambda o: reference.ConstantLR(o, 1.0), 97),
        (schedules.Step(every=0.25, gamma=0.3), lambda o: reference.StepLR(o, 25, 0.3), 100),
        (schedules.Step(every=0.1), lambda o: reference.StepLR(o, 10, 0.1), 100),
        (schedules.MultiStep([0.2, 0.7], 0.5), lambda o: reference.MultiStepLR(o, [20, 70], 0.5), 100),
        (schedules.Exponential(0.01), lambda o: reference.ExponentialLR(o, 0.01 ** (1 / 97)), 97),
        (schedules.Polynomial(power=2.0), lambda o: reference.PolynomialLR(o, 97, 2.0), 97),
        (schedules.Polynomial(power=1.0, final=0.1), lambda o: reference.LinearLR(o, 1.0, 0.1, 97), 97),
        (schedules.Cosine(final=0.05), lambda o: reference.CosineAnnealingLR(o, 97, 0.05), 97),
        (
            schedules.CosineRestarts(cycles=3, mult=2.0),
            lambda o: reference.CosineAnnealingWarmRestarts(o, 10, 2),
            70,
        ),
    ],
)
def test_a_schedule_is_torchs_own(schedule, make, horizon):
    expected, _ = torchs(make, horizon)
    assert ours(schedule, horizon, horizon) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_with_its_momentum_is_torchs_own(anneal):
    expected, momenta = torchs(
        lambda o: reference.OneCycleLR(o, 1.0, total_steps=HORIZON, anneal_strategy=anneal), momentum=0.9
    )
    schedule = schedules.OneCycle(anneal=anneal)
    assert ours(schedule) == pytest.approx(expected, abs=1e-9)
    assert [schedule.momentum(step, HORIZON) for step in range(HORIZON)] == pytest.approx(momenta, abs=1e-9)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_plateau_is_torchs_own(better):
    values = [1.0, 0.9, 0.9, 0.91, 0.9, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.4]
    metric = Metric("own", better)
    values = values if better == "lower" else [0.0, *(1.1 - value for value in values)]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = reference.ReduceLROnPlateau(optimizer, mode=metric.mode, factor=0.3, patience=2, threshold=1e-4)
    schedule = schedules.Plateau(gamma=0.3, patience=2)
    for value in values:
        scheduler.step(value)
        schedule.observe(metric.cost(value))
        assert schedule.factor(0, 10) == pytest.approx(optimizer.param_groups[0]["lr"])
    twin = schedules.Plateau(gamma=0.3, patience=2)
    twin.load_state_dict(schedule.state_dict())
    assert twin.factor(0, 10) == schedule.factor(0, 10) < 1.0


@pytest.mark.parametrize("best", [0.5, 0.0, -0.5])
def test_an_improvement_exceeds_a_share_of_the_best_whatever_its_sign(best):
    """torch's own takes any value for an improvement of a negative one."""
    for value, drops in ((best, True), (best - 0.04 * abs(best), True), (best - 0.06 * abs(best) - 1e-9, False)):
        schedule = schedules.Plateau(gamma=0.3, patience=0, threshold=0.05)
        schedule.observe(best)
        schedule.observe(value)
        assert schedule.factor(0, 10) == (0.3 if drops else 1.0), (best, value)


def test_inverse_square_root_falls_as_one_over_root_u_after_a_warmup_of_w():
    w, horizon = 10, 110
    schedule = schedules.InverseSqrt(timescale=w / (horizon - w), warmup=w)
    for step in range(w, horizon):
        assert schedule.factor(step, horizon) == pytest.approx(math.sqrt(w / step))


def test_wsd_is_stable_and_then_decays():
    schedule = schedules.WSD(warmup=0.1, decay=0.25, final=0.1)
    assert schedule.factor(9, 100) == 1.0
    assert {schedule.factor(step, 100) for step in range(10, 77)} == {1.0}
    assert schedule.factor(99, 100) == pytest.approx(0.1, abs=0.05)
    root = schedules.WSD(warmup=0, decay=1.0, shape="sqrt")
    assert root.factor(25, 100) == pytest.approx(0.5)


ALL = [
    schedules.Constant,
    schedules.Step,
    schedules.MultiStep,
    schedules.Exponential,
    schedules.Polynomial,
    schedules.Cosine,
    schedules.CosineRestarts,
    schedules.InverseSqrt,
    schedules.WSD,
    schedules.Plateau,
    schedules.BatchGrowth,
]


@pytest.mark.parametrize("kind", ALL)
def test_the_same_curve_for_every_number_of_updates(kind):
    schedule = kind()
    for t in (0.0, 0.11, 0.26, 0.52, 0.77, 0.99):
        assert schedule.factor(t * 100, 100) == pytest.approx(schedule.factor(t * 10_000, 10_000))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("warmup", [5, 0.05])
def test_warmup_rises_linearly_and_the_schedule_runs_over_the_rest(kind, warmup):
    schedule, bare = kind(warmup=warmup), kind()
    assert [schedule.factor(step, 100) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    for step in range(95):
        assert schedule.factor(5 + step, 100) == pytest.approx(bare.factor(step, 95))
    assert kind(warmup=4, warmup_start=0.5).factor(0, 100) == pytest.approx(0.625)


@pytest.mark.parametrize("kind", [*ALL, schedules.OneCycle])
def test_factors_are_positive_and_at_most_one(kind):
    assert all(0.0 <= value <= 1.0 + 1e-12 for value in ours(kind()))


def test_batch_growth_multiplies_at_its_milestones_and_leaves_the_rate():
    schedule = schedules.BatchGrowth([0.5, 0.75], growth=5)
    assert [schedule.batch_factor(t) for t in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)] == [1, 1, 5, 5, 25, 25]
    assert set(ours(schedule)) == {1.0}


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (schedules.Cosine, {"warmup": 1.0}, "warmup"),
        (schedules.Cosine, {"warmup": -1}, "warmup"),
        (schedules.Cosine, {"final": 2.0}, "final"),
        (schedules.MultiStep, {"milestones": [0.7, 0.2]}, "milestones"),
        (schedules.MultiStep, {"milestones": [0.5, 30]}, "milestones"),
        (schedules.Step, {"every": 0}, "every"),
        (schedules.OneCycle, {"warmup": 5}, "one_cycle"),
        (schedules.OneCycle, {"anneal": "cosine"}, "anneal"),
        (schedules.WSD, {"shape": "round"}, "shape"),
        (schedules.Plateau, {"gamma": "x"}, "gamma"),
    ],
)
def test_impossible_values_are_named(kind, options, name):
    with pytest.raises(ValueError, match=name):
        kind(**options)
