"""The usual Lightning pattern under Hydra's own launcher, which the benchmarks compare with.

    python scripts/usual_lightning.py -m model=mlp data.batch_size=32 budget.epochs=20 seed='range(64)'

Automatic optimisation, torchmetrics, self.log in every step, a DataLoader over a TensorDataset, ModelCheckpoint,
CSVLogger; one job after another in one process, each composed by Hydra. Networks and data are those of Paribus.
"""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import hydra
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from paribus.config import config_dir
from paribus.config.compose import resolved
from paribus.config.run import Run
from paribus.run import build

HYDRA = ["hydra/sweeper=basic", "hydra/launcher=basic"]
FOLDERS = ["hydra.output_subdir=.hydra", "hydra.sweep.subdir=${hydra.job.num}"]


class Usual(pl.LightningModule):
    """What most Lightning code looks like."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.criterion = nn.CrossEntropyLoss()
        accuracies = [MulticlassAccuracy(10, average="micro") for _ in range(3)]
        self.train_acc, self.val_acc, self.test_acc = accuracies
        self.train_loss, self.val_loss, self.test_loss = MeanMetric(), MeanMetric(), MeanMetric()

    def _step(self, batch: Any, loss_metric: Any, acc_metric: Any, stage: str) -> torch.Tensor:
        x, y = batch
        outputs = self.network(x)
        loss = self.criterion(outputs, y)
        loss_metric(loss)
        acc_metric(outputs, y)
        self.log(f"{stage}/loss", loss_metric, on_step=False, on_epoch=True)
        self.log(f"{stage}/acc", acc_metric, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        return self._step(batch, self.train_loss, self.train_acc, "train")

    def validation_step(self, batch: Any, number: int) -> None:
        self._step(batch, self.val_loss, self.val_acc, "val")

    def test_step(self, batch: Any, number: int) -> None:
        self._step(batch, self.test_loss, self.test_acc, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)


def fit(run: Run, epochs: int, folder: Path, *callbacks: pl.Callback, test: bool = False) -> None:
    """Train on the data of `run`, and test if so wished."""
    setting = build.build_setting(run)
    splits = build.build_data(run, setting).splits
    batch = run.data.batch_size
    parts = [TensorDataset(part.x, part.y) for part in (splits.train, splits.val, splits.test)]
    checkpoint = pl.callbacks.ModelCheckpoint(folder, monitor="val/acc", mode="max", save_last=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=pl.loggers.CSVLogger(folder),
        callbacks=[*callbacks, checkpoint],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Usual(build.build_network(run, setting))
    trainer.fit(model, DataLoader(parts[0], batch, shuffle=True), DataLoader(parts[1], batch))
    if test:
        trainer.test(model, DataLoader(parts[2], batch), verbose=False)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def main(config: DictConfig) -> None:
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    run = Run.parse(resolved(config))
    pl.seed_everything(run.seed, verbose=False)
    folder = Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir)
    assert run.budget.epochs is not None
    fit(run, run.budget.epochs, folder, test=True)


if __name__ == "__main__":
    sys.argv += [*HYDRA, *FOLDERS]
    main()
