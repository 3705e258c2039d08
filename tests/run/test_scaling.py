"""16-mixed trains in float16 on every device, and its scale of the loss is nobody's business but its own."""

import csv

import pytest
import torch

from paribus.base.errors import UserError
from paribus.base.scaling import Scaler
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build
from paribus.run.fit import build_loop, build_trainer, quiet_lightning
from paribus.store.history import HistoryWriter

SMALL = [
    *("model=mlp", "model.width=8", "norm=none", "data.subset=60", "data.batch_size=20", "budget.epochs=2"),
    *("callbacks=[none]", "trainer.threads=1"),
]


def trained(tmp_path, *overrides):
    run = Run.parse(resolved(load([*SMALL, *overrides])))
    setting = build.build_setting(run)
    history = HistoryWriter(tmp_path / f"{run.id}.csv")
    loop = build_loop(run, setting, history)
    trainer = build_trainer(run, [], [], tmp_path)
    seen = []
    forward = loop.network.forward
    loop.network.forward = lambda x: seen.append(torch.get_autocast_dtype("cpu")) or forward(x)
    with quiet_lightning():
        trainer.fit(loop, datamodule=build.build_data(run, setting))
    history.flush()
    with open(history.path) as file:
        return loop, list(csv.DictReader(file)), set(seen)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "muon"])  # fused and not
def test_norms_are_recorded_and_clipped_without_the_scale(tmp_path, optimizer):
    options = [f"optimizer={optimizer}", "clip.norm=0.4"]
    _, rows, _ = trained(tmp_path, *options)
    mixed, found, types = trained(tmp_path, *options, "trainer.precision=16-mixed")
    assert types == {torch.float16}
    scale = mixed.trainer.precision_plugin.scaler.get_scale()
    assert scale > 1000
    for wanted, row in zip(rows, found, strict=True):
        assert float(row["grad_norm"]) == pytest.approx(float(wanted["grad_norm"]), rel=0.02)
        assert float(row["train/loss"]) == pytest.approx(float(wanted["train/loss"]), rel=0.002)
    assert all(float(row["grad_norm"]) < 0.41 for row in found)


def test_gradients_without_clipping_are_recorded_without_the_scale(tmp_path):
    _, rows, _ = trained(tmp_path)
    _, found, _ = trained(tmp_path, "trainer.precision=16-mixed")
    for wanted, row in zip(rows, found, strict=True):
        assert float(row["grad_norm"]) == pytest.approx(float(wanted["grad_norm"]), rel=0.02)


def test_gradients_are_unscaled_once_for_each_step():
    p = torch.nn.Parameter(torch.ones(3))
    optimizer, scaler = torch.optim.RMSprop([p], lr=0.1), Scaler("cpu")
    for _ in range(2):
        scaler.scale(p.sum()).backward()
        scaler.unscale_(optimizer)
        scaler.unscale_(optimizer)
        assert torch.equal(p.grad, torch.ones(3))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()


@pytest.mark.parametrize("precision", ["16-mixed", "64-true"])
def test_what_a_strategy_does_not_have_is_refused(run_of, precision):
    with pytest.raises(UserError, match=rf"fsdp has no trainer\.precision={precision}\. Use bf16-mixed"):
        run_of("trainer=fsdp", f"trainer.precision={precision}")


def test_a_module_of_lightnings_trains_in_float16_on_a_cpu_as_well(run_of, tmp_path):
    import pytorch_lightning
    from lightning_fabric.plugins.environments import LightningEnvironment

    from paribus.extras.lightning.flags import make_trainer
    from paribus.extras.lightning.library import library_of

    library = library_of("task.module", pytorch_lightning.LightningModule())
    assert library.environment is LightningEnvironment
    run = run_of("task=lightning", "task.module={_target_: modules.Regressor}", "trainer.precision=16-mixed",
                 "budget.epochs=1", "task.monitor=val/mse", "task.metrics={mse: {better: lower}}")  # fmt: skip
    trainer = make_trainer(library, run, [], [], tmp_path)
    assert trainer.precision_plugin.precision == "16-mixed"
    assert trainer.precision_plugin.scaler is not None
