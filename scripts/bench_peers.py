"""Stacks of Paribus against the same stacks in JAX: side by side, in turn, in one run.

    python scripts/bench_peers.py updates  [--models mlp cnn gpt] [--batches 8 32 128] [--replicas 8 16] [--seconds 2]
    python scripts/bench_peers.py commands [--models mlp] [--epochs 1 10 100] [--replicas 8]

updates: milliseconds of an update of one run in long runs, validation after each epoch included. Both train E and 4 E
epochs, and the difference counts: start-up, tracing and compiling are in neither. Paribus trains with
trainer.compile=true and keeps its histories, checkpoints and records; the JAX program (peers_jax.py) keeps nothing.
Prints each ratio and their geometric mean.

commands: whole processes, imports, compiling and all, for so many epochs; Paribus traced and compiled, with a package
that is on the machine already.

JAX lives in an environment of its own, --jax, which is made by uv where there is none. One thread for each.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from bench_stack import runs_of, stacked

HERE = Path(__file__).resolve().parent
LINES = {
    "mlp": ["model=mlp", "norm=batch"],
    "cnn": ["model=cnn", "norm=batch"],
    "gpt": [
        "task=language", "data=markov", "data.source.num_train=1437", "data.source.num_test=200", "data.validation=237",
        "data.source.length=16", "model=gpt", "model.width=32", "model.depth=2", "norm=layer", "optimizer=adamw",
    ],
}  # fmt: skip
TRAINED = 1200  # samples of an epoch
QUIET = {**os.environ, "OMP_NUM_THREADS": "1"}


def lines_of(model: str, batch: int, replicas: int, epochs: int) -> list[list[str]]:
    base = [*LINES[model], f"data.batch_size={batch}", f"budget.epochs={epochs}", "trainer.threads=1"]
    return [[*base, "trainer.compile=true", f"seed={seed}"] for seed in range(replicas)]


def ours(model: str, batch: int, replicas: int, scratch: Path) -> Callable[[int], float]:
    """A function that trains a stack for so many epochs and says how many seconds its loop took."""

    def train(epochs: int) -> float:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            lines = lines_of(model, batch, replicas, epochs)
            inner, _ = stacked(runs_of(lines, Path(folder)), lines, Path(folder))
        return inner.wall

    return train


class Jax:
    """The program in its own process, which stays."""

    def __init__(self, python: Path, model: str, batch: int, replicas: int):
        line = [str(python), str(HERE / "peers_jax.py"), model, str(batch), str(replicas)]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=QUIET)
        self.read()  # the first epoch, compiling included

    def read(self) -> float:
        assert self.process.stdout is not None
        return float(self.process.stdout.readline())

    def __call__(self, epochs: int) -> float:
        assert self.process.stdin is not None
        print(epochs, file=self.process.stdin, flush=True)
        return self.read()

    def close(self) -> None:
        self.process.communicate()


def updates(options: argparse.Namespace) -> None:
    print(f"{'':24}{'ms of an update of one run':^26}")
    print(f"{'model':8}{'batch':>6}{'replicas':>10}{'Paribus':>10}{'JAX':>10}{'ratio':>8}")
    ratios = []
    for model, batch, replicas in itertools.product(options.models, options.batches, options.replicas):
        theirs = Jax(options.python, model, batch, replicas)
        with tempfile.TemporaryDirectory() as scratch:
            both = {"Paribus": ours(model, batch, replicas, Path(scratch)), "JAX": theirs}
            for train in both.values():
                train(1)  # compiles
            slowest = max((train(3) - train(1)) / 2 for train in both.values())
            short = max(1, round(options.seconds / 3 / max(slowest, 1e-3)))
            times = dict.fromkeys(both, math.inf)
            for _ in range(options.turns):
                for name, train in both.items():
                    times[name] = min(times[name], (train(4 * short) - train(short)) / (3 * short))
        theirs.close()
        each = {name: 1e3 * seconds / -(-TRAINED // batch) / replicas for name, seconds in times.items()}
        ratios.append(each["Paribus"] / each["JAX"])
        shown = "".join(f"{value:10.4f}" for value in each.values())
        print(f"{model:8}{batch:6}{replicas:10}{shown}{ratios[-1]:8.2f}", flush=True)
    print(f"geometric mean of the ratios: {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}")


def commands(options: argparse.Namespace) -> None:
    print(f"{'':24}{'seconds of the whole command':^40}")
    print(f"{'model':8}{'epochs':>8}{'replicas':>10}{'traced':>10}{'compiled':>10}{'JAX':>10}{'traced/JAX':>12}")
    for model, epochs, replicas in itertools.product(options.models, options.epochs, options.replicas):
        seeds = ",".join(map(str, range(replicas)))
        lines = [*LINES[model], "data.batch_size=32", f"budget.epochs={epochs}", f"seed={seeds}", "trainer.threads=1"]
        paribus = [sys.executable, "-m", "paribus", "train", "-m", *lines, "hydra.launcher.slots=1"]
        both = {
            "traced": paribus,
            "compiled": [*paribus, "trainer.compile=true"],
            "JAX": [str(options.python), str(HERE / "peers_jax.py"), model, "32", str(replicas), str(epochs)],
        }
        times = dict.fromkeys(both, math.inf)
        for turn in range(options.turns + 1):
            for name, line in both.items():
                with tempfile.TemporaryDirectory() as folder:
                    clock = time.perf_counter()
                    subprocess.run(line, cwd=folder, env=QUIET, check=True, capture_output=True)
                    if turn:  # the first one compiles the package
                        times[name] = min(times[name], time.perf_counter() - clock)
        shown = "".join(f"{value:10.2f}" for value in times.values())
        print(f"{model:8}{epochs:8}{replicas:10}{shown}{times['traced'] / times['JAX']:12.2f}", flush=True)


def environment(folder: Path) -> Path:
    """Its Python, with jax and scikit-learn."""
    python = folder / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), "jax", "scikit-learn"], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["updates", "commands"])
    parser.add_argument("--jax", type=Path, default=Path(tempfile.gettempdir()) / "paribus-jax", metavar="FOLDER")
    parser.add_argument("--models", nargs="+", default=["mlp", "cnn", "gpt"], choices=sorted(LINES))
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--replicas", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seconds", type=float, default=2.0, help="of the shorter training of each pair, about")
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    options.python = environment(options.jax)
    version = subprocess.run(
        [options.python, "-c", "import jax; print(jax.__version__)"], check=True, capture_output=True, text=True
    )
    print(f"torch {torch.__version__}, jax {version.stdout.strip()}, one thread each")
    (updates if options.what == "updates" else commands)(options)


if __name__ == "__main__":
    main()
