"""Batches that are led past hooks without effect give the same bits, and only where nobody acts on them."""

import importlib
import warnings

import pytest
import pytorch_lightning as pl
import torch
import torchmetrics
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset, default_collate

from paribus.base import lightning_internals
from paribus.base.lightning_internals import BATCH_HOOKS, QuickBatches, quick_batches
from paribus.base.torch_internals import gathered


class Module(pl.LightningModule):
    def __init__(self, scheduler=None, interval="epoch", kind="sgd"):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))
        self.error = torchmetrics.MeanSquaredError()
        self.scheduler, self.interval, self.kind = scheduler, interval, kind
        self.seen = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.seen.append((self.global_step, self.current_epoch, batch_idx, self.optimizers().param_groups[0]["lr"]))
        outputs = self.net(x)[:, 0]
        loss = nn.functional.mse_loss(outputs, y)
        self.log("train/step", loss)
        self.log("train/epoch", loss, on_step=False, on_epoch=True)
        self.log("train/both", loss, on_step=True, on_epoch=True)
        self.error(outputs, y)
        self.log("train/mse", self.error, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/mse", nn.functional.mse_loss(self.net(batch[0])[:, 0], batch[1]))

    def configure_optimizers(self):
        if self.kind == "lbfgs":
            return torch.optim.LBFGS(self.parameters(), 0.1, max_iter=3)
        optimizer = torch.optim.SGD(self.parameters(), 0.05, momentum=0.9)
        if self.scheduler is None:
            return optimizer
        config = {"scheduler": self.scheduler(optimizer), "interval": self.interval, "monitor": "val/mse"}
        return {"optimizer": optimizer, "lr_scheduler": config}


class Dictionary(Module):
    def training_step(self, batch):
        return {"loss": super().training_step(batch, 0), "more": 1}


class Sometimes(Module):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx == 2 else loss


class Normalized(Module):
    """Weight averaging passes once more through the data for these statistics, and makes no update."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


class GetsAHook(Module):
    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.on_before_optimizer_step = lambda optimizer: self.seen.append("the hook")


class Keeper(pl.Callback):
    """As the callback of Paribus: the one that may act on batches."""

    def __init__(self, quick):
        self.quick, self.is_quick, self.outputs = quick, None, []

    def on_train_start(self, trainer, module):
        if self.quick:

            def library(name):
                place, _, last = f"pytorch_lightning.{name}".rpartition(".")
                return getattr(importlib.import_module(place), last)

            self.is_quick = quick_batches(trainer, module, self, library)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.outputs.append((sorted(outputs), float(outputs["loss"]) if outputs else None, batch_idx))


class Logger(pl.loggers.CSVLogger):
    def __init__(self, folder):
        super().__init__(folder)
        self.logged = []

    def log_metrics(self, metrics, step=None):
        self.logged.append((step, dict(metrics)))

    def log_hyperparams(self, *_):
        pass

    def save(self):
        pass


def data(rows=22):
    numbers = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, generator=numbers)
    return TensorDataset(x, x.sum(1) / 3)


def trained(quick, folder, module, callbacks=(), **flags):
    """What can be seen of a training: weights, logged values, callback metrics, progress, what the module saw."""
    torch.manual_seed(0)
    module = module()
    keeper, logger = Keeper(quick), Logger(str(folder))
    flags = {"max_epochs": 3, "log_every_n_steps": 2, **flags}
    made = [each() for each in callbacks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu", logger=logger, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, callbacks=[keeper, *made], default_root_dir=str(folder),
            enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in made),
            **flags,
        )  # fmt: skip
        trainer.fit(module, DataLoader(data(), 4, shuffle=True), DataLoader(data(9), 4))
    values = {key: float(value) for key, value in trainer.callback_metrics.items()}
    logged = {key: float(value) for key, value in trainer.logged_metrics.items()}
    progress = trainer.fit_loop.epoch_loop.state_dict()
    seen = [keeper.outputs, logger.logged, values, logged, trainer.global_step, trainer.current_epoch, module.seen]
    return keeper.is_quick, seen, {**module.state_dict()}, str(progress), str(trainer.optimizers[0].state_dict())


def per_step(optimizer):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)


def plateau(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)


CASES = {
    "plain": (Module, {}),
    "a dictionary": (Dictionary, {}),
    "no loss now and then": (Sometimes, {}),
    "a schedule by epochs": (lambda: Module(per_step), {}),
    "a schedule by updates": (lambda: Module(per_step, "step"), {}),
    "a plateau": (lambda: Module(plateau), {}),
    "several evaluations of a step": (lambda: Module(kind="lbfgs"), {}),
    "clipped": (Module, {"gradient_clip_val": 0.1}),
    "clipped by value": (Module, {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}),
    "validated within epochs": (Module, {"val_check_interval": 2}),
    "validated rarely": (Module, {"check_val_every_n_epoch": 2}),
    "a limit of batches": (Module, {"limit_train_batches": 3}),
    "a limit of updates": (Module, {"max_epochs": -1, "max_steps": 8}),
    "anomalies": (Module, {"detect_anomaly": True}),
    "stopped early": (Module, {"max_epochs": 9, "callbacks": [lambda: EarlyStopping("val/mse", patience=0)]}),
    "accumulated from an epoch on": (Module, {"callbacks": [lambda: GradientAccumulationScheduler({1: 3})]}),
    "averaged by an epoch without updates": (
        Normalized,
        {"max_epochs": 4, "callbacks": [lambda: StochasticWeightAveraging(0.01, swa_epoch_start=2)]},
    ),
    "a hook that comes later": (GetsAHook, {}),
    "weights kept": (Module, {"callbacks": [ModelCheckpoint]}),
}


@pytest.mark.parametrize("case", CASES)
def test_everything_has_the_same_bits_and_counts(case, tmp_path):
    module, flags = CASES[case]
    is_quick, *found = trained(True, tmp_path / "quick", module, **flags)
    _, *wanted = trained(False, tmp_path / "own", module, **flags)
    assert is_quick
    for key, value in wanted[1].items():
        assert torch.equal(found[1][key], value), key
    assert repr(found[0]) == repr(wanted[0])  # nan is written alike
    assert found[2:] == wanted[2:]
    assert wanted[0][4] >= 3


def overriding(base, name):
    return type("Own", (base,), {name: lambda self, *args, **options: getattr(base, name)(self, *args, **options)})


@pytest.mark.parametrize(
    "name",
    [*BATCH_HOOKS, "optimizer_step", "optimizer_zero_grad", "backward", "configure_gradient_clipping", "clip_gradients",
     "on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"],
)  # fmt: skip
def test_a_hook_of_the_module_is_called(name, tmp_path):
    assert not trained(True, tmp_path, overriding(Module, name), max_epochs=1)[0]


@pytest.mark.parametrize("name", BATCH_HOOKS)
def test_a_hook_of_a_callback_is_called(name, tmp_path):
    assert not trained(True, tmp_path, Module, [overriding(pl.Callback, name)], max_epochs=1)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("callbacks", "flags"),
    [
        ([lambda: LearningRateMonitor("step")], {}),
        ([lambda: ModelCheckpoint(every_n_train_steps=2)], {}),
        ([], {"accumulate_grad_batches": 2}),
        ([], {"precision": "bf16-mixed"}),
        ([], {"precision": "64-true"}),
        ([], {"profiler": "simple"}),
    ],
)
def test_whatever_else_acts_on_batches_is_left_to_lightning(callbacks, flags, tmp_path):
    assert not trained(True, tmp_path, Module, callbacks, max_epochs=1, **flags)[0]


def test_another_version_of_lightning_trains_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(lightning_internals, "_KNOWN_SOURCES", frozenset())
    assert not trained(True, tmp_path, Module, max_epochs=1)[0]


def test_this_version_is_known():
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    loop = trainer.fit_loop.epoch_loop
    if pl.__version__.startswith("2.6."):
        assert lightning_internals.source_of_batches(loop) in lightning_internals._KNOWN_SOURCES
    assert all(map(callable, QuickBatches(trainer, Module(), None, bool).lightnings))


# ------------------------------------------------------------------------------------------ gathered batches


class Squares(TensorDataset):
    def __getitem__(self, index):
        return tuple(each**2 for each in super().__getitem__(index))


def batches(loader, quick):
    torch.manual_seed(0)
    iterator = iter(loader)
    return list(gathered(iterator) if quick else iterator), torch.rand(())


X = torch.arange(66.0).view(11, 2, 3)


@pytest.mark.parametrize(
    ("dataset", "options", "quick"),
    [
        (TensorDataset(X, torch.arange(11)), {"shuffle": True}, True),
        (TensorDataset(X), {"drop_last": True}, True),
        (Subset(TensorDataset(X, torch.arange(11)), [10, 3, 3, -1, 0]), {"shuffle": True}, True),
        (Subset(Subset(TensorDataset(X), torch.arange(10)), range(2, 9)), {}, True),
        (TensorDataset(X), {"sampler": [-1, 2, 5]}, True),
        (TensorDataset(X.transpose(0, 1)), {}, False),
        (TensorDataset(nn.Parameter(X)), {}, False),
        (Squares(X), {}, False),
        (list(range(11)), {}, False),
        (TensorDataset(X), {"collate_fn": lambda rows: default_collate(rows)}, False),
        (TensorDataset(X), {"batch_size": None}, False),
    ],
)
def test_batches_that_are_gathered_have_the_same_bits(dataset, options, quick):
    loader = DataLoader(dataset, **{"batch_size": 3, **options})
    assert (type(gathered(iter(loader))._dataset_fetcher).__name__ == "_Gather") == quick
    (found, after), (wanted, afterwards) = batches(loader, True), batches(loader, False)
    assert after == afterwards  # as many random numbers were drawn
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert type(one) is type(other)
        rows = one if isinstance(one, list) else [one]
        for mine, theirs in zip(rows, other if isinstance(other, list) else [other], strict=True):
            assert torch.equal(mine, theirs)
            assert (mine.dtype, mine.stride(), type(mine)) == (theirs.dtype, theirs.stride(), type(theirs))
