"""Callbacks that measure: what they measure is true, and they change nothing."""

import csv
import functools
import math

import pytest
import torch
import yaml

from paribus.base.weights import flatten
from paribus.config.compose import load, resolved
from paribus.config.identity import run_id
from paribus.config.run import Run
from paribus.datasets.seeds import mix
from paribus.extras.curvature.probe import training_risk
from paribus.extras.curvature.sharpness import decay_on_diagonal
from paribus.run import build
from paribus.run.fit import build_callbacks, build_loop, build_trainer, quiet_lightning
from paribus.store.history import HistoryWriter
from paribus.store.store import Store
from paribus.techniques.optimizers.notes import AdagradRMS, RMSPropNotes
from paribus.techniques.optimizers.rates import stability

OBSERVERS = "callbacks=[sharpness,noise_scale,gradient_cosine,plateau,snapshots]"
EVERY = [
    "callbacks.sharpness.every=3",
    "callbacks.sharpness.products=12",
    "callbacks.noise_scale.every=2",
    "callbacks.gradient_cosine.every=1",
    "callbacks.plateau.every=2",
    "callbacks.snapshots.number=5",
    *(f"callbacks.{name}.share=null" for name in ("sharpness", "noise_scale", "gradient_cosine", "plateau")),
]
BASE = ["data.subset=80", "data.batch_size=20", "budget.epochs=3"]


def trained(folder, *overrides):
    run = Run.parse(resolved(load([*BASE, *overrides])))
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    folder.mkdir(exist_ok=True)
    loop = build_loop(run, setting, HistoryWriter(folder / "history.csv"))
    trainer = build_trainer(run, build_callbacks(run, folder), [], folder)
    with quiet_lightning():
        trainer.fit(loop, datamodule=data)
    loop.journal.flush()
    return loop


def rows(folder, column):
    lines = csv.DictReader((folder / "history.csv").read_text().splitlines())
    return {int(line["step"]): float(line[column]) for line in lines if line.get(column)}


@pytest.mark.parametrize(
    "options",
    [
        ["model=cnn", "model.widths=[8]", "norm=[batch,spectral]", "augmentation=mixup"],
        pytest.param(
            ["model=vit_tiny", "model.depth=1", "model.width=12", "norm=layer", "model.dropout=0.3", "optimizer=adamw"],
            marks=pytest.mark.slow,
        ),
        ["model=cnn", "model.widths=[8]", "norm=batch_renorm", "optimizer=schedulefree_sgd"],
    ],
    ids=["spectral", "dropout", "renorm"],
)
@pytest.mark.needs("surfaces")
def test_observers_change_no_bit(tmp_path, options):
    alone = trained(tmp_path / "alone", "callbacks=[none]", *options)
    watched = trained(tmp_path / "watched", OBSERVERS, *EVERY, *options)
    for key, value in alone.network.state_dict().items():
        assert torch.equal(value, watched.network.state_dict()[key]), key
    assert {"sharpness", "gradient_cosine", "plateau/grad_norm"} <= set(watched.metrics)
    for key, value in alone.metrics.items():
        assert watched.metrics[key] == value or math.isnan(value), key
    assert len(list((tmp_path / "watched" / "snapshots").glob("*.pt"))) == 5


@pytest.mark.needs("surfaces")
def test_observers_are_no_part_of_the_identity(compose):
    assert run_id(compose("callbacks=[default,sharpness,noise_scale,gradient_cosine,plateau,snapshots]")) == run_id(
        compose()
    )


def test_sharpness_is_the_top_of_the_hessian_that_training_feels(tmp_path):
    loop = trained(
        tmp_path,
        "callbacks=[sharpness]",
        "callbacks.sharpness.every=12",
        "callbacks.sharpness.samples=null",
        "callbacks.sharpness.tolerance=1e-8",
        "callbacks.sharpness.products=400",
        "callbacks.sharpness.share=null",
        "model=mlp",
        "model.width=6",
        "norm=none",
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "optimizer.weight_decay=0.01",
        "trainer.precision=64-true",
    )
    risk = training_risk(loop, None)
    hessian = risk.hessian(risk.point(loop.network))
    decay = torch.cat(
        [torch.full((p.numel(),), 0.01 if p.ndim > 1 else 0.0, dtype=torch.float64) for p in loop.network.parameters()]
    )
    exact = float(torch.linalg.eigvalsh(hessian + torch.diag(decay))[-1])
    [(step, found)] = rows(tmp_path, "sharpness").items()
    assert step == 12
    assert found == pytest.approx(exact, rel=1e-6)
    assert rows(tmp_path, "sharpness_lr_half")[12] == pytest.approx(exact * 0.1 / 2, rel=1e-6)
    assert rows(tmp_path, "stability")[12] == pytest.approx(exact * 0.1 / 2, rel=1e-6)


STABLE = {
    "sgd": functools.partial(torch.optim.SGD),
    "heavy ball": functools.partial(torch.optim.SGD, momentum=0.9),
    "nesterov": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "dampened": functools.partial(torch.optim.SGD, momentum=0.5, dampening=0.5),
    "decayed": functools.partial(torch.optim.SGD, weight_decay=0.3),
    "adam": functools.partial(torch.optim.Adam, betas=(0.9, 0.999999), eps=1e-12),
    "adamw": functools.partial(torch.optim.AdamW, betas=(0.5, 0.999999), eps=1e-12, weight_decay=0.2),
    "rmsprop": functools.partial(torch.optim.RMSprop, alpha=0.999999, eps=1e-12),
    "adagrad": functools.partial(torch.optim.Adagrad, lr_decay=1e-6, eps=1e-12),
    "adagrad_rms": functools.partial(AdagradRMS),
    "rmsprop_notes": functools.partial(RMSPropNotes, alpha=0.999999),
}


@pytest.mark.parametrize("name", STABLE)
@pytest.mark.parametrize(("share", "stable"), [(0.97, True), (1.03, False)])
def test_a_quadratic_is_stable_below_the_edge_and_unstable_above_it(name, share, stable):
    """While theta is so small that the optimizer's state does not change, theory is exact."""
    make = STABLE[name]
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = make([theta], lr=1e-9)
    size = 3.0
    theta.grad = torch.full_like(theta, size)
    optimizer.step()
    # As after very many gradients of that size, of either sign.
    state, steps = optimizer.state[theta], 10**6
    for key, value in (("exp_avg", 0.0), ("momentum_buffer", 0.0), ("exp_avg_sq", size**2), ("square_avg", size**2)):
        if state.get(key) is not None:
            state[key].fill_(value)
    if "sum" in state:
        state["sum"].fill_(steps * size**2)
    if "step" in state:
        state["step"] = torch.full_like(state["step"], steps) if torch.is_tensor(state["step"]) else steps
    [group] = optimizer.param_groups
    group["lr"] = 0.01
    acting = stability(optimizer)
    assert acting is not None
    [rate] = acting.rates
    decay = float(torch.as_tensor(decay_on_diagonal(optimizer, acting)[theta]))
    curvature = share * 2 * acting.edge / float(rate) - decay
    theta.data.fill_(1e-14)
    sizes = []
    for _ in range(300):
        theta.grad = curvature * theta.detach()
        optimizer.step()
        sizes.append(abs(theta.item()))
    assert (max(sizes[240:]) < max(sizes[:60])) is stable


def test_no_threshold_is_claimed_where_none_is_known():
    theta = torch.nn.Parameter(torch.ones(2))
    assert stability(torch.optim.Adam([theta])) is None  # it has no second moments yet
    assert stability(torch.optim.Adamax([theta])) is None


def test_edge_of_stability_is_written_with_the_preconditioner_of_adaptive_optimizers(tmp_path):
    loop = trained(
        tmp_path,
        "callbacks=[sharpness]",
        "callbacks.sharpness.every=12",
        "callbacks.sharpness.samples=null",
        "callbacks.sharpness.tolerance=1e-8",
        "callbacks.sharpness.products=400",
        "callbacks.sharpness.share=null",
        "model=mlp",
        "model.width=6",
        "norm=none",
        "optimizer=adam",
        "optimizer.weight_decay=0",
        "trainer.precision=64-true",
    )
    risk = training_risk(loop, None)
    hessian = risk.hessian(risk.point(loop.network))
    acting = stability(loop.optimizer)
    by_parameter = dict(
        zip([p for group in loop.optimizer.param_groups for p in group["params"]], acting.rates, strict=True)
    )
    root = torch.cat([by_parameter[p].flatten() for p in loop.network.parameters()]).sqrt()
    exact = float(torch.linalg.eigvalsh(root[:, None] * hessian * root[None, :])[-1])
    assert rows(tmp_path, "sharpness_lr_half")[12] == pytest.approx(exact / 2, rel=1e-6)
    assert rows(tmp_path, "stability")[12] == pytest.approx(exact / 2 / 19, rel=1e-6)
    rate = loop.optimizer.param_groups[0]["lr"]
    assert rows(tmp_path, "sharpness_preconditioned")[12] == pytest.approx(exact / rate, rel=1e-6)


@pytest.mark.slow
def test_full_batch_descent_settles_at_the_edge_of_stability(tmp_path):
    """Cohen et al. 2021: sharpness rises until sharpness x lr / 2 is 1, and hovers there while the loss still falls."""
    loop = trained(
        tmp_path,
        "callbacks=[sharpness]",
        "callbacks.sharpness.every=20",
        "callbacks.sharpness.samples=null",
        "callbacks.sharpness.share=null",
        "callbacks.sharpness.tolerance=0.001",
        "model=mlp",
        "model.width=32",
        "model.activation=tanh",
        "norm=none",
        "loss=mse",
        "optimizer=sgd",
        "optimizer.lr=0.08",
        "optimizer.weight_decay=0",
        "data.subset=200",
        "batch_size=full",
        "data.batch_size=full",
        "budget.epochs=null",
        "budget.updates=2500",
        "evaluation.every=1250",
    )
    edge = rows(tmp_path, "sharpness_lr_half")
    late = [value for step, value in edge.items() if step > 1250]
    assert edge[20] < 0.8
    assert 0.95 < sum(late) / len(late) < 1.1
    assert sorted(late)[len(late) // 10] > 0.95
    assert sorted(late)[-len(late) // 10] < 1.1
    loss = rows(tmp_path, "train/loss")
    assert loss[2500] < 0.9 * loss[1250]
    assert loop.metrics["train/loss"] == loss[2500]


def test_the_noise_scale_is_the_trace_over_the_squared_gradient(tmp_path):
    loop = trained(
        tmp_path,
        "callbacks=[noise_scale]",
        "callbacks.noise_scale.every=12",
        "callbacks.noise_scale.share=null",
        "callbacks.noise_scale.parts=2000",
        "callbacks.noise_scale.small=2",
        "model=mlp",
        "model.width=6",
        "norm=none",
    )
    risk = training_risk(loop, None)
    theta = risk.point(loop.network)
    x, y = (torch.cat(parts) for parts in zip(*risk.batches(), strict=True))
    each = []
    for k in range(len(x)):
        risk.batches, risk.samples = lambda k=k: [(x[k : k + 1], y[k : k + 1])], 1
        each.append(risk.gradient(theta)[1])
    gradients = torch.stack(each)
    trace = float(gradients.var(0, correction=0).sum())
    squared = float(gradients.mean(0).square().sum())
    assert rows(tmp_path, "gradient_variance")[12] == pytest.approx(trace, rel=0.1)
    assert rows(tmp_path, "noise_scale")[12] == pytest.approx(trace / squared, rel=0.15)


def test_the_cosine_is_that_of_the_two_gradients_and_negative_between_walls(tmp_path):
    swinging = [
        "callbacks=[gradient_cosine]",
        "callbacks.gradient_cosine.every=1",
        "callbacks.gradient_cosine.share=null",
        "model=linear",
        "loss=mse",
        "optimizer=sgd",
        "optimizer.weight_decay=0",
        "data.batch_size=full",
        "budget.epochs=40",
    ]
    risk = training_risk(trained(tmp_path / "first", *swinging, "budget.epochs=1"), None)
    x = torch.cat([torch.cat([x.flatten(1), torch.ones(len(x), 1)], 1) for x, _ in risk.batches()]).double()
    top = float(torch.linalg.eigvalsh(2 * x.T @ x / len(x))[-1])
    large = trained(tmp_path / "large", *swinging, f"optimizer.lr={2.02 / top}")
    small = trained(tmp_path / "small", *swinging, "optimizer.lr=0.001")
    assert large.metrics["gradient_cosine"] < -0.9
    assert small.metrics["gradient_cosine"] > 0.9
    assert list(rows(tmp_path / "small", "gradient_cosine")) == list(range(2, 41))
    pairs = trained(tmp_path / "pairs", *swinging, "optimizer.lr=0.001", "callbacks.gradient_cosine.every=10")
    assert list(rows(tmp_path / "pairs", "gradient_cosine")) == [2, 12, 22, 32]
    assert pairs.metrics["gradient_cosine"] == rows(tmp_path / "small", "gradient_cosine")[32]


def test_a_plateau_is_found_at_its_onset(tmp_path):
    loop = trained(
        tmp_path,
        "callbacks=[plateau]",
        "callbacks.plateau.every=5",
        "callbacks.plateau.samples=null",
        "callbacks.plateau.share=null",
        "callbacks.plateau.patience=3",
        "model=linear",
        "loss=mse",
        "optimizer=sgd",
        "optimizer.lr=0.02",
        "data.batch_size=full",
        "scheduler=multistep",  # the rate is all but gone after half of the run
        "scheduler.milestones=[0.5]",
        "scheduler.gamma=0",
        "budget.epochs=100",
        "evaluation.every=100",
    )
    losses, norms = rows(tmp_path, "plateau/loss"), rows(tmp_path, "plateau/grad_norm")
    assert list(losses) == list(range(0, 101, 5))
    onset = int(loop.metrics["plateau/onset_step"])
    assert 0 < onset <= 50
    assert loop.metrics["plateau/onset_loss"] == losses[onset]
    assert loop.metrics["plateau/onset_ratio"] == pytest.approx(norms[0] / norms[onset])
    assert all(losses[step] >= 0.99 * losses[onset] for step in losses if step > onset)


def test_measuring_keeps_to_its_share_of_the_time_and_out_of_the_timing(tmp_path):
    loop = trained(
        tmp_path,
        "callbacks=[sharpness]",
        "callbacks.sharpness.every=1",
        "callbacks.sharpness.share=0.2",
        "model=mlp",
        "model.width=16",
        "budget.epochs=60",
        "evaluation.every=60",
    )
    [probe] = loop.trainer.callbacks
    measured = rows(tmp_path, "sharpness")
    assert 1 <= len(measured) < 240
    assert min(measured) == 1
    # The first is always taken, and one may take longer than the one before it.
    assert probe.spent <= 0.2 * loop.data.cursor.seconds + 2 * probe.spent / len(measured) + 0.2
    assert loop.observed_seconds == probe.spent


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("callbacks.sharpness.every=0", "every must be at least 1"),
        ("callbacks.sharpness.share=2", "share of the training time in"),
        ("callbacks.sharpness.products=1", "at least 5"),
        ("callbacks.noise_scale.small=1", "small >= 2"),
        ("callbacks.plateau.patience=0", "patience must be a number of at least 1"),
        pytest.param("callbacks.snapshots.number=2", "at least 3", marks=pytest.mark.needs("surfaces")),
    ],
)
def test_options_that_can_not_be_are_refused(paribus, tmp_path, option, message):
    result = paribus("train", f"callbacks=[default,{option.split('.')[1]}]", option)
    assert result.code == 2
    assert message in result.err


@pytest.mark.needs("surfaces")
def test_snapshots_hold_the_weights_of_their_steps(tmp_path):
    loop = trained(tmp_path, "callbacks=[snapshots]", "callbacks.snapshots.number=4", "model=linear", "budget.epochs=3")
    found = [torch.load(path, weights_only=True) for path in sorted((tmp_path / "snapshots").glob("*.pt"))]
    assert [content["step"] for content in found] == [0, 4, 8, 12]
    assert torch.equal(found[-1]["weights"], flatten(loop.network))
    torch.manual_seed(mix(0, 0))
    run = Run.parse(resolved(load([*BASE, "model=linear"])))
    assert torch.equal(found[0]["weights"], flatten(build.build_network(run, build.build_setting(run))))


def test_what_probes_know_survives_a_resumed_run(paribus, tmp_path):
    options = [
        "model=linear",
        "data.subset=40",
        "data.batch_size=20",
        "budget.epochs=10",
        "callbacks=[default,plateau]",
    ]
    assert paribus("train", *options, "callbacks.plateau.every=1", "callbacks.plateau.share=null").code == 0
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    [state] = [value for key, value in content["callbacks"].items() if "Plateau" in key]
    assert state["initial"] > 0
    assert yaml.safe_load((run / "config.yaml").read_text())["callbacks"]["plateau"]["every"] == 1


PROBED = {"sharpness", "stability", "noise_scale", "gradient_variance", "gradient_cosine", "plateau/loss"}


@pytest.mark.parametrize("norm", ["none", pytest.param("layer", marks=pytest.mark.slow)])
@pytest.mark.needs("surfaces")
def test_two_processes_measure_what_one_does(paribus, tmp_path, norm):
    """With the same batches in all, where a network has no batch statistics."""
    common = ["model=mlp", "model.width=8", f"norm={norm}", "data.subset=60", "data.batch_size=20", "budget.epochs=2"]
    common += ["trainer.precision=64-true", "optimizer=momentum", "callbacks.sharpness.tolerance=1e-8", *EVERY]
    common += [f"callbacks=[default,{OBSERVERS.partition('[')[2]}"]
    for trainer in ("cpu", "ddp_sim"):
        result = paribus("train", *common, f"trainer={trainer}")
        assert result.code == 0, result.err
    one, two = sorted(Store(tmp_path / "outputs").scan(), key=lambda r: r.provenance["world_size"])
    assert two.provenance["world_size"] == 2
    assert set(one.metrics) >= PROBED
    folders = [tmp_path / "outputs" / "runs" / record.id for record in (one, two)]
    for column in sorted(PROBED | {"plateau/grad_norm", "sharpness_lr_half"}):
        first, second = (rows(folder, column) for folder in folders)
        assert second == pytest.approx(first, rel=1e-6), column
        assert first, column
    names = [sorted(path.name for path in (folder / "snapshots").glob("*.pt")) for folder in folders]
    assert names[0] == names[1]
    assert len(names[0]) == 5


def test_what_can_not_be_measured_in_one_process_of_several_is_said(paribus):
    result = paribus(
        "train", "model=mlp", "model.width=8", "norm=sync_batch", "trainer=ddp_sim",
        "data.subset=60", "data.batch_size=20", "callbacks=[default,sharpness]", "budget.epochs=1",
    )  # fmt: skip
    assert result.code == 2
    assert "norm=sync_batch would wait for the others. Use norm=batch, or leave the callback out" in result.err
