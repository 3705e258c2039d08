"""The module of bench_lightning.py as one trains it with Hydra and Lightning alone: a job for each command line."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import hydra
import pytorch_lightning as pl
import torch
from bench_lightning import Digits, Module
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig


@dataclass
class Config:
    seed: int = 0
    epochs: int = 20


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(config: Config) -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    pl.seed_everything(config.seed)
    folder = HydraConfig.get().runtime.output_dir
    data, module = Digits(), Module()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=config.epochs, default_root_dir=folder, enable_progress_bar=False,
        enable_model_summary=False, logger=pl.loggers.CSVLogger(folder),
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)


if __name__ == "__main__":
    main()
