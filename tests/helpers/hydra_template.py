"""Folders as lightning-hydra-template leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CONFIG: dict[str, Any] = {
    "task_name": "train",
    "data": {"_target_": "src.data.mnist_datamodule.MNISTDataModule", "batch_size": 64},
    "model": {
        "_target_": "src.models.mnist_module.MNISTLitModule",
        "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.001},
    },
    "callbacks": {"model_checkpoint": {"dirpath": "${paths.output_dir}/checkpoints", "monitor": "val/acc"}},
    "trainer": {"max_epochs": 3, "accelerator": "cpu", "devices": 1},
    "paths": {"root_dir": "${oc.env:PROJECT_ROOT}", "output_dir": "${hydra:runtime.output_dir}"},
    "seed": 0,
    "steps": "${trainer.max_epochs}",
}


def job(
    folder: Path,
    overrides: list[str],
    changes: dict[str, Any] | None = None,
    choices: dict[str, str] | None = None,
    accuracies: tuple[float, ...] = (0.5, 0.6, 0.7),
    test: float | None = 0.65,
    seed: int | None = 0,
) -> Path:
    """One job that has run: .hydra, csv/version_0, exec_time.log."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    for key, value in {**(changes or {}), "seed": seed}.items():
        *parts, last = key.split(".")
        node = config
        for part in parts:
            node = node[part]
        node[last] = value
    hydra = folder / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text(yaml.safe_dump(config))
    (hydra / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    runtime = {
        "choices": {"model": "mnist", "data": "mnist", "logger": "csv", "hydra/launcher": "basic", **(choices or {})}
    }
    (hydra / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"job": {"name": "train"}, "runtime": runtime}}))
    table = folder / "csv" / "version_0" / "metrics.csv"
    table.parent.mkdir(parents=True)
    lines = ["epoch,step,test/acc,train/loss,val/acc"]
    for epoch, accuracy in enumerate(accuracies):
        lines.append(f"{epoch},{10 * epoch + 9},,,{accuracy}")
        lines.append(f"{epoch},{10 * epoch + 9},,{1 - accuracy},")
    if test is not None:
        lines.append(f"{len(accuracies)},{10 * len(accuracies)},{test},,")
    table.write_text("\n".join(lines) + "\n")
    (table.parent / "hparams.yaml").write_text("model/params/trainable: 1234\n")
    (folder / "exec_time.log").write_text("'train' execution time: 12.5 (s)")
    return folder


def multirun(root: Path) -> Path:
    """Two learning rates with two seeds each; one job has the default rate and says nothing of it."""
    folder = root / "logs" / "train" / "multiruns" / "2024-05-01_10-00-00"
    number = 0
    for rate, better in ((0.001, 0.0), (0.1, 0.1)):
        for seed in (1, 2):
            overrides = [f"seed={seed}", "trainer=cpu"] + ([f"model.optimizer.lr={rate}"] if rate != 0.001 else [])
            accuracy = 0.65 + better + 0.01 * seed
            job(folder / str(number), overrides, {"model.optimizer.lr": rate}, test=accuracy, seed=seed)
            number += 1
    (folder / "multirun.yaml").write_text("hydra: {}\n")
    return folder


# A project in that layout, with what such projects do: partial optimizers, networks and subgroups as nodes, references
# between sections, a resolver, options that the script fills in, experiments, a search, and a folder for each job.
PROJECT = {
    ".project-root": "",
    "src/__init__.py": "",
    "src/models/__init__.py": "",
    "src/models/net.py": '''
from torch import nn

class Net(nn.Module):
    def __init__(self, sizes, activation):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(sizes.first, sizes.last), activation, nn.Linear(sizes.last, 2))

    def forward(self, x):
        return self.layers(x)
''',
    "src/models/base.py": '''
import pytorch_lightning as pl

class Base(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        loss, acc = self.measured(batch)
        self.log("val/loss", loss)
        self.log("val/acc", acc)

    def test_step(self, batch, batch_idx):
        loss, acc = self.measured(batch)
        self.log_dict({"test/loss": loss, "test/acc": acc})
''',
    "src/models/module.py": '''
from pathlib import Path

import torch
from torch import nn

from src.models.base import Base

class LitModule(Base):
    def __init__(self, net: nn.Module, optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler,
                 weights, folder: Path = Path("logs"), name: str = None, batch: int = 0):
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["net"])
        self.net = net

    def measured(self, batch):
        x, y = batch
        logits = self.net(x)
        weight = torch.tensor([self.hparams.weights.zero, self.hparams.weights.one])
        return nn.functional.cross_entropy(logits, y, weight), (logits.argmax(1) == y).float().mean()

    def training_step(self, batch, batch_idx):
        loss, _ = self.measured(batch)
        self.log("train/loss", loss)
        return loss

    def on_validation_epoch_end(self):
        self.log("val/acc_best", 1.0)

    def configure_optimizers(self):
        optimizer = self.hparams.optimizer(params=self.trainer.model.parameters())
        scheduler = self.hparams.scheduler(optimizer=optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val/loss"}}
''',
    "src/data/__init__.py": "",
    "src/data/points.py": '''
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

class Points(pl.LightningDataModule):
    def __init__(self, data_dir: str, batch_size: int = 8, split=(64, 32, 32), shift: float = 1.0):
        super().__init__()
        self.save_hyperparameters(logger=False)

    def setup(self, stage=None):
        x = torch.randn(sum(self.hparams.split), 2, generator=torch.Generator().manual_seed(1))
        y = (x.sum(1) > 0).long()
        self.parts = TensorDataset(x + self.hparams.shift, y), *torch.utils.data.random_split(
            TensorDataset(x, y), [64, len(x) - 64], generator=torch.Generator().manual_seed(2))

    def train_dataloader(self):
        return DataLoader(self.parts[0], batch_size=self.hparams.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], batch_size=self.hparams.batch_size)

    def test_dataloader(self):
        return DataLoader(self.parts[2], batch_size=self.hparams.batch_size)
''',
    "src/train.py": '''
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
os.environ["PROJECT_ROOT"] = str(ROOT)
sys.path.insert(0, str(ROOT))

import hydra
import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningDataModule, LightningModule

OmegaConf.register_new_resolver("times", lambda x, y: x * y)
OmegaConf.register_new_resolver("shout", str.upper)


def train(cfg: DictConfig):
    if cfg.get("seed"):
        pl.seed_everything(cfg.seed, workers=True)
    datamodule: LightningDataModule = hydra.utils.instantiate(cfg.data)
    model: LightningModule = hydra.utils.instantiate(cfg.model)
    trainer = hydra.utils.instantiate(cfg.trainer, logger=False, enable_progress_bar=False)
    trainer.fit(model, datamodule=datamodule)
    print("trained", sorted(trainer.callback_metrics))


@hydra.main(version_base="1.3", config_path="../configs", config_name="train.yaml")
def main(cfg: DictConfig):
    train(cfg)


if __name__ == "__main__":
    main()
''',
    "configs/train.yaml": '''
# @package _global_
defaults:
  - _self_
  - data: near.yaml
  - model: small.yaml
  - model/net/activation: relu
  - callbacks: default.yaml
  - logger: null
  - trainer: default.yaml
  - paths: default.yaml
  - hydra: default.yaml
  - experiment: null
  - hparams_search: null
  - optional local: default.yaml
  - debug: null
task_name: train
tags: [dev]
hidden: 4
test: true
ckpt_path: null
seed: 12
''',
    "configs/data/near.yaml": "_target_: src.data.points.Points\ndata_dir: ${paths.data_dir}\nbatch_size: 16\n"
    "split: [64, 64, 32]\nshift: 0\n",
    "configs/data/far.yaml": "defaults: [near]\nshift: 2.0\n",
    "configs/model/small.yaml": '''
_target_: src.models.module.LitModule
optimizer: {_target_: torch.optim.Adam, _partial_: true, lr: 0.01, betas: [0.9, 0.99]}
scheduler: {_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, _partial_: true, patience: 10}
net:
  _target_: src.models.net.Net
  sizes: {first: 2, last: "${hidden}"}
weights: {zero: 1.0, one: 1.0}
folder: ${paths.log_dir}/nets
batch: ${data.batch_size}
name: null
''',
    "configs/model/large.yaml": 'defaults: [small]\nnet:\n  sizes: {last: "${times:${hidden},4}"}\n',
    "configs/model/loud.yaml": 'defaults: [small]\nname: "${shout:quiet}"\n',
    "configs/model/broken.yaml": "defaults: [missing]\n",
    "configs/model/net/activation/relu.yaml": "_target_: torch.nn.ReLU\n",
    "configs/callbacks/default.yaml": '''
defaults: [checkpoint, _self_]
model_checkpoint: {monitor: val/acc, mode: max}
early_stopping:
  _target_: pytorch_lightning.callbacks.EarlyStopping
  monitor: ${callbacks.model_checkpoint.monitor}_best
  patience: 100
  mode: max
bar: {_target_: pytorch_lightning.callbacks.RichProgressBar}
leftover: {monitor: val/x}
''',
    "configs/callbacks/checkpoint.yaml": "model_checkpoint: {_target_: pytorch_lightning.callbacks.ModelCheckpoint, "
    "dirpath: '${paths.output_dir}/checkpoints', monitor: null, mode: min}\n",
    "configs/trainer/default.yaml": "_target_: pytorch_lightning.Trainer\ndefault_root_dir: ${paths.output_dir}\n"
    "min_epochs: 1\nmax_epochs: 3\naccelerator: cpu\ndevices: 1\ncheck_val_every_n_epoch: 1\ndeterministic: false\n",
    "configs/paths/default.yaml": "root_dir: ${oc.env:PROJECT_ROOT}\ndata_dir: ${paths.root_dir}/data/\n"
    "log_dir: ${paths.root_dir}/logs\noutput_dir: ${hydra:runtime.output_dir}\n",
    "configs/hydra/default.yaml": "defaults: [override hydra_logging: colorlog, override job_logging: colorlog]\n"
    "run: {dir: '${paths.log_dir}/runs/${now:%H-%M-%S}'}\n",
    "configs/hydra/plain.yaml": "run: {dir: '${paths.log_dir}/runs/${now:%H-%M-%S}'}\n",
    "configs/experiment/example.yaml": '''
# @package _global_
defaults:
  - override /model: large
  - override /data: far
seed: 77
trainer: {max_epochs: 2, gradient_clip_val: 0.5, precision: 16}
model: {optimizer: {lr: 0.1}}
''',
    "configs/hparams_search/optuna.yaml": '''
# @package _global_
defaults: [override /hydra/sweeper: optuna]
optimized_metric: val/acc_best
hydra:
  sweeper: {n_trials: 5, params: {model.optimizer.lr: "interval(0.001, 0.1)", trainer.max_epochs: "choice(1, 2)"}}
''',
}  # fmt: skip


FEW: dict[str, str | None] = {
    name: None for name in PROJECT if name.endswith(("far.yaml", "large.yaml", "loud.yaml", "broken.yaml"))
} | {"configs/experiment/example.yaml": None, "configs/hparams_search/optuna.yaml": None}  # without its options


def project(folder: Path, changes: dict[str, str | None] | None = None) -> Path:
    """The project in a folder. changes: files with other content, or without any where it is None."""
    for name, text in {**PROJECT, **(changes or {})}.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.lstrip("\n"))
    return folder
