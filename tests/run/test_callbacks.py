"""Callbacks of Lightning and of users in the loop of Paribus: which hooks are called, when, and what can't work."""

import csv

import pytest
import torch

from paribus.base import lightning_hooks
from paribus.base.errors import UserError
from paribus.base.lightning_hooks import every_batch
from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run.evaluate import evaluate_record
from paribus.run.execute import train
from paribus.store.store import Store

SMALL = ["model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.epochs=2",
         "callbacks=[checkpoints]", "trainer.threads=1"]  # fmt: skip
LIGHTNING = "pytorch_lightning.callbacks"


@pytest.fixture
def trained(tmp_path):
    """The record of a run with a callback."""

    def run(callback, *overrides):
        node = callback if callback.startswith("{") else f"{{_target_: {callback}}}"
        line = [*SMALL, f"+callbacks.tried={node}", f"paths.outputs={tmp_path}", *overrides]
        return train(Run.parse(resolved(load(line))), {}, [])

    return run


def weights(record, tmp_path):
    path = tmp_path / "runs" / record.id / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_every_hook_is_called_in_lightnings_order(trained):
    from watchers import Witness

    Witness.calls = []
    trained("watchers.Witness", "budget.epochs=1")
    update = ["train_batch_start", "before_backward", "after_backward", "before_optimizer_step", "before_zero_grad",
              "train_batch_end"]  # fmt: skip
    validation = ["validation_start", "validation_epoch_start", "validation_epoch_end", "validation_end"]
    assert [name for name, *_ in Witness.calls] == [
        "setup", "fit_start", "train_start", "train_epoch_start", *3 * update, "train_epoch_end", *validation,
        "train_end", "test_start", "test_epoch_start", "test_epoch_end", "test_end", "fit_end", "teardown",
    ]  # fmt: skip


def test_what_the_hooks_of_a_batch_are_given(trained):
    from watchers import Witness

    Witness.calls = []
    record = trained("watchers.Witness", "budget.epochs=1")
    found = {name: [rest for each, *rest in Witness.calls if each == name] for name, *_ in Witness.calls}
    assert found["train_batch_start"] == [[(20, 1, 8, 8), (20,), number] for number in range(3)]
    assert [step for _, step in found["train_batch_end"]] == [1, 2, 3]
    losses = [loss for loss, _ in found["train_batch_end"]]
    assert sum(losses) / 3 == pytest.approx(record.metrics["train/loss"])
    assert found["before_backward"] == [[loss] for loss in losses]
    assert [number for [number] in found["before_optimizer_step"]] == [8, 8, 8]  # parameters with a gradient
    assert found["before_zero_grad"] == [[8]] * 3
    assert found["validation_end"] == [[pytest.approx(record.metrics["val/acc"])]]


def test_single_updates_train_as_chunks_do(trained, tmp_path):
    """The hook changes how often Lightning's loop is paid for, and no weight."""
    record, plain = trained("watchers.Counter"), trained("watchers.Epochs")
    for one, other in zip(weights(record, tmp_path).values(), weights(plain, tmp_path).values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("target", "hooks"),
    [
        (f"{LIGHTNING}.Timer", ["on_train_batch_end"]),
        (f"{LIGHTNING}.LearningRateMonitor", ["on_train_batch_start"]),
        (f"{LIGHTNING}.WeightAveraging", ["on_train_batch_end"]),
        ("watchers.Counter", ["on_train_batch_end"]),
        ("watchers.Gradients", ["on_after_backward"]),
        ("watchers.Assigned", ["on_before_zero_grad"]),
        (f"{LIGHTNING}.ModelCheckpoint", []),
        (f"{LIGHTNING}.EarlyStopping monitor=val/acc", []),
        (f"{LIGHTNING}.ModelCheckpoint every_n_train_steps=2", ["on_train_batch_end"]),
        ("paribus.callback.Checkpoints", []),
        ("paribus.callback.Progress", []),
        ("paribus.callback.EMA", []),
        ("watchers.Epochs", []),
    ],
)
def test_what_wants_every_batch(target, hooks):
    from paribus.run.instantiate import instantiate

    target, _, rest = target.partition(" ")
    arguments = dict(each.split("=") for each in rest.split())
    arguments = {key: int(value) if value.isdigit() else value for key, value in arguments.items()}
    assert every_batch(instantiate("callbacks.tried", {"_target_": target, **arguments})) == hooks


def test_it_is_said_once(trained, capsys):
    lightning_hooks._tell.cache_clear()
    trained("watchers.Late")
    said = capsys.readouterr().err
    assert "callbacks.tried acts on every batch (on_train_batch_end), so each training step makes one update" in said
    assert "(on_validation_batch_end). They are not called, because Paribus evaluates in batches of its own" in said
    trained("watchers.Late", "seeds.init=1")
    assert "acts on every batch" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("{_target_: pytorch_lightning.callbacks.StochasticWeightAveraging, swa_lrs: 0.01}",
         r"changes Lightning's own loop.*use callbacks=\[default,ema\]"),
        ("{_target_: pytorch_lightning.callbacks.GradientAccumulationScheduler, scheduling: {0: 2}}",
         r"use trainer\.accumulate=NUMBER"),
        ("watchers.Thaw", r"is a BaseFinetuning of Lightning.*use freeze="),
        (f"{LIGHTNING}.TQDMProgressBar", r"use callbacks=\[default\], which shows progress"),
        (f"{LIGHTNING}.LearningRateFinder", r"an ablation that tunes optimizer\.lr"),
        (f"{LIGHTNING}.LearningRateMonitor", r"writes to loggers, and the run has none\. Add logger=csv"),
        ("watchers.Misconfigured", r"Lightning can't train this: not like this"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_before_training(callback, message, trained, tmp_path):
    with pytest.raises(UserError, match=message):
        trained(callback)
    assert not list(tmp_path.glob("runs/*/record.json"))


def test_a_monitor_of_learning_rates_sees_every_update(trained, tmp_path):
    monitor = f"{{_target_: {LIGHTNING}.LearningRateMonitor, logging_interval: step}}"
    record = trained(monitor, "logger=csv", "scheduler=cosine", "data.subset=null", "budget.epochs=3")
    with open(tmp_path / "runs" / record.id / "csv" / "metrics.csv") as file:
        rates = {int(row["step"]): float(row["lr-SGD/pg1"]) for row in csv.DictReader(file) if row["lr-SGD/pg1"]}
    assert list(rates) == [49, 99, 149]  # every 50 updates
    assert 0.05 > rates[49] > rates[99] > rates[149]


def test_averages_of_lightning_are_validated_tested_and_resumed(trained, tmp_path):
    average = f"{{_target_: {LIGHTNING}.EMAWeightAveraging, decay: 0.5}}"
    record, plain = trained(average), trained("watchers.Epochs")
    assert record.metrics["val/loss"] != plain.metrics["val/loss"]
    tested = {key: value for key, value in record.metrics.items() if key.startswith("test/")}
    found = evaluate_record(record, Store(tmp_path))
    assert found == {key: tested[key] for key in found}
    whole = weights(record, tmp_path)
    with pytest.raises(RuntimeError, match="on purpose"):
        trained(average, "+callbacks.stop._target_=watchers.Stop", "callbacks.checkpoints.every_seconds=1e-9")
    resumed = trained(average, "+callbacks.stop._target_=watchers.Stop", "callbacks.checkpoints.every_seconds=1e-9")
    assert resumed.metrics["val/loss"] == record.metrics["val/loss"]
    for name, value in weights(resumed, tmp_path).items():
        assert torch.equal(value, whole[name]), name


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_a_run_goes_on_with_the_same_bits_in_each_precision(trained, tmp_path, precision):
    """Weights of eight bytes, and moving statistics of four beside weights of two, are loaded without rounding."""
    line = [
        f"trainer.precision={precision}",
        "norm=batch",
        "optimizer.lr=0.1",
        "callbacks.checkpoints.every_seconds=1e-9",
    ]
    record = trained("watchers.Epochs", *line)
    whole = weights(record, tmp_path)
    with pytest.raises(RuntimeError, match="on purpose"):
        trained("watchers.Epochs", *line, "+callbacks.stop._target_=watchers.Stop")
    resumed = trained("watchers.Epochs", *line, "+callbacks.stop._target_=watchers.Stop")
    assert resumed.id != record.id
    assert resumed.metrics == record.metrics
    for name, value in weights(resumed, tmp_path).items():
        assert torch.equal(value, whole[name]), name


def test_early_stopping_of_lightning_after_validations(trained):
    stop = f"{{_target_: {LIGHTNING}.EarlyStopping, monitor: val/acc, mode: max, min_delta: 2.0, patience: 1, "
    record = trained(stop + "check_on_train_epoch_end: false}", "budget.epochs=5")
    assert record.timing["epochs"] == 2
