"""Throughput of a sweep: `paribus train -m` against Hydra's own launcher over the usual Lightning pattern.

    python scripts/bench_sweep.py [--runs 64] [--epochs 20] [--turns 1]

Both train the same mlp on the digits with batches of 32, one run for each seed, as whole commands with everything that
they do: start-up, planning, composition, training, validation of every epoch, test, checkpoints, logs. Turns alternate,
ours before and after theirs; nothing is stacked. Every process has one thread, which is the fastest for networks this
small; ours runs as many at a time as there are cores. Seconds are wall time; CPU seconds are of all processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """(wall, CPU) seconds of a command."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PARIBUS_")}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--only-ours", action="store_true", help="leave the usual pattern out")
    options = parser.parse_args()
    sweep = ["model=mlp", "data.batch_size=32", f"budget.epochs={options.epochs}", f"seed=range({options.runs})"]
    ours = [sys.executable, str(SCRIPTS / "train.py"), "-m", *sweep, "stack=off"]
    usual = [sys.executable, str(SCRIPTS / "usual_lightning.py"), "-m", *sweep, "trainer.threads=1"]
    print(f"{options.runs} runs of {options.epochs} epochs, {os.cpu_count()} cores, {platform.processor() or 'CPU'}")
    print(f"{'':10}{'seconds':>10}{'CPU seconds':>14}{'seconds a run':>16}{'ratio':>8}")
    last = None
    with tempfile.TemporaryDirectory() as scratch:
        turns = ["ours", *(["usual", "ours"] * options.turns if not options.only_ours else [])]
        for number, name in enumerate(turns):
            folder = Path(scratch) / f"{number}"
            folder.mkdir()
            wall, cpu = measured(ours if name == "ours" else usual, folder)
            ratio = "" if last is None else f"{max(wall, last) / min(wall, last):8.2f}"
            print(f"{name:10}{wall:10.1f}{cpu:14.1f}{wall / options.runs:16.3f}{ratio}", flush=True)
            finished = len(
                list(folder.glob("outputs/runs/*/record.json" if name == "ours" else "outputs/sweeps/*/*/last*"))
            )
            assert finished == options.runs, f"{finished} of {options.runs} runs are done"
            last = wall


if __name__ == "__main__":
    main()
