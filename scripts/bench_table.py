"""Time and memory of `paribus table` over many records, and its answer on a small ablation.

    python scripts/bench_table.py [--arms 1000] [--seeds 10]

Synthetic records of a grid ablation with hypotheses are written to a temporary folder; the command runs in a process of
its own. Bounds: 10,000 records within 5 s and 500 MB, a small ablation within 1.5 s, the report page of 500 runs within
20 s and 3 MB. Exit code 1 where one is broken.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from paribus.ablation.command import plan_command
from paribus.store.record import Record
from paribus.store.store import Store

FILE = """# @package _global_
ablation:
  name: {name}
  design: grid
  factors:
    optimizer.lr: [{rates}]
    optimizer.momentum: [0.0, 0.9]
  seeds: {seeds}
  hypotheses:
    - {{id: a, claim: momentum helps, arm: {{optimizer.momentum: 0.9}}, versus: {{optimizer.momentum: 0.0}}}}
"""
PROBE = """
import resource, sys, time
start = time.perf_counter()
sys.argv = ["paribus", {command}]
from paribus.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
slow = {{"torch", "pytorch_lightning", *({{"pandas"}} if {is_table} else ())}} & set(sys.modules)
assert not slow, slow
print(time.perf_counter() - start, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def write_records(name: str, arms: int, seeds: int, folder: Path, epochs: int = 0) -> int:
    """The ablation file and the records of all its cells, with histories of so many epochs; how many there are."""
    rates = ", ".join(f"{0.01 * (k + 1):.4g}" for k in range(arms // 2))
    (folder / "conf" / "ablation").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "ablation" / f"{name}.yaml").write_text(FILE.format(name=name, rates=rates, seeds=seeds))
    store = Store(folder / "outputs")
    started = time.perf_counter()
    [plan] = plan_command([f"ablation={name}"], store.read)
    print(f"planning {len(plan.cells):,} cells: {time.perf_counter() - started:.1f} s")
    r = np.random.default_rng(0)
    provenance = {"commit": "0" * 40, "dirty": False, "versions": {f"package{k}": "1.0" for k in range(20)}}
    for cell in plan.cells:
        groups = {str(key): str(value) for key, value in cell.choices.items() if "hydra" not in str(key)}
        values = dict(item.split("=") for item in cell.overrides if item.startswith("optimizer."))
        metrics = {f"{split}/{kind}": float(r.normal(0.9, 0.01)) for split in ("train", "val", "test")
                   for kind in ("acc", "loss")}  # fmt: skip
        record = Record(
            cell.id, "done", name, cell.arm, cell.seed, {**groups, **values}, cell.run.comparable("digits"),
            metrics=metrics, timing={"ms_per_update": 1.5, "fit_seconds": 20.0, "steps": 460.0}, parameters=23946,
            classes=10, provenance=provenance,
        )  # fmt: skip
        path = store.run_dir(cell.id)
        path.mkdir(parents=True, exist_ok=True)
        (path / "record.json").write_text(record.to_json())
        if epochs:
            lines = ["epoch,step,seconds,train/loss,val/loss,val/acc"]
            for e in range(1, epochs + 1):
                loss, acc = 2 / e + r.random() / 9, 1 - 0.9 / e - r.random() / 99
                lines.append(f"{e},{38 * e},{0.05 * e:.4f},{loss:.6f},{1.1 * loss:.6f},{acc:.6f}")
            (path / "history.csv").write_text("\n".join(lines) + "\n")
    return len(plan.cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    broken = False
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for name, arms, seeds, epochs, bound in (
            ("small", 10, 3, 0, 1.5),
            ("big", asked.arms, asked.seeds, 0, 5.0),
            ("page", 10, 50, 20, 20.0),
        ):
            count = write_records(name, arms, seeds, Path(place), epochs)
            command = f'"table", "ablation={name}", "--grid", "none", "-o", "{name}.md"'
            if epochs:
                command = f'"report", "ablation={name}", "-o", "{name}.html"'
            for _ in range(3):
                probe = [sys.executable, "-c", PROBE.format(command=command, is_table=not epochs)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                done = subprocess.run(probe, capture_output=True, text=True, check=True, env=environment)
                wall, cpu, memory = map(float, done.stdout.split())
                print(f"{name}: {count:,} records: {wall:.2f} s ({cpu:.2f} s of CPU), {memory:.0f} MB at most")
            broken |= cpu > bound or memory > 500
            if epochs:
                size = Path(f"{name}.html").stat().st_size / 1e6
                print(f"{name}: the report page of {count} runs of {epochs} epochs: {size:.2f} MB")
                broken |= size > 3.0
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
