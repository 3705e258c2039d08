"""The weights of a run after 30 updates do not depend on whether it was trained alone or in a stack."""

import functools

import pytest
import torch

from paribus.config import config_dir
from paribus.config.run import Run
from paribus.datasets.batches import BatchPlan
from paribus.extras.stack import program
from paribus.run import build
from paribus.stats.effect import minimum_detectable_effect
from paribus.stats.paired import paired_difference

OPTIMIZERS = sorted(path.stem for path in (config_dir() / "optimizer").glob("*.yaml"))
NORMS = [*sorted(path.stem for path in (config_dir() / "norm").glob("*.yaml")), "[batch,weight]", "[layer,spectral]"]
OFTEN = ("batch",)  # the others in make test-slow
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


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    """Thirty updates are too few for a trace to pay."""
    monkeypatch.setattr(program, "WORTH", 1)


@functools.cache
def samples():
    """The data of BASE: equal for all of its runs."""
    from paribus.config.compose import load, resolved

    run = Run.parse(resolved(load(BASE)))
    return build.build_data(run, build.build_setting(run)).splits


def by_hand(run, noise=0.0):
    """Plain PyTorch, without any of our loop: the weights after the updates.

    noise: relative error that is put into every output, to see how much a run makes of it.
    """
    setting, updates = build.build_setting(run), run.budget.updates
    dtype = torch.float64 if run.precision == "64-true" else torch.float32
    network = build.build_network(run, setting).to(dtype)
    optimizer = build.build_optim(run, network)
    rates = [group["lr"] for group in optimizer.param_groups]
    x, y = samples().train.x.to(dtype), samples().train.y
    plan = BatchPlan(len(y), run.data.batch_size, seed=run.seeds.order)
    batches = [indices for epoch in range(updates) for indices in plan.epoch(epoch)]
    for step, indices in enumerate(batches[:updates]):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * setting.schedule.factor(step, updates)
        for module in network.modules():
            if hasattr(module, "set_progress"):
                module.set_progress(step / updates)
        optimizer.zero_grad()
        setting.loss(network(x[indices]) * (1.0 + noise), y[indices]).backward()
        if run.clip.value is not None:
            torch.nn.utils.clip_grad_value_(network.parameters(), run.clip.value)
        if run.clip.norm is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), run.clip.norm)
        optimizer.step()
    return network.state_dict()


def distance(found, wanted):
    """The largest |a - b| / |b| over tensors, in 2-norms."""
    assert all(bool(value.isfinite().all()) for state in (found, wanted) for value in state.values())
    return max(
        float((found[name] - value).norm() / value.norm().clamp_min(1e-12))
        for name, value in wanted.items()
        if float(value.norm()) > 1e-6 or float(found[name].norm()) > 1e-6
    )


def lines_of(norm, precision, optimizers=OPTIMIZERS):
    """All optimizers, two of them with two rates and two seeds: one stack."""
    # Groups of one channel would take away the bias in front of them: its gradient is then rounding, and Lion takes the
    # sign of that.
    choice = [f"norm={norm}", *(["norm.activation.groups=4"] if norm == "group" else [])]
    lines = [[*BASE, *choice, f"optimizer={name}", f"trainer.precision={precision}"] for name in optimizers]
    twice = [*choice, "optimizer=momentum", f"trainer.precision={precision}"]
    return lines + [[*BASE, *twice, "optimizer.lr=0.02", f"seed={seed}"] for seed in (0, 1)]


def assert_same(run, line, tolerance):
    """Within the tolerance, or within what the run itself makes of errors of rounding.

    SOAP rotates into eigenvectors of gradients' covariances; those of equal eigenvalues are arbitrary, so that a change
    of one unit in the last place can turn them.
    """
    config = run.run_of(line)
    wanted = by_hand(config)
    found = distance(run.weights(line), wanted)
    if found >= tolerance:
        own = max(distance(by_hand(config, noise), wanted) for noise in (2.3e-16, -2.3e-16, 4.5e-16))
        assert "optimizer=soap" in line, (line, found)
        assert found < 10 * own, (line, found, own)


@pytest.mark.parametrize(
    "norm", [pytest.param(norm, marks=() if norm in OFTEN else pytest.mark.slow) for norm in NORMS]
)
def test_every_norm_with_every_optimizer_in_double_precision(norm, runs):
    """1e-5 relative, for the weights and the statistics of each replica."""
    run, lines = runs(), lines_of(norm, "64-true")
    records = run.stacked(lines)
    assert [record.status for record in records] == ["done"] * len(lines)
    for line in lines:
        assert_same(run, line, 1e-5)


def test_single_precision(runs):
    run, lines = runs(), lines_of("batch", "32-true", ["momentum", "adam", "lamb", "rmsprop"])
    run.stacked(lines)
    for line in lines:
        assert_same(run, line, 1e-3)


@pytest.mark.parametrize("model", ["mlp", pytest.param("vit_tiny", marks=pytest.mark.slow)])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_mixed_precision_is_that_of_the_single_run(model, norm, runs):
    """bfloat16 has three digits: both round, and not alike. What was learned is compared, and not each weight."""
    slim = ["model.depth=1", "model.width=12"] if model == "vit_tiny" else ["model.width=16"]
    base = [f"model={model}", *slim, *BASE[2:], f"norm={norm}", "budget.updates=10", "trainer.precision=bf16-mixed"]
    lines = [[*base, f"seed={seed}"] for seed in (0, 1)]
    alone, together = runs("alone"), runs("together")
    for line, wanted, found in zip(lines, alone.alone(lines), together.stacked(lines), strict=True):
        assert found.status == wanted.status == "done"
        assert found.metrics["train/loss"] == pytest.approx(wanted.metrics["train/loss"], rel=0.02)
        dtypes = {name: value.dtype for name, value in alone.weights(line).items()}
        assert {name: value.dtype for name, value in together.weights(line).items()} == dtypes


def test_replicas_have_losses_schedules_and_clipping_of_their_own(runs):
    options = (
        ["loss=mse", "scheduler=step"],
        ["loss=softmax_mse", "clip.norm=0.05"],
        ["clip.value=0.001", "decay=all"],
        ["loss=label_smoothing", "scheduler=exponential", "clip.norm=0.05", "clip.value=0.01"],
        ["optimizer=adam", "scheduler.warmup=5"],
    )
    lines = []
    for seed, own in enumerate(options):
        base = [item for item in BASE if item.partition("=")[0] not in {key.partition("=")[0] for key in own}]
        lines.append([*base, *own, "trainer.precision=64-true", f"seed={seed}"])
    run = runs()
    run.stacked(lines)
    for line in lines:
        assert_same(run, line, 1e-5)


def test_replicas_have_scales_of_weights_and_of_targets_of_their_own(runs):
    options = (
        ["init.scale=0.5"],
        ["init.scale=2", "loss=mse"],
        ["loss=mse_rescaled"],
        ["loss=mse_rescaled", "loss.weight=1", "loss.scale=10", "optimizer.lr=0.001"],
    )
    run, base = runs(), [*BASE, "trainer.precision=64-true"]
    lines = [[*base, *own, f"seed={seed}"] for seed, own in enumerate(options)]
    assert [record.status for record in run.stacked(lines)] == ["done"] * len(lines)
    for line in lines:
        assert_same(run, line, 1e-5)


@pytest.mark.parametrize("model", ["mlp", "resnet20", "vit_tiny"])
def test_every_kind_of_model(model, runs):
    slim = {
        "mlp": ["model.width=8"],
        "resnet20": ["model.blocks=[1,1,1]", "model.widths=[4,4,8]"],
        "vit_tiny": ["model.depth=1", "model.width=12", "norm=layer"],
    }[model]
    base = [f"model={model}", *slim, *BASE[2:], "trainer.precision=64-true"]
    lines = [[*base, f"optimizer={name}", f"seed={seed}"] for name in ("momentum", "muon") for seed in (0, 1)]
    run = runs()
    run.stacked(lines)
    for line in lines:
        assert_same(run, line, 1e-5)


@pytest.mark.slow
def test_final_metrics_are_indistinguishable_over_thirty_seeds(runs):
    """With dropout and augmentation, in single precision. The paired test would have found half a point, power 80 %."""
    base = ["model=vit_tiny", "model.depth=1", "model.width=16", "model.heads=2", "model.dropout=0.2", "norm=layer"]
    base += ["augmentation=crop_flip", "optimizer=adam", "data.batch_size=64", "budget.epochs=8", "trainer.threads=1"]
    base += ["data.subset=400", "data.validation=100"]
    lines = [[*base, f"seed={seed}"] for seed in range(30)]
    alone = [record.metrics for record in runs("alone").alone(lines)]
    together = [record.metrics for record in runs("together").stacked(lines)]
    for metric, least in (("test/acc", 0.005), ("test/loss", 0.01)):
        found = paired_difference([m[metric] for m in together], [m[metric] for m in alone])
        assert minimum_detectable_effect(found.sd, found.n, 0.8) < least
        assert found.p > 0.05
        assert -least < found.low <= found.high < least
