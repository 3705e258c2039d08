"""The cost of task=lightning over the same module under Lightning's Trainer alone.

    python scripts/bench_lightning.py [overhead|sweep|loop] [--epochs 20] [--turns 7] [--runs 64]

overhead: the CPU time of the training of one module (updates, validation of every epoch, what it logs; without set-up,
final checkpoint and test) as a ratio. The two run in turn in one process with one thread. The ratio of each turn
counts, and that of the least times of all turns.

sweep: whole commands, `paribus train -m` against Hydra's basic launcher, for one run of each seed, with validation,
test and a checkpoint. Every process has one thread. Beside them stands what no launcher can undercut: the steps of the
module in a loop by hand, with its weights saved and nothing logged, in as many processes as there are cores.
"""

from __future__ import annotations

import argparse
import logging
import os
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
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SCRIPTS = Path(__file__).resolve().parent
TASK = ["task=lightning", "task.module={_target_: bench_lightning.Module}",
        "task.datamodule={_target_: bench_lightning.Digits}", "task.metrics={loss: {better: lower}, acc: "
        "{better: higher, unit: percent}}", "task.monitor=val/acc"]  # fmt: skip


class Digits(pl.LightningDataModule):
    def setup(self, stage: str | None = None) -> None:
        from sklearn.datasets import load_digits

        found = load_digits()
        x, y = torch.tensor(found.data, dtype=torch.float32) / 16, torch.tensor(found.target)
        self.parts = [TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 1200), (1200, 1437), (1437, 1797))]

    def train_dataloader(self) -> Any:
        return DataLoader(self.parts[0], 32, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.parts[1], 256)

    def test_dataloader(self) -> Any:
        return DataLoader(self.parts[2], 256)


class Module(pl.LightningModule):
    def __init__(self, width: int = 128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def step(self, batch: Any, part: str) -> torch.Tensor:
        outputs = self.net(batch[0])
        loss = nn.functional.cross_entropy(outputs, batch[1])
        accuracy = (outputs.argmax(1) == batch[1]).float().mean()
        self.log_dict({f"{part}/loss": loss, f"{part}/acc": accuracy}, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "test")

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class Timer(pl.Callback):
    """Of the training, without its final checkpoint. Whoever trains makes it, so the class holds the time."""

    seconds = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.started = time.process_time()  # others may use the machine

    def on_train_epoch_end(self, *_: Any) -> None:
        Timer.seconds = time.process_time() - self.started


def paribus(epochs: int, folder: Path) -> float:
    from paribus.config.compose import load, resolved
    from paribus.config.run import Run
    from paribus.extras.lightning.driver import Lightning
    from paribus.store.record import Record

    line = [*TASK, f"budget.epochs={epochs}", "trainer.threads=1", "+callbacks.timer._target_=bench_lightning.Timer"]
    Lightning.of(Run.parse(resolved(load(line)))).fit(Record("measured", "running"), folder)
    return sys.modules["bench_lightning"].Timer.seconds  # type: ignore[no-any-return]


def alone(epochs: int, folder: Path) -> float:
    timer = Timer()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[timer], default_root_dir=str(folder),
    )  # fmt: skip
    trainer.fit(Module(), datamodule=Digits())
    return timer.seconds


def overhead(epochs: int, turns: int) -> None:
    times = []
    for turn in range(turns + 1):
        with tempfile.TemporaryDirectory() as scratch:
            ours, theirs = paribus(epochs, Path(scratch) / "ours"), alone(epochs, Path(scratch))
        if turn:  # the first one warms up
            times.append((ours, theirs))
    ratios = [ours / theirs for ours, theirs in times]
    least = min(ours for ours, _ in times) / min(theirs for _, theirs in times)
    spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), least times {least:.3f}"
    print(f"task=lightning / Trainer alone, {epochs} epochs, {turns} turns: {spread}")


def loop(epochs: int, runs: int) -> None:
    """Train every run by hand. Processes are forked once, after the imports."""
    import sklearn.datasets  # noqa: F401

    torch.set_num_threads(1)
    processes = []
    for number in range(os.cpu_count() or 1):
        if (pid := os.fork()) == 0:
            for seed in range(number, runs, os.cpu_count() or 1):
                _by_hand(epochs, seed)
            os._exit(0)
        processes.append(pid)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in processes))


def _by_hand(epochs: int, seed: int) -> None:
    pl.seed_everything(seed, verbose=False)
    data, module = Digits(), Module()
    vars(module)["log_dict"] = lambda *values, **options: None  # Lightning's needs a Trainer
    data.setup()
    optimizer = module.configure_optimizers()
    for _ in range(epochs):
        for k, batch in enumerate(data.train_dataloader()):
            optimizer.zero_grad()
            module.training_step(batch, k).backward()
            optimizer.step()
        with torch.no_grad():
            for k, batch in enumerate(data.val_dataloader()):
                module.validation_step(batch, k)
    with torch.no_grad():
        for k, batch in enumerate(data.test_dataloader()):
            module.test_step(batch, k)
    torch.save(module.state_dict(), f"{seed}.ckpt")


def sweep(epochs: int, runs: int) -> None:
    common = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPTS), *filter(None, sys.path)])}
    ours = ["-m", "paribus", "train", "-m", *TASK, f"budget.epochs={epochs}", f"seed=range({runs})"]
    theirs = [str(SCRIPTS / "bench_lightning_hydra.py"), "-m", f"epochs={epochs}", f"seed=range({runs})"]
    by_hand = [str(SCRIPTS / "bench_lightning.py"), "loop", f"--epochs={epochs}", f"--runs={runs}"]
    seconds = {}
    for name, command in (("ours", ours), ("theirs", theirs), ("ours again", ours), ("by hand", by_hand)):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            done = subprocess.run([sys.executable, *command], cwd=folder, env=common, capture_output=True, text=True)
            seconds[name] = time.perf_counter() - started
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            found = [*Path(folder).rglob("*.ckpt")]
            assert len(found) >= runs, f"{len(found)} checkpoints of {runs} runs"
        print(f"{name:12}{seconds[name]:8.1f} s", flush=True)
    print(f"ratio: {2 * seconds['theirs'] / (seconds['ours'] + seconds['ours again']):.2f}")
    print(f"the loop by hand: {seconds['theirs'] / seconds['by hand']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="overhead", choices=["overhead", "sweep", "loop"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--runs", type=int, default=64)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if options.what == "overhead":
        overhead(options.epochs, options.turns)
    elif options.what == "loop":
        loop(options.epochs, options.runs)
    else:
        sweep(options.epochs, options.runs)


if __name__ == "__main__":
    main()
