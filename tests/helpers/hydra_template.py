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
