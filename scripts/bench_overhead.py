"""The cost of Paribus over a hand-written PyTorch loop, beside that of the usual Lightning pattern.

    python scripts/bench_overhead.py [--epochs 20] [--repeats 7] [--threads 1]

Prints, for mlp and cnn on the digits at batch 32 and 128, the training time of each (updates, training metrics,
validation of every epoch, history; without set-up, final checkpoint and test) as a ratio to the hand-written loop. The
three run in turn in one process, and the ratio of each turn counts: the machine's speed drifts, ratios do not.

Then the start-up of a run: whole processes, `paribus train` of one update against `import torch, pytorch_lightning`.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import usual_lightning as usual
from torch import nn

from paribus.config.compose import load, resolved
from paribus.config.run import Run
from paribus.run import build
from paribus.run.fit import build_callbacks, build_loop, build_trainer, quiet_lightning
from paribus.store.history import HistoryWriter


def run_of(model: str, batch: int, epochs: int, threads: int) -> Run:
    line = [f"model={model}", f"data.batch_size={batch}", f"budget.epochs={epochs}", f"trainer.threads={threads}"]
    return Run.parse(resolved(load(line)))


def hand_written(run: Run, epochs: int, make: Any = None) -> float:
    """The loop that one writes without any framework, with metrics of training and validation.

    make: network -> optimizer; momentum where there is none.
    """
    setting = build.build_setting(run)
    splits = build.build_data(run, setting).splits
    network = build.build_network(run, setting)
    optimizer: Any = (
        make(network) if make else torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    )
    criterion = nn.CrossEntropyLoss()
    x_train, y_train, x_val, y_val = splits.train.x, splits.train.y, splits.val.x, splits.val.y
    batch = run.data.batch_size
    history = []
    started = time.perf_counter()
    for epoch in range(epochs):
        network.train()
        total, correct = torch.zeros(()), torch.zeros((), dtype=torch.long)
        for indices in torch.randperm(len(x_train)).split(batch):
            x, y = x_train[indices], y_train[indices]
            outputs = network(x)
            loss = criterion(outputs, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(indices)
            correct += (outputs.detach().argmax(1) == y).sum()
        network.eval()
        with torch.no_grad():
            outputs = network(x_val)
            val_loss, val_acc = (
                criterion(outputs, y_val).item(),
                (outputs.argmax(1) == y_val).float().mean().item(),
            )
        history.append((epoch, total.item() / len(x_train), correct.item() / len(x_train), val_loss, val_acc))
    return time.perf_counter() - started


class Timer(pl.Callback):
    def on_train_start(self, *_: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.started


def paribus(run: Run, folder: Path) -> float:
    """As `paribus train` runs it, callbacks included; checkpoints are written after the clock stops."""
    setting = build.build_setting(run)
    data = build.build_data(run, setting)
    loop = build_loop(run, setting, HistoryWriter(folder / "history.csv"))
    timer = Timer()
    trainer = build_trainer(run, [timer, *build_callbacks(run, folder)], [], folder)
    with quiet_lightning():
        trainer.fit(loop, datamodule=data)
    return timer.seconds


def usual_lightning(run: Run, epochs: int, folder: Path) -> float:
    timer = Timer()
    usual.fit(run, epochs, folder, timer)
    return timer.seconds


def whole_process(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):5.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip-usual", action="store_true", help="leave the usual Lightning pattern out")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, pytorch-lightning {pl.__version__}, {options.threads} threads; digits, "
        f"{options.epochs} epochs, {options.repeats} turns; median (least to greatest)"
    )
    print(f"{'model':6}{'batch':>6}  {'by hand, ms/update':>20}  {'Paribus / by hand':>24}  {'usual / by hand':>24}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for model in ("mlp", "cnn"):
            for batch in (32, 128):
                run = run_of(model, batch, options.epochs, options.threads)
                base, ours, theirs = [], [], []
                for turn in range(options.repeats + 1):
                    times = [hand_written(run, options.epochs), paribus(run, folder)]
                    if not options.skip_usual:
                        times.append(usual_lightning(run, options.epochs, folder / f"{model}{batch}{turn}"))
                    if turn:  # the first turn warms up
                        base.append(times[0])
                        ours.append(times[1] / times[0])
                        theirs.append(times[2] / times[0] if len(times) > 2 else float("nan"))
                updates = options.epochs * -(-1200 // batch)
                per_update = statistics.median(base) / updates * 1e3
                print(
                    f"{model:6}{batch:6}  {per_update:20.3f}  {spread(ours):>24}  {spread(theirs):>24}",
                    flush=True,
                )
        ratios = []
        for turn in range(options.repeats + 1):
            imports = whole_process(["-c", "import torch, pytorch_lightning"])
            run = whole_process(
                [
                    "scripts/train.py",
                    "budget.updates=1",
                    f"seed={turn}",
                    f"paths.outputs={folder}",
                    "callbacks=none",
                ]
            )
            if turn:
                ratios.append(run / imports)
        print(f"start-up: a run of one update / import torch, pytorch_lightning: {spread(ratios)}")


if __name__ == "__main__":
    main()
