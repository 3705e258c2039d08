"""task=lightning: any LightningModule is trained, recorded, evaluated and repeated."""

import math

import pytest
import torch

from paribus.base.errors import UserError
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.evaluate import evaluate_record
from paribus.run.execute import train
from paribus.run.rerun import rerun
from paribus.store.store import Store

MSE = ["task.module={_target_: modules.Regressor}", "task.datamodule={_target_: modules.Data}",
       "task.metrics={mse: {better: lower}}", "task.monitor=val/mse"]  # fmt: skip
FACTORIES = [
    "task.module={_target_: modules.WithFactories, net: {_target_: modules.network}}",
    *MSE[1:],
    "optimizer=adamw",
]


@pytest.fixture
def make(tmp_path):
    """The run of a command line, in an empty outputs folder."""

    def run(*overrides, budget="budget.epochs=2"):
        fixed = ["task=lightning", budget, "callbacks=[checkpoints]", "trainer.threads=1", f"paths.outputs={tmp_path}"]
        return Run.parse(resolved(load([*fixed, *overrides])))

    return run


@pytest.fixture
def trained(make, tmp_path):
    """(record, history) of a command line."""

    def run(*overrides, **budget):
        record = train(make(*overrides, **budget), {}, [])
        return record, Store(tmp_path).history(record.id)

    return run


def test_a_module_is_trained_and_recorded(trained, tmp_path):
    record, history = trained(*MSE)
    assert record.status == "done"
    assert record.metrics.keys() >= {"train/mse", "val/mse", "val/mse_best", "test/mse"}
    assert history["epoch"] == [1, 2]
    assert history["step"] == [6, 12]
    assert history["val/mse"][-1] == record.metrics["val/mse"]
    assert min(history["val/mse"]) == record.metrics["val/mse_best"]
    assert record.timing["steps"] == 12
    assert record.timing["epochs"] == 2
    assert record.timing["samples"] == 192
    store = Store(tmp_path)
    assert evaluate_record(record, store) == {"test/mse": record.metrics["test/mse"]}
    assert [each.difference for each in rerun(record, store)] == [None, None, None]


@pytest.mark.parametrize(
    ("budget", "steps", "samples"),
    [("budget.updates=8", 8, 128), ("budget.samples=70", 5, 80), ("budget.epochs=1", 6, 96)],
)
def test_a_budget_ends_with_the_update_that_reaches_it(budget, steps, samples, trained):
    record, history = trained(*MSE, budget=budget)
    assert record.timing["steps"] == steps
    assert record.timing["samples"] == samples
    assert history["step"][-1] == steps
    assert "test/mse" in record.metrics


def test_a_budget_in_seconds_ends(trained):
    record, _ = trained(*MSE, budget="budget.seconds=0.2")
    assert 0.2 <= record.timing["update_seconds"] < 2


def test_without_a_test_a_data_module_or_slashes_in_its_names(trained):
    record, _ = trained("task.module={_target_: modules.Autoencoder}", "task.metrics={val_loss: {better: lower}}",
                        "task.monitor=val_loss")  # fmt: skip
    assert record.metrics.keys() == {"train_loss", "val_loss", "val_loss_best"}


def test_evaluations_that_are_logged_for_each_batch_too(trained, tmp_path):
    record, _ = trained("task.module={_target_: modules.OnSteps}", *MSE[1:2], "task.monitor=val_mse",
                        "task.metrics={val_mse: {better: lower}, test_mse: {better: lower}}")  # fmt: skip
    assert record.metrics["test_mse"] == record.metrics["test_mse_epoch"]
    assert evaluate_record(record, Store(tmp_path))["test_mse"] == record.metrics["test_mse"]


def test_two_optimizers_count_two_updates_for_a_batch(trained):
    record, _ = trained("task.module={_target_: modules.GAN}", *MSE[1:2], "task.metrics={gap: {better: lower}}",
                        "task.monitor=val/gap", budget="budget.updates=10")  # fmt: skip
    assert record.timing["steps"] == 10
    assert record.timing["samples"] == 5 * 16
    assert math.isfinite(record.metrics["train/critic"])


def test_the_seeds_are_apart(trained):
    """Another order of the samples leaves the initial weights alone, and the other way round."""

    def first(*seeds):
        record, history = trained(*MSE, *seeds, "+task.module.dropout=0", budget="budget.updates=1")
        return record.metrics["train/mse"], history

    (loss, _), (other, _), (again, _) = first(), first("seeds.order=1"), first("seeds.augmentation=1")
    assert loss == again  # nothing is augmented
    assert loss != other
    assert first("seeds.init=1")[0] != loss


def test_an_option_of_optimizer_fills_the_constructor(trained):
    losses = {
        tuple(more): trained(*FACTORIES, *more)[0].metrics["train/mse"]
        for more in ([], ["optimizer.lr=0.1"], ["scheduler=cosine"], ["optimizer=momentum"], ["decay=all"])
    }
    assert len(set(losses.values())) == len(losses)


def test_a_schedule_follows_the_updates_of_the_whole_run(trained, tmp_path):
    record, _ = trained(*FACTORIES, "scheduler=cosine", "optimizer.lr=0.1")
    checkpoint = torch.load(tmp_path / "runs" / record.id / "checkpoints" / "last.ckpt", weights_only=True)
    [state] = checkpoint["lr_schedulers"]
    assert (state["last_epoch"], state["horizon"]) == (12, 12)
    # The last update, number 11 of 12, had this rate; the schedule stays there.
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(
        0.1 * (1 + math.cos(math.pi * 11 / 12)) / 2
    )


def test_a_scheduler_of_torch_steps_when_the_module_says(trained, tmp_path):
    scheduler = [
        "+scheduler._target_=torch.optim.lr_scheduler.StepLR",
        "+scheduler.step_size=1",
        "+scheduler.gamma=0.5",
    ]
    record, _ = trained(*FACTORIES, *scheduler, "optimizer.lr=0.1")
    checkpoint = torch.load(tmp_path / "runs" / record.id / "checkpoints" / "last.ckpt", weights_only=True)
    [state] = checkpoint["lr_schedulers"]
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == 0.1 * 0.5 ** state["last_epoch"]
    with pytest.raises(UserError, match=r"scheduler.interval has no effect on task=lightning"):
        trained(*FACTORIES, *scheduler, "+scheduler.interval=epoch")


@pytest.mark.parametrize(("norm", "kind"), [("layer", "GroupNorm"), ("rms", "MapRMSNorm"), ("none", "Identity")])
def test_norm_converts_the_norms_of_the_module(norm, kind, trained, tmp_path):
    from paribus.api.runs import load as reload

    record, _ = trained(*MSE, f"norm={norm}")
    layer = reload(record.id, outputs=tmp_path).network.net[1]
    assert type(getattr(layer, "norm", layer)).__name__ == kind


def test_flags_of_the_trainer_are_part_of_the_identity(make, trained):
    plain, clipped = make(*MSE), make(*MSE, "trainer.flags.gradient_clip_val=0.01")
    assert plain.id != clipped.id
    assert plain.id == make(*MSE, "trainer.flags.gradient_clip_val=null").id
    one, other = trained(*MSE)[0], trained(*MSE, "trainer.flags.gradient_clip_val=0.01")[0]
    assert one.metrics["test/mse"] != other.metrics["test/mse"]


def test_nan_is_a_divergence(trained):
    record, history = trained("task.module={_target_: modules.Nan}", *MSE[1:])
    assert record.status == "diverged"
    assert "test/mse" not in record.metrics
    assert history["epoch"] == [1]


def test_the_best_weights_are_tested_on_request(trained, tmp_path):
    worse = ["task.module={_target_: modules.Worse}", *MSE[1:]]
    record, history = trained(*worse, "evaluation.checkpoint=best")
    assert history["val/mse"][0] == record.metrics["val/mse_best"] < history["val/mse"][1]
    last, _ = trained(*worse)
    first, _ = trained(*worse, budget="budget.epochs=1")
    assert first.metrics["test/mse"] == record.metrics["test/mse"] != last.metrics["test/mse"]
    assert evaluate_record(record, Store(tmp_path)) == {"test/mse": record.metrics["test/mse"]}


def test_early_stopping_of_paribus_and_of_lightning(trained):
    ours, _ = trained(*MSE, "callbacks=[checkpoints,early_stopping]", "callbacks.early_stopping.min_delta=10",
                      "callbacks.early_stopping.patience=1", budget="budget.epochs=9")  # fmt: skip
    assert ours.timing["epochs"] == 2
    stop = (
        "_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/mse, min_delta: 10, patience: 2, mode: min"
    )
    theirs, _ = trained(*MSE, f"+callbacks.stop={{{stop}}}", budget="budget.epochs=9")
    assert theirs.timing["epochs"] == 3


def test_a_logger_of_the_users_changes_no_identity(make, trained, tmp_path):
    record, _ = trained(*MSE, "+logger.rows._target_=modules.Rows")
    assert record.id == make(*MSE).id
    assert [each.difference for each in rerun(record, Store(tmp_path))] == [None, None, None]


def test_loggers_of_lightning_write_into_the_folder_of_the_run(trained, tmp_path):
    record, _ = trained(*MSE, "+logger.rows._target_=pytorch_lightning.loggers.CSVLogger")
    [rows] = (tmp_path / "runs" / record.id).glob("lightning_logs/version_0/metrics.csv")
    assert "val/mse" in rows.read_text()
    assert [each.difference for each in rerun(record, Store(tmp_path))] == [None, None, None]


def test_evaluation_has_the_precision_of_the_training(trained, tmp_path):
    record, _ = trained(*MSE, "trainer.precision=64-true")
    assert evaluate_record(record, Store(tmp_path)) == {"test/mse": record.metrics["test/mse"]}


def test_several_loaders_and_flags_of_validation(trained):
    two = ["task.module={_target_: modules.OfTwoLoaders}", "task.datamodule={_target_: modules.TwoLoaders}"]
    metrics = ["task.metrics={val/mse/dataloader_idx_0: {better: lower}}", "task.monitor=val/mse/dataloader_idx_0"]
    record, _ = trained(*two, *metrics)
    assert record.metrics.keys() >= {f"val/mse/dataloader_idx_{k}" for k in (0, 1)}
    flags = ["trainer.flags.val_check_interval=0.5", "trainer.flags.log_every_n_steps=2"]
    _, history = trained(*MSE, *flags, budget="budget.epochs=1")
    assert history["step"] == [1, 2, 3, 4, 5, 6] or history["step"] == [2, 3, 4, 6]
    assert sum(value == value for value in history["val/mse"]) == 2


def test_a_trial_has_the_length_of_the_training(trained):
    assert trained("task.module={_target_: modules.KnowsItsLength}", *MSE[1:])[0].status == "done"


def test_several_processes_train_one_module(paribus, tmp_path):
    result = paribus("train", "task=lightning", *MSE, "budget.epochs=2", "trainer=ddp", "trainer.accelerator=cpu",
                     "trainer.devices=2", f"paths.outputs={tmp_path}")  # fmt: skip
    assert result.code == 0, result.err
    [record] = Store(tmp_path).scan()
    assert record.timing["samples"] == 192
    assert record.timing["steps"] == 6  # each batch of 16 a process
    assert evaluate_record(record, Store(tmp_path)) == {"test/mse": record.metrics["test/mse"]}


def test_curvature_is_for_tasks_of_paribus(trained, tmp_path):
    from paribus.run.evaluate import reload

    with pytest.raises(UserError, match="whose outputs and loss only its module knows"):
        reload(trained(*MSE)[0], Store(tmp_path))
