"""The cost of an update of two processes (gloo, one thread each) over that of Lightning's own DDP.

    python scripts/bench_processes.py [--epochs 30] [--turns 5] [--norm batch none]

Milliseconds of wall time from the tenth update to the last, without validation, for the same network and size of batch;
the two run in turn. Lightning's side is a module that returns its loss, with automatic optimisation and no loggers,
metrics or checkpoints.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

WARM = 10  # updates that are not counted: the processes find each other, and DDP orders its buckets
HERE = Path(__file__).resolve()


class Clock(pl.Callback):
    """Writes the milliseconds of an update to a file, by the first process."""

    def __init__(self, file: str):
        self.file = file

    def on_update(self, loop: Any) -> None:
        """Of Paribus, after each update."""
        self.tick(loop.data.cursor.step, loop)

    def tick(self, step: int, module: pl.LightningModule) -> None:
        if step == WARM:
            self.begun = time.perf_counter()
        elif step > WARM and module.global_rank == 0:
            self.each = 1000 * (time.perf_counter() - self.begun) / (step - WARM)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            Path(self.file).write_text(repr(self.each))


class Bare(pl.LightningModule):
    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def training_step(self, batch: Any, number: int) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)


class Ticking(Clock):
    """The same where Lightning calls it after each batch."""

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        self.tick(trainer.global_step, module)


def overrides(norm: str, epochs: int) -> list[str]:
    return ["model=mlp", f"norm={norm}", "data.batch_size=32", f"budget.epochs={epochs}", "data.drop_last=true"]


def bare(norm: str, epochs: int, file: str) -> None:
    """Lightning's side; its launcher starts this script again for the second process."""
    from paribus.config.compose import load, resolved
    from paribus.config.run import Run
    from paribus.run import build

    run = Run.parse(resolved(load(overrides(norm, epochs))))
    setting = build.build_setting(run)
    train = build.build_data(run, setting).splits.train
    torch.set_num_threads(1)
    module = Bare(build.build_network(run, setting))
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Ticking(file)],
    )
    trainer.fit(module, DataLoader(TensorDataset(train.x, train.y), 16, shuffle=True, drop_last=True))


def timed(command: list[str], file: Path, folder: str) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return float(file.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--norm", nargs="+", default=["none", "batch"])
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.bare:
        return bare(asked.norm[0], asked.epochs, asked.bare)
    for norm in asked.norm:
        ours, theirs = [], []
        for turn in range(asked.turns):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "milliseconds"
                clock = ["+callbacks.clock._target_=bench_processes.Clock", f"+callbacks.clock.file={file}"]
                line = [*overrides(norm, asked.epochs), f"evaluation.every={asked.epochs}", "trainer=ddp_sim", *clock]
                ours.append(timed([sys.executable, "-m", "paribus", "train", *line], file, folder))
                own = ["--bare", str(file), "--norm", norm, "--epochs", str(asked.epochs)]
                theirs.append(timed([sys.executable, str(HERE), *own], file, folder))
            print(f"norm={norm}, turn {turn + 1}: {ours[-1]:.3f} and {theirs[-1]:.3f} ms an update", flush=True)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        print(f"norm={norm}: {min(ours):.3f} ms, Lightning {min(theirs):.3f} ms; median of ratios {ratio:.2f}")


if __name__ == "__main__":
    main()
